"""The numbers of a run that say how good it is: what they are, and which way is better."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from grevy.errors import GrevyError, unknown
from grevy.evaluation import MEASURES, Measure
from grevy.report import source_name
from grevy.sweeps.records import RunRecord

HELD_OUT_FIT = "goodness_of_fit_heldout_bits"
OF_HELD_OUT = ("latent_r2", "consistency.mean")
"""Scores of no label that are of held-out steps, if any were held out."""
FIT, RAW_LOSS, VALIDATION = "validation.bits", "validation.loss", "validation.scores."
SOURCE = "embedding"
# What a run scores beside its labels: what readers call it, its unit, which way is better.
_OTHERS = {
    HELD_OUT_FIT: ("goodness of fit, held out", "bits", True),
    "goodness_of_fit_bits": ("goodness of fit, in training", "bits", True),
    FIT: ("goodness of fit, validation", "bits", True),
    RAW_LOSS: ("validation loss", "nats", False),
    "consistency.mean": ("consistency between seeds, R²", "", True),
    "latent_r2": ("linear R² to the true latent", "", True),
    "test_r2": ("the manual's test R², random split", "", True),
    "train_r2": ("the manual's train R², random split", "", True),
    "prediction_r2": ("the manual's prediction R², random split", "", True),
}
_IN_TRAINING = {
    "train_r2": "test_r2",
    "train_mean_error": "mean_error",
    "train_accuracy": "accuracy",
}


@dataclass(frozen=True)
class Metric:
    """One number of every run, by which runs can be compared.

    Attributes
    ----------
    name : str
        Dotted, as in ``logs/metrics.json``.
    title : str
        For readers, without the unit.
    larger_is_better : bool
    label : str
        The label that is scored; empty for what is of no label.
    in_label_unit : bool
        Whether it is in the unit of that label.
    unit : str
        Bits, nats, or empty.
    chance : str or None
        The name of the number that knowing nothing scores; empty if that is 0, None if unknown.
    held_out : bool
        Whether it is the score that decides, of the embedding, on held-out steps.
    """

    name: str
    title: str
    larger_is_better: bool
    label: str = ""
    in_label_unit: bool = False
    unit: str = ""
    chance: str | None = None
    held_out: bool = False

    @property
    def sign(self) -> int:
        """What turns a value into one that is better when larger, and back."""
        return 1 if self.larger_is_better else -1

    @property
    def is_fit(self) -> bool:
        """Whether it is made of the loss, so that it depends on how samples were drawn."""
        return self.unit in ("bits", "nats")

    def chance_of(self, run: RunRecord) -> float | None:
        """Return what knowing nothing scores in a run, if that is known."""
        if self.chance is None:
            return None
        value = run.numbers.get(self.chance) if self.chance else 0.0
        # As in the report: the mean of the training scores below 0 elsewhere, no bar to clear.
        is_r2 = self.label and not self.in_label_unit and value is not None
        return max(value, 0.0) if is_r2 and value is not None else value


def find_metric(runs: Sequence[RunRecord], by: str | None) -> Metric:
    """Find the number that runs are to be compared by.

    Parameters
    ----------
    runs : sequence of RunRecord
    by : str or None
        Its dotted name; None for the score that decides of the first label on held-out steps, or
        the goodness of fit where nothing was decoded.

    Raises
    ------
    GrevyError
        If no run holds it, naming the nearest; or it is no score.
    """
    if by is None:
        return _usual(runs)
    for run in runs:
        if by in run.numbers:
            found = metric_of(run, by)
            if found is not None:
                return found
            raise GrevyError(
                f"`by={by}` is no score: of it, neither more nor less is better. Give one of the "
                f"scores, such as {_usual(runs).name}."
            )
    raise _no_such(runs, by)


def list_metrics(runs: Iterable[RunRecord]) -> dict[str, Metric]:
    """List every number by which some of the runs can be compared, by name."""
    found: dict[str, Metric] = {}
    seen: set[str] = set()
    for run in runs:
        for name in run.numbers:
            if name not in seen:
                seen.add(name)
                metric = metric_of(run, name)
                if metric is not None:
                    found[name] = metric
    return found


def metric_of(run: RunRecord, name: str) -> Metric | None:
    """Say what a number of a run is; None if it is no score."""
    if name in _OTHERS:
        title, unit, larger = _OTHERS[name]
        chance = "consistency.chance" if name == "consistency.mean" else ""
        return Metric(name, title, larger, unit=unit, chance=None if unit == "nats" else chance)
    for before in ("scores.", "folds.", VALIDATION):
        # Labels may be called alike up to a dot.
        for label in sorted(run.kinds, key=len, reverse=True):
            start = f"{before}{label}."
            if name.startswith(start):
                return _of_label(name, before, label, run.kinds[label], name[len(start) :])
    return None


@cache
def _of_label(name: str, before: str, label: str, kind: str, rest: str) -> Metric | None:
    """Say what a score of a label is, from where it stands."""
    *path, key = rest.split(".")
    main = MEASURES[kind][0]
    if before == VALIDATION:
        return _score(name, label, kind, key, "validation blocks") if not path else None
    if before == "folds.":
        if rest == "mean":
            return _made(name, label, main, "mean of the folds", None)
        return _score(name, label, kind, key, "all folds together") if path == ["pooled"] else None
    if path == ["null"]:
        return Metric(name, f"{label}: p", False, label) if key in ("p", "p_adjusted") else None
    if path == ["random"]:
        return _score(name, label, kind, key, "random split")
    if not path or path[0] != "blocked" or len(path) < 2 or path[1] == "chance":
        return None
    source = path[1]
    if path[2:] == ["gain"] and key == "value":
        said = f"gain over {source_name(source).lower()}"
        return Metric(name, f"{label}: {said}, {main.name}", True, label, main.in_unit, chance="")
    where = "held out" if source == SOURCE else f"held out, {source_name(source).lower()}"
    where += ", ".join(["", *path[3:]]) if path[2:3] == ["by_window"] else ""
    return _score(name, label, kind, key, where, is_held_out=path == ["blocked", SOURCE])


def _score(
    name: str, label: str, kind: str, key: str, where: str, is_held_out: bool = False
) -> Metric | None:
    in_training = key in _IN_TRAINING
    measures = {each.key: each for each in MEASURES[kind]}
    measure = measures.get(_IN_TRAINING.get(key, key))
    if measure is None:
        return None
    if in_training:
        return _made(name, label, measure, f"training steps of {where}", None)
    before = name[: -len(key)]
    chance = f"scores.{label}.blocked.chance.{key}"
    if measure.at_chance:
        chance = before + measure.at_chance
    elif not before.startswith(f"scores.{label}.blocked."):
        return _made(name, label, measure, where, None)
    decides = is_held_out and measure is MEASURES[kind][0]
    return _made(name, label, measure, where, chance, decides)


def _made(
    name: str, label: str, measure: Measure, where: str, chance: str | None, decides: bool = False
) -> Metric:
    return Metric(
        name, f"{label}: {measure.name}, {where}", measure.larger_is_better, label,
        measure.in_unit, chance=chance, held_out=decides,
    )  # fmt: skip


def _usual(runs: Sequence[RunRecord]) -> Metric:
    for run in runs:
        for label, kind in run.kinds.items():
            name = f"scores.{label}.blocked.{SOURCE}.{MEASURES[kind][0].key}"
            found = metric_of(run, name) if name in run.numbers else None
            if found is not None:
                return found
    for name in _OTHERS:
        for run in runs:
            found = metric_of(run, name) if name in run.numbers else None
            if found is not None:
                return found
    raise GrevyError(
        f"none of the {len(runs)} runs holds a score, so there is nothing to compare them by. "
        f"`grevy evaluate RUN` says what a run can be scored by."
    )


def _no_such(runs: Sequence[RunRecord], by: str) -> GrevyError:
    names = list(list_metrics(runs))
    within = [name for name in names if by and by in name]
    if by and within:
        # Nearest first: the fewer signs are beside what was given.
        listed = " or ".join(sorted(within, key=lambda name: (len(name), name))[:3])
        return GrevyError(f"unknown metric {by!r}. Did you mean {listed}?")
    return unknown("metric", by, names)
