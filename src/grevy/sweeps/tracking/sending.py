"""A finished run as trackers take it, and those that were sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from grevy.archive import MANIFEST, read_history, read_outcome
from grevy.sweeps.folder import SweepFolder
from grevy.sweeps.planning import PlannedRun
from grevy.sweeps.records import make_record

MOST_POINTS = 1000
"""Of a curve of training: more are thinned out evenly, the first and the last kept."""


@dataclass(frozen=True, eq=False)
class Sent:
    """What a tracker is told of a run.

    Attributes
    ----------
    run_id : str
        The name of its folder.
    name : str
        Its settings that vary.
    sweep : str
        The name of the sweep's folder.
    root : Path
        Its folder.
    settings : dict of str to value
        All that were used and have a value, without the folder; lists as text.
    numbers : dict of str to float
        The metrics, by dotted name.
    curves : dict of str to tuple of (int, float)
        By training step: the loss and its parts, and the loss on validation blocks.
    files : tuple of str
        Everything in the folder, relative to it.
    finished : str
        When, in ISO 8601.
    """

    run_id: str
    name: str
    sweep: str
    root: Path
    settings: dict[str, str | int | float | bool]
    numbers: dict[str, float]
    curves: dict[str, tuple[tuple[int, float], ...]]
    files: tuple[str, ...]
    finished: str


class Tracker(Protocol):
    """Where runs are sent to."""

    @property
    def name(self) -> str:
        """What users call it."""

    def send(self, run: Sent) -> None:
        """Hand over a run; raises whatever goes wrong."""


def make_sent(folder: SweepFolder, run: PlannedRun) -> Sent:
    """Read a finished run.

    Raises
    ------
    GrevyError
        If its folder is damaged.
    """
    place = folder.run(run.run_id)
    outcome = read_outcome(place)
    return Sent(
        run_id=run.run_id,
        name=run.label or run.run_id,
        sweep=folder.root.absolute().name,
        root=place.root,
        settings=_settings(outcome.config),
        numbers=make_record(outcome).numbers,
        curves=_curves(read_history(place), outcome.metrics.get("validation") or {}),
        files=(*sorted(outcome.manifest["files"]), MANIFEST),
        finished=str(outcome.manifest["finished"]),
    )


def _settings(config: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    return {
        name: value if isinstance(value, str | int | float | bool) else str(value)
        for name, value in config.items()
        if value is not None and name != "output_dir"
    }


def _curves(
    history: Mapping[str, Any], validation: Mapping[str, Any]
) -> dict[str, tuple[tuple[int, float], ...]]:
    steps = history["step"]
    kept = np.unique(np.linspace(0, len(steps) - 1, min(MOST_POINTS, len(steps))).astype(int))
    found = {
        f"training.{name}": tuple(zip(map(int, steps[kept]), map(float, values[kept]), strict=True))
        for name, values in history.items()
        if name != "step"
    }
    if validation.get("loss"):
        pairs = zip(validation["steps"], validation["loss"], strict=True)
        found["training.validation_loss"] = tuple((int(step), float(loss)) for step, loss in pairs)
    return {
        name: tuple(point for point in curve if np.isfinite(point[1]))
        for name, curve in found.items()
    }
