"""A finished run as a comparison needs it: settings and numbers by name, without any array."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grevy.archive import Outcome, RunFolder, read_outcome
from grevy.config import RunConfig, deciding
from grevy.errors import GrevyError
from grevy.sweeps.finding import find_runs


@dataclass(frozen=True, eq=False)
class RunRecord:
    """One finished run in a comparison.

    Attributes
    ----------
    folder : RunFolder
    run_id : str
    seed : int or None
    settings : dict
        What decides the result beside data and seed; what an older run did not know yet is at its
        default.
    checksums, sources : tuple of str
        Of each recording.
    kinds : dict of str to str
        The kind of each scored label, in the order of the run.
    numbers : dict of str to float
        What ``logs/metrics.json`` holds, by dotted name, such as
        ``scores.position.blocked.embedding.test_r2``; finite numbers alone. Of the validation loss
        the last (``validation.loss``), and its distance from chance (``validation.bits``).
    folds : dict of str to tuple of float
        The score of each fold, by label.
    """

    folder: RunFolder
    run_id: str
    seed: int | None
    settings: dict[str, Any]
    checksums: tuple[str, ...]
    sources: tuple[str, ...]
    kinds: dict[str, str]
    numbers: dict[str, float]
    folds: dict[str, tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class Records:
    """All runs below some folders.

    Attributes
    ----------
    runs : tuple of RunRecord
    skipped : tuple of str
        One line for each folder that was passed over, with the reason.
    """

    runs: tuple[RunRecord, ...]
    skipped: tuple[str, ...]


def read_records(places: Sequence[Path]) -> Records:
    """Read every finished run below some folders; what cannot be read is named and left out.

    Raises
    ------
    GrevyError
        If a place is no folder, or holds no run that can be read.
    """
    found = find_runs(places)
    runs, skipped = [], list(found.skipped)
    for folder in found.folders:
        try:
            runs.append(make_record(read_outcome(folder)))
        except GrevyError as error:
            skipped.append(str(error))  # it names the file
    if not runs:
        listed = "\n".join(f"  {line}" for line in skipped[:20])
        raise GrevyError(f"none of the {len(skipped)} runs found can be read:\n{listed}")
    return Records(tuple(runs), tuple(skipped))


def make_record(outcome: Outcome) -> RunRecord:
    """Take out of a run what a comparison needs."""
    metrics, data = outcome.metrics, outcome.manifest["data"]
    defaults = {name: field.default for name, field in RunConfig.model_fields.items()}
    settings = deciding({**defaults, **outcome.config})
    seed = outcome.config.get("seed")
    return RunRecord(
        folder=outcome.folder,
        run_id=outcome.manifest["run_id"],
        seed=seed if isinstance(seed, int) else None,
        settings={
            sys.intern(name): _plain(value) for name, value in settings.items() if name != "seed"
        },
        checksums=tuple(each["sha256"] for each in data),
        sources=tuple(each["source"] for each in data),
        kinds={name: each["kind"] for name, each in metrics.get("scores", {}).items()},
        numbers={**dict(_numbers(metrics)), **_validated(metrics)},
        folds={
            name: tuple(map(float, each["values"]))
            for name, each in metrics.get("folds", {}).items()
        },
    )


def _plain(value: Any) -> Any:
    """Return one for a list of one, which a setting may be given as."""
    if isinstance(value, list | tuple):
        return value[0] if len(value) == 1 else list(value)
    return value


def _numbers(found: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    for name, value in found.items():
        dotted = f"{before}{name}"
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{dotted}.")
        elif type(value) in (int, float) and math.isfinite(value):
            yield sys.intern(dotted), float(value)


def _validated(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the last validation loss: the weights of a run are those of its last step."""
    losses = (metrics.get("validation") or {}).get("loss")
    chance = metrics.get("chance_nats")
    if not losses or not math.isfinite(losses[-1]):
        return {}
    found = {"validation.loss": float(losses[-1])}
    if chance:
        found["validation.bits"] = (chance - losses[-1]) / math.log(2)
    return found
