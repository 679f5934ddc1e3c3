"""A finished run for other programs: its embedding on the clock of the data, as NWB or as CSV."""

import io
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from grevy.archive.manifest import without_home
from grevy.archive.reading import TEXT_BYTES, ArchivedRun
from grevy.archive.writing import write_bytes
from grevy.data import Array, read_session
from grevy.errors import GrevyError
from grevy.version import __version__

_LOG = logging.getLogger(__name__)

DESCRIPTION = "dataset_description.json"
BIDS_VERSION = "1.10.0"
MODULE, SERIES = "grevy", "embedding"
SUBJECT = ("subject_id", "species", "sex", "age")


def export_nwb(run: ArchivedRun, path: Path) -> None:
    """Write the embedding of a run into a new NWB file, and a description of it beside.

    It is the series ``processing/grevy/embedding``, with a time for each step: NaN at steps outside
    every segment. Of the session it says what the source says, if that is an NWB file and still
    there.

    Parameters
    ----------
    run : ArchivedRun
        Of one recording that has times, or a sampling rate: then they begin at 0.
    path : Path
        Of a file that does not exist yet.

    Raises
    ------
    GrevyError
        If pynwb is not installed, the run has no times or several recordings, or the file cannot be
        made.
    """
    _check(path, ".nwb", "nwb")
    if len(run.manifest["data"]) != 1:
        raise GrevyError(
            f"{run.folder.root} has {len(run.manifest['data'])} recordings, and an NWB file is of "
            f"one session. Export it with `csv=FILE`."
        )
    times = _times(run)
    if times is None:
        raise GrevyError(
            f"{run.folder.root} has neither times nor a sampling rate, and a series of an NWB file "
            f"needs them. Make the run again with `sampling_rate=HZ`, or export with `csv=FILE`."
        )
    content = io.BytesIO()
    _write_nwb(content, run, times)
    write_bytes(path, content.getvalue())
    _describe(path.parent, run)


def export_csv(run: ArchivedRun, path: Path) -> None:
    """Write the embedding of a run as a table, and a description of it beside.

    Columns are step, time (in seconds, if it is known), segment (empty outside of every one) and
    embedding_1 to embedding_D. Numbers read back to the same bits.

    Parameters
    ----------
    run : ArchivedRun
    path : Path
        Of a file that does not exist yet.

    Raises
    ------
    GrevyError
        If the file cannot be made.
    """
    import pandas as pd

    _check(path, ".csv", "csv")
    segment = np.full(len(run.embedding), np.nan)
    for number, (start, stop) in enumerate(run.segments):
        segment[start:stop] = number
    times = _times(run) if len(run.manifest["data"]) == 1 else None
    columns: dict[str, Any] = {"step": np.arange(len(run.embedding))}
    columns |= {} if times is None else {"time": times}
    columns["segment"] = pd.array(segment, dtype="Int64")
    for number, values in enumerate(run.embedding.T, start=1):
        columns[f"embedding_{number}"] = values.astype(np.float64)
    write_bytes(path, pd.DataFrame(columns).to_csv(index=False, lineterminator="\n").encode())
    _describe(path.parent, run)


def _check(path: Path, suffix: str, name: str) -> None:
    """Refuse a place that is taken: the source may be there."""
    if path.suffix.lower() != suffix:
        raise GrevyError(f"`{name}={path}`: expected a name that ends in {suffix}.")
    if path.exists() or path.is_symlink():
        raise GrevyError(f"{path} exists already. Give the name of a new file.")


def _times(run: ArchivedRun) -> Array | None:
    if run.times is not None:
        return run.times
    if run.sampling_rate is None:
        return None
    return np.arange(len(run.embedding)) / run.sampling_rate


def _write_nwb(content: io.BytesIO, run: ArchivedRun, times: Array) -> None:
    try:
        import pynwb
    except ImportError as error:
        raise GrevyError(
            "writing an NWB file needs pynwb, which is not installed: pip install 'grevy[nwb]'."
        ) from error
    import h5py

    session = _session(run)
    nwb = pynwb.NWBFile(
        session_description=session.get("session_description", "A recording known to Grevy."),
        identifier=f"{session.get('identifier', 'recording')}-grevy-{run.manifest['run_id']}",
        session_start_time=_started(run, session),
        source_script=f"grevy {__version__}",
        source_script_file_name="grevy",
    )
    subject = {name: session[name] for name in SUBJECT if name in session}
    if subject:  # nothing is made up
        nwb.subject = pynwb.file.Subject(**subject)
    module = nwb.create_processing_module(
        name=MODULE, description=f"Embedding of neural data, by grevy {__version__}."
    )
    source = without_home(str(run.manifest["data"][0]["source"]))
    module.add(
        pynwb.TimeSeries(
            name=SERIES, data=run.embedding, timestamps=times, unit="n/a",
            description=f"Embedding (time, dimension) of {source} by "
            f"{run.config.get('model_architecture')}; NaN at steps outside every segment.",
            comments=f"Run {run.manifest['run_id']}.",
        )
    )  # fmt: skip
    with h5py.File(content, "w") as file, pynwb.NWBHDF5IO(file=file, mode="w") as stream:
        stream.write(nwb)


def _session(run: ArchivedRun) -> dict[str, str]:
    """Return what the source of a run says of its session; nothing if it is not to be had."""
    source = Path(str(run.config.get("data") or ""))
    if source.suffix.lower() != ".nwb":
        return {}
    try:
        return read_session(source)
    except GrevyError as error:
        _LOG.warning(f"nothing is known of the session: {error}")
        return {}


def _started(run: ArchivedRun, session: dict[str, str]) -> datetime:
    """Return when the session began; when the run was finished if nobody knows, and say so."""
    for text in (session.get("session_start_time", ""), str(run.manifest["finished"])):
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            continue
        if not session.get("session_start_time"):
            _LOG.warning(
                "when the recording began is not known; the file says when the run was finished."
            )
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    raise GrevyError(f"{run.folder.root}: its manifest does not say when it was finished.")


def _describe(folder: Path, run: ArchivedRun) -> None:
    """Say in the manner of BIDS what the folder holds; what another program says there stays."""
    path = folder / DESCRIPTION
    if path.exists() and not _is_ours(path):
        _LOG.warning(f"{path} describes another data set, and was left as it is.")
        return
    described = {
        "Name": "Embeddings by Grevy",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "Grevy", "Version": __version__}],
        "SourceDatasets": [
            {"URL": str(each["source"]), "Version": f"sha256:{each['sha256']}"}
            for each in run.manifest["data"]
        ],
    }
    write_bytes(path, (json.dumps(described, indent=2) + "\n").encode())


def _is_ours(path: Path) -> bool:
    try:
        if path.stat().st_size > TEXT_BYTES:
            return False
        made_by = json.loads(path.read_text(encoding="utf-8"))["GeneratedBy"]
        return bool(made_by[0]["Name"] == "Grevy")
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return False
