"""The scores of a run, label by label, taken out of its metrics: what is missing stays missing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grevy.archive import ArchivedRun
from grevy.data import FloatArray, Label
from grevy.evaluation import MEASURES, Measure
from grevy.report.words import number, score, unit_of

NAMES = {
    "embedding": "Embedding",
    "pca": "Principal components",
    "raw": "Raw data",
    "umap": "UMAP",
    "chance": "Constant answer",
}


@dataclass(frozen=True)
class Score:
    """One score and, where known, its 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval, if both ends are known."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True, eq=False)
class Null:
    """How the scores of moved labels are spread; for `values` and `observed` larger is better.

    `how` says how labels were moved; `trained_on_label`, whether the encoder was trained with the
    true label; `note`, a sentence: why p is not to be trusted, if so.
    """

    observed: float
    values: FloatArray
    p: float
    how: str
    retrained: bool
    trained_on_label: bool
    note: str

    @property
    def is_of_seen_label(self) -> bool:
        """Whether the encoder has seen the true label, and none of the moved ones."""
        return self.trained_on_label and not self.retrained


@dataclass(frozen=True)
class Folds:
    """The score that decides, fold by fold, each by an encoder that has not seen the fold.

    Attributes
    ----------
    values : tuple of K floats
    mean : float
    pooled : Score
        Of the test steps of all folds together.
    chance : float or None
        What knowing nothing scores in a fold, in the mean; None if that is as on held-out time.
    """

    values: tuple[float, ...]
    mean: float
    pooled: Score
    chance: float | None


@dataclass(frozen=True, eq=False)
class LabelResult:
    """How one label was decoded.

    Attributes
    ----------
    name, kind, unit : str
        `unit` is empty where it is unknown.
    measures : tuple of Measure
        The scores of this kind of label; the first decides.
    held_out : dict of str to Score
        By what was decoded from: embedding, pca, raw; empty if no time was held out.
    chance, archived_chance : float
        What knowing nothing scores: to beat, and on these very steps.
    null : Null or None
    folds : Folds or None
    leaky : bool
        Whether the random split may flatter; True where it is not known.
    where : str
        What the score is of, in words: see `held_out_words`.
    tables : dict
        All scores as archived: ``random`` and ``blocked``.
    """

    name: str
    kind: str
    unit: str
    measures: tuple[Measure, ...]
    held_out: dict[str, Score]
    chance: float
    archived_chance: float
    null: Null | None
    folds: Folds | None
    leaky: bool
    where: str
    tables: dict[str, Any]

    @property
    def measure(self) -> Measure:
        """The score that decides."""
        return self.measures[0]

    def title(self, measure: Measure | None = None) -> str:
        """Name a score, by itself the one that decides, with the unit where it is in one."""
        measure = measure or self.measure
        return measure.name + (f" ({self.unit})" if measure.in_unit and self.unit else "")

    def say_bare(self, value: float | None, measure: Measure | None = None) -> str:
        """Write a value of a score, by itself of the one that decides, without its unit."""
        return number(value) if (measure or self.measure).in_unit else score(value)

    def say_main(self, value: float | None) -> str:
        """Write a value of the score that decides, with its unit where it has one."""
        has_unit = self.measure.in_unit and self.unit and value is not None
        return self.say_bare(value) + (f" {self.unit}" if has_unit else "")

    def say_interval(self, ends: tuple[float, float]) -> str:
        """Write an interval of the score that decides: the unit once."""
        return f"{self.say_bare(ends[0])} to {self.say_main(ends[1])}"


def label_results(run: ArchivedRun) -> list[LabelResult]:
    """Take the scores of every label out of a run's metrics."""
    known = {label.name: label for label in run.labels}
    return [
        _label_result(str(name), scores, known.get(str(name)), run)
        for name, scores in _mapping(run.metrics.get("scores")).items()
        if _mapping(scores).get("kind") in MEASURES
    ]


def held_out_words(metrics: Mapping[str, Any]) -> str:
    """Say what a run held out: blocks of time, or whole segments."""
    by_segment = _mapping(metrics.get("holdout")).get("split") == "segments"
    return "held-out segments" if by_segment else "held-out time"


def _label_result(name: str, scores: Any, label: Label | None, run: ArchivedRun) -> LabelResult:
    metrics = run.metrics
    kind = str(scores["kind"])
    measures = MEASURES[kind]
    key = measures[0].key
    blocked = _mapping(scores.get("blocked"))
    held_out = {
        source: _score(_mapping(values), key)
        for source, values in blocked.items()
        if source != "chance" and _number(_mapping(values).get(key)) is not None
    }
    chance = _chance(kind, blocked, label)
    return LabelResult(
        name, kind, unit_of(label) if label else "",
        # The mean of the training scores below 0 on any other stretch of time: no bar to clear.
        measures, held_out, max(chance, 0.0), chance,
        _null(_mapping(scores.get("null")), _trained_on(kind, run.config)),
        _folds(_mapping(_mapping(metrics.get("folds")).get(name)), key),
        _mapping(metrics.get("leaky")).get(name) is not False,
        held_out_words(metrics), dict(scores),
    )  # fmt: skip


def _score(values: Mapping[str, Any], key: str) -> Score:
    interval = _mapping(values.get("intervals")).get(key)
    ends = interval if isinstance(interval, list) and len(interval) == 2 else (None, None)
    return Score(float(values[key]), _number(ends[0]), _number(ends[1]))


def _chance(kind: str, blocked: Mapping[str, Any], label: Label | None) -> float:
    """Return what knowing nothing scores: as archived, or as theory has it.

    Of a discrete label that is one over the number of classes tested, whichever class is answered:
    the training's commonest may not be among them.
    """
    archived = _mapping(blocked.get("chance"))
    found = _number(archived.get(MEASURES[kind][0].key))
    if kind == "discrete":
        theirs = (_mapping(blocked.get(source)) for source in ("embedding", "chance"))
        known = (_number(each.get("balanced_chance")) for each in theirs)
        found = next((value for value in known if value is not None), found)
    if found is not None or kind == "continuous":
        return found or 0.0
    if kind == "circular":
        return label.period / 4 if label else math.pi / 2
    return 1 / len(label.classes) if label and label.classes else 0.0


def _trained_on(kind: str, config: Mapping[str, Any]) -> bool:
    """Tell whether an encoder was trained with a label, for runs that do not say so themselves."""
    return bool(config) and (kind == "discrete" or config.get("conditional") != "time")


def _null(values: Mapping[str, Any], trained_on: bool) -> Null | None:
    spread = np.array(
        [each for each in map(_number, values.get("values") or ()) if each is not None]
    )
    observed, p = _number(values.get("observed")), _number(values.get("p"))
    note = str(values.get("note") or "")
    if observed is None or p is None or not len(spread):
        return None
    return Null(
        observed, spread, p, str(values.get("how") or "moved in time"),
        values.get("retrained") is True, bool(values.get("trained_on_label", trained_on)),
        note[:1].upper() + note[1:],
    )  # fmt: skip


def _folds(found: Mapping[str, Any], key: str) -> Folds | None:
    values = [_number(value) for value in found.get("values") or ()]
    known = tuple(value for value in values if value is not None)
    mean, pooled = _number(found.get("mean")), _mapping(found.get("pooled"))
    if not known or len(known) < len(values) or mean is None or _number(pooled.get(key)) is None:
        return None
    chances = [_number(each) for each in found.get("chance") or ()]
    chance = [each for each in chances if each is not None]
    return Folds(known, mean, _score(pooled, key), sum(chance) / len(chance) if chance else None)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and math.isfinite(value) else None
