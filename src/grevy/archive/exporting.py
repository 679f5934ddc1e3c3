"""A finished run for other programs: its embedding on the clock of the data, as NWB or as CSV."""

import io
import json
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from grevy.archive.manifest import recording_names, without_home
from grevy.archive.reading import TEXT_BYTES, ArchivedRun
from grevy.archive.writing import write_bytes
from grevy.data import Array, end_to_end, read_session
from grevy.errors import GrevyError
from grevy.version import __version__

_LOG = logging.getLogger(__name__)

DESCRIPTION = "dataset_description.json"
BIDS_VERSION = "1.10.0"
MODULE, SERIES = "grevy", "embedding"
SUBJECT = ("subject_id", "species", "sex", "age")


@dataclass(frozen=True, eq=False)
class _Part:
    """One recording of a run: its name (empty of a lone one), its steps, what is known of it."""

    name: str
    steps: slice
    times: Array | None
    source: str
    file: str

    def place(self, path: Path) -> Path:
        """Return where its own file goes: beside the others, with its name."""
        if not self.name:
            return path
        name = re.sub(r"[^\w.-]+", "-", self.name)
        return path.with_stem(f"{path.stem}-{name}")


def export_nwb(run: ArchivedRun, path: Path) -> list[Path]:
    """Write the embedding of a run into a new NWB file, and a description of it beside.

    It is the series ``processing/grevy/embedding``, with a time for each step: NaN at steps outside
    every segment. Of the session it says what the source says, if that is an NWB file and still
    there. Of several recordings each gets a file, with its name at the end: an NWB file is of one
    session.

    Parameters
    ----------
    run : ArchivedRun
        Whose recordings have times, or a sampling rate: then they begin at 0.
    path : Path
        Of a file that does not exist yet.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    GrevyError
        If pynwb is not installed, a recording has no times, or a file cannot be made.
    """
    _check(path, ".nwb", "nwb")
    parts = _parts(run)
    places = [part.place(path) for part in parts]
    if len(set(places)) < len(places):  # names that differ in signs that no file name has
        places = [path.with_stem(f"{path.stem}-{i}") for i in range(1, len(parts) + 1)]
    for place, part in zip(places, parts, strict=True):
        _check(place, ".nwb", "nwb")
        if part.times is None:
            raise GrevyError(
                f"{part.name or run.folder.root} has neither times nor a sampling rate, and a "
                f"series of an NWB file needs them. Make the run again with `sampling_rate=HZ`, or "
                f"export with `csv=FILE`."
            )
    for place, part in zip(places, parts, strict=True):
        content = io.BytesIO()
        _write_nwb(content, run, part)
        write_bytes(place, content.getvalue())
    _describe(path.parent, run)
    return places


def export_csv(run: ArchivedRun, path: Path) -> list[Path]:
    """Write the embedding of a run as a table, and a description of it beside.

    Columns are step, time (in seconds, if it is known), segment (empty outside of every one) and
    embedding_1 to embedding_D. Of several recordings the first column is recording, its name, and
    steps, times and segments count from its own beginning. Numbers read back to the same bits.

    Parameters
    ----------
    run : ArchivedRun
    path : Path
        Of a file that does not exist yet.

    Returns
    -------
    list of Path
        What was written.

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
    parts = _parts(run)
    has_times = all(part.times is not None for part in parts)
    tables = []
    for part in parts:
        embedding, own = run.embedding[part.steps], segment[part.steps]
        columns: dict[str, Any] = {"recording": part.name} if part.name else {}
        columns |= {"step": np.arange(len(embedding))}
        columns |= {"time": part.times} if has_times else {}
        columns["segment"] = pd.array(own - np.nanmin(own), dtype="Int64")
        for number, values in enumerate(embedding.T, start=1):
            columns[f"embedding_{number}"] = values.astype(np.float64)
        tables.append(pd.DataFrame(columns))
    table = pd.concat(tables, ignore_index=True)
    write_bytes(path, table.to_csv(index=False, lineterminator="\n").encode())
    _describe(path.parent, run)
    return [path]


def _parts(run: ArchivedRun) -> list[_Part]:
    """Take a run apart into its recordings."""
    data = run.manifest["data"]
    if len(data) < 2:
        source = str(data[0]["source"]) if data else "arrays"
        file = str(run.config.get("data") or "")
        return [_Part("", slice(0, len(run.embedding)), _times(run), source, file)]
    names, edges = recording_names(run.manifest), end_to_end(each["time_steps"] for each in data)
    files = [str(each.get("data")) for each in run.config.get("sessions") or ()]
    files += [""] * (len(data) - len(files))  # of a data set
    found = []
    for number, (start, stop) in enumerate(pairwise(edges.tolist())):
        times = None if run.times is None else run.times[start:stop]
        if times is None and run.sampling_rate is not None:
            times = np.arange(stop - start) / run.sampling_rate
        source = str(data[number]["source"])
        found.append(_Part(names[number], slice(start, stop), times, source, files[number]))
    return found


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


def _write_nwb(content: io.BytesIO, run: ArchivedRun, part: _Part) -> None:
    try:
        import pynwb
    except ImportError as error:
        raise GrevyError(
            "writing an NWB file needs pynwb, which is not installed: pip install 'grevy[nwb]'."
        ) from error
    import h5py

    session = _session(part)
    called = session.get("identifier", part.name or "recording")
    nwb = pynwb.NWBFile(
        session_description=session.get("session_description", "A recording known to Grevy."),
        identifier=f"{called}-grevy-{run.manifest['run_id']}",
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
    source = without_home(part.source)
    module.add(
        pynwb.TimeSeries(
            name=SERIES, data=run.embedding[part.steps], timestamps=part.times, unit="n/a",
            description=f"Embedding (time, dimension) of {source} by "
            f"{run.config.get('model_architecture')}; NaN at steps outside every segment.",
            comments=f"Run {run.manifest['run_id']}.",
        )
    )  # fmt: skip
    with h5py.File(content, "w") as file, pynwb.NWBHDF5IO(file=file, mode="w") as stream:
        stream.write(nwb)


def _session(part: _Part) -> dict[str, str]:
    """Return what the source of a recording says of its session; nothing if it is not there."""
    source = Path(part.file)
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
