"""A run that is finished; asked for again with the same settings and data, it is that run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grevy import archive
from grevy.archive import ArchivedRun, RunFolder, read_run
from grevy.config import RunConfig, deciding, known_settings, make_config
from grevy.data import Recording, data_checksum
from grevy.errors import GrevyError
from grevy.report import summarise, write_report
from grevy.runs.preparing import load_recordings

# What a training settles where it is left open.
SETTLED = ("seed", "conditional", "prior", "folds", "nulls", "time_offsets")


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes
    ----------
    folder : RunFolder
    config : RunConfig
        As resolved: the seed, the device and how positives were drawn are settled.
    metrics : dict
        As in ``logs/metrics.json``.
    summary : str
        As in ``logs/summary.txt``.
    """

    folder: RunFolder
    config: RunConfig
    metrics: dict[str, Any]
    summary: str


def finished_run(config: RunConfig, recordings: Sequence[Recording] | None = None) -> Run | None:
    """Read the run in the output folder if it is finished; None if it is not.

    Parameters
    ----------
    config : RunConfig
    recordings : sequence of Recording, optional
        What the configuration names, where it is loaded already.

    Raises
    ------
    GrevyError
        If it was made with other settings or data, naming what differs; or cannot be read.
    """
    folder = RunFolder(Path(config.output_dir))
    if not folder.finished:
        return None
    run = read_run(folder)
    archived = make_config(known_settings(run.config))
    differing = _differing(config, archived)
    if not differing and not made_from(
        run, load_recordings(config) if recordings is None else recordings
    ):
        differing = ["the data are others"]
    if differing:
        raise GrevyError(
            f"{folder.root} holds a finished run that is another one: {', '.join(differing)}. "
            f"Choose another `output_dir`, or give `overwrite=True` to replace it."
        )
    if not (folder / archive.REPORT).is_file():  # cut off after it was sealed
        write_report(folder)
    sources = "; ".join(str(each["source"]) for each in run.manifest["data"])
    summary = summarise(run.config, run.metrics, run.embedding.shape, sources)
    return Run(folder, archived, run.metrics, summary)


def made_from(run: ArchivedRun, recordings: Sequence[Recording]) -> bool:
    """Tell whether recordings are those that a run was made from."""
    sealed = [each["sha256"] for each in run.manifest["data"]]
    return sealed == [data_checksum([recording]) for recording in recordings]


def _differing(asked: RunConfig, archived: RunConfig) -> list[str]:
    """Say which settings that decide a result were others; what was left open is any."""
    here, known = (deciding(config.model_dump()) for config in (asked, archived))
    found = _sessions_differing(here.pop("sessions", ()), known.pop("sessions", ()))
    for name in () if found else here:
        value, there = here[name], known[name]
        same_name = (value, there) == ("delta", "delta_normal")  # one has two names
        left_open = value is None and name in SETTLED
        if value != there and not (left_open or same_name):
            found.append(f"`{name}` is {_plain(there)} there and {_plain(value)} here")
    return found


def _sessions_differing(
    asked: Sequence[dict[str, Any]], archived: Sequence[dict[str, Any]]
) -> list[str]:
    """Say in what the recordings of two runs are read differently."""
    if len(asked) != len(archived):
        return [f"it has {len(archived) or 'no'} `sessions`, and {len(asked) or 'none'} are here"]
    where: dict[str, list[int]] = {}
    for number, (here, there) in enumerate(zip(asked, archived, strict=True), start=1):
        for name, value in here.items():
            if value != there[name]:
                said = f"is {_plain(there[name])} there and {_plain(value)} here"
                where.setdefault(f"`{name}` {said}", []).append(number)
    return [
        said + ("" if len(each) == len(asked) else f" (recording {', '.join(map(str, each))})")
        for said, each in where.items()
    ]


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) and value else str(value)
