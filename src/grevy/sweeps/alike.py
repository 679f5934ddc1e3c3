"""How alike the embeddings of finished runs are: between seeds, and between recordings.

Computed from what is archived; nothing is trained. Embeddings are compared where no encoder has
trained: of one recording step by step, of different recordings by a label that all of them have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from grevy.archive import ArchivedRun, read_run
from grevy.data import Array, IntArray, Label, steps_inside
from grevy.errors import GrevyError
from grevy.evaluation import Consistency, consistency
from grevy.report import plural
from grevy.sweeps.comparing import Comparison
from grevy.sweeps.records import RunRecord
from grevy.sweeps.rows import Row
from grevy.sweeps.words import plain, say_setting

MOST_RUNS = 20
"""Of one row; pairs grow with the square."""


@dataclass(frozen=True, eq=False)
class Alike:
    """How alike embeddings are that share all settings but one thing.

    Attributes
    ----------
    row : Row
        The settings; of several recordings the first row.
    over : str
        "seeds", or "recordings".
    where : str
        At which steps, or by which label, they were compared, in words.
    found : Consistency or None
        None where it could not be computed.
    why_not : str
    """

    row: Row
    over: str
    where: str
    found: Consistency | None
    why_not: str = ""


def over_seeds(row: Row) -> Alike:
    """Compare the embeddings of the seeds of one row on the steps that none has trained on."""
    runs = row.runs[:MOST_RUNS]
    names = [f"seed {run.seed}" if run.seed is not None else run.run_id for run in runs]
    where = "held-out steps"
    try:
        read = [read_run(run.folder) for run in runs]
        steps = _held_out(read)
        if steps is None:
            where, steps = "all steps, trained on too", steps_inside(read[0].segments)
        return Alike(
            row, "seeds", where, consistency([run.embedding[steps] for run in read], names)
        )
    except GrevyError as error:
        return Alike(row, "seeds", where, None, str(error))


def over_recordings(rows: Sequence[Row]) -> Alike:
    """Compare the embeddings of several recordings, one seed of each, by the first label shared."""
    runs = [row.runs[0] for row in rows][:MOST_RUNS]
    names = [say_setting(row.settings.get("recording")) for row in rows][:MOST_RUNS]
    try:
        read = [read_run(run.folder) for run in runs]
        shared = _shared_label(read)
        held_out = [_held_out([run]) for run in read]
        each = [steps for steps in held_out if steps is not None]
        where = f"held-out steps, by {shared}"
        if len(each) < len(read):
            where = f"all steps, trained on too, by {shared}"
            each = [steps_inside(run.segments) for run in read]
        parts = [run.embedding[steps] for run, steps in zip(read, each, strict=True)]
        labels = [_label(run, shared).take(steps) for run, steps in zip(read, each, strict=True)]
        return Alike(rows[0], "recordings", where, consistency(parts, names, labels=labels))
    except GrevyError as error:
        return Alike(rows[0], "recordings", "", None, str(error))


def consistency_lines(comparison: Comparison) -> list[str]:
    """Compute and say how alike embeddings are between the seeds of each row, and recordings."""
    lines = ["Consistency: R2 of linear maps between embeddings, mean over pairs (chance)"]
    found = [over_seeds(row) for row in comparison.rows.rows if len(row.runs) > 1]
    for rows in _alike_but_for_data(comparison.rows.rows):
        found.append(over_recordings(rows))
    for each in found:
        lines.append(_said(each))
    if not found:
        lines.append("none: no row has several seeds, and no settings have several recordings")
    return [plain(line) for line in lines]


def _said(each: Alike) -> str:
    hidden = {"recording"} if each.over == "recordings" else set()
    settings = ", ".join(
        f"{name}={say_setting(value)}"
        for name, value in each.row.settings.items()
        if name not in hidden
    )
    about = f"{settings or 'all settings alike'}: "
    if each.found is None:
        return f"{about}none over {each.over}: {each.why_not}"
    count = len(each.found.names)
    words = plural(count, each.over.removesuffix("s"))
    return f"{about}{each.found.mean:.2f} ({each.found.chance:.2f}) over {words}, {each.where}"


def _alike_but_for_data(rows: Sequence[Row]) -> list[list[Row]]:
    """Group rows that differ in their recording alone; those of one recording are none."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        first: RunRecord = row.runs[0]
        key = repr(
            sorted((name, value) for name, value in first.settings.items() if name != "dataset")
        )
        groups.setdefault(key, []).append(row)
    return [group for group in groups.values() if len({r.runs[0].checksums for r in group}) > 1]


def _held_out(runs: Sequence[ArchivedRun]) -> IntArray | None:
    """Return the steps that all runs held out; None where one of them held out nothing."""
    each: list[Array] = []
    for run in runs:
        steps = next((decoded.steps for decoded in run.decoded.values()), None)
        if steps is None or not len(steps):
            return None
        each.append(steps)
    common = reduce(np.intersect1d, each)
    return common if len(common) > 1 else None


def _shared_label(runs: Sequence[ArchivedRun]) -> str:
    for label in runs[0].labels:
        if all(any(label.name == other.name for other in run.labels) for run in runs):
            return label.name
    raise GrevyError("the recordings have no label in common, by which to compare embeddings")


def _label(run: ArchivedRun, name: str) -> Label:
    return next(label for label in run.labels if label.name == name)
