"""The scores of a run, label by label, taken out of its metrics: what is missing stays missing."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grevy.archive import ArchivedRun
from grevy.data import FloatArray, Label
from grevy.evaluation import MEASURES, Measure
from grevy.report.words import number, plural, score, short, unit_of

# In the order in which they are shown: what sees one time step stands below what sees the window.
NAMES = {
    "embedding": "Embedding",
    "pca": "Principal components",
    "pca_one_step": "Principal components, one step",
    "raw": "Raw activity",
    "raw_one_step": "Raw activity, one step",
    "umap": "UMAP",
    "chance": "Constant answer",
}
ONE_STEP_OF = {"pca_one_step": "pca", "raw_one_step": "raw"}


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


@dataclass(frozen=True)
class Source:
    """What a label was decoded from, and how well.

    Attributes
    ----------
    name : str
    reading : str
        How many time steps it sees and how they were put together, in words; empty if unknown.
    columns : int or None
        How many numbers per time step it is decoded from.
    score : Score
        The one that decides.
    gain : Score or None
        How much better the embedding is on the same steps: above 0 where it is.
    """

    name: str
    reading: str
    columns: int | None
    score: Score
    gain: Score | None

    @property
    def detail(self) -> str:
        """How it was read and how many numbers that makes, in words."""
        count = "" if self.columns is None else plural(self.columns, "number")
        return ", ".join(part for part in (self.reading, count) if part)


@dataclass(frozen=True, eq=False)
class Null:
    """How the scores of moved labels are spread; for `values` and `observed` larger is better.

    Attributes
    ----------
    observed : float
    values : ndarray of shape (n,)
    p : float
    p_adjusted : float or None
        By Holm's method over `n_labels` labels, where there are several.
    n_labels : int
    how : str
        How labels were moved.
    method : str
        What was decoded: "folds", "held-out", "retrained"; empty if unknown.
    n_folds : int or None
    """

    observed: float
    values: FloatArray
    p: float
    p_adjusted: float | None
    n_labels: int
    how: str
    method: str
    n_folds: int | None

    @property
    def is_shifted(self) -> bool:
        """Whether labels moved in steps, not in whole segments."""
        return self.how.startswith("shifted")

    @property
    def deciding_p(self) -> float:
        """The p that a finding rests on: the adjusted one, where there is one."""
        return self.p if self.p_adjusted is None else self.p_adjusted


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
    window_steps : int or None
        The time steps that the encoder sees at once.
    held_out : dict of str to Source
        By what was decoded from, in the order of `NAMES`; empty if no time was held out.
    chance, archived_chance : float
        What knowing nothing scores: to beat, and on these very steps.
    null : Null or None
    is_without_p : bool
        Whether no p can be given, as the run's note says; False where none was asked for.
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
    window_steps: int | None
    held_out: dict[str, Source]
    chance: float
    archived_chance: float
    null: Null | None
    is_without_p: bool
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

    def say_gain(self, value: float, with_unit: bool = True) -> str:
        """Write a gain in the score that decides: a small one keeps a digit that counts."""
        if not self.measure.in_unit:
            return number(value, 2 if abs(value) >= 0.01 or value == 0 else 3)
        return number(value) + (f" {self.unit}" if with_unit and self.unit else "")

    def say_interval(self, ends: tuple[float, float]) -> str:
        """Write an interval of the score that decides: the unit once."""
        return f"{self.say_bare(ends[0])} to {self.say_main(ends[1])}"


def label_results(run: ArchivedRun) -> list[LabelResult]:
    """Take the scores of every label out of a run's metrics."""
    known = {label.name: label for label in run.labels}
    return [
        _label_result(str(name), scores, known.get(str(name)), run)
        for name, scores in mapping_of(run.metrics.get("scores")).items()
        if mapping_of(scores).get("kind") in MEASURES
    ]


def held_out_words(metrics: Mapping[str, Any]) -> str:
    """Say what a run held out: blocks of time, or whole segments."""
    by_segment = mapping_of(metrics.get("holdout")).get("split") == "segments"
    return "held-out segments" if by_segment else "held-out time"


def _label_result(name: str, scores: Any, label: Label | None, run: ArchivedRun) -> LabelResult:
    metrics = run.metrics
    kind = str(scores["kind"])
    measures = MEASURES[kind]
    key = measures[0].key
    blocked = mapping_of(scores.get("blocked"))
    window_steps = _count(metrics.get("window_steps"))
    null = null_of(mapping_of(scores.get("null")), _n_adjusted(metrics))
    chance = _chance(kind, blocked, label)
    return LabelResult(
        name, kind, unit_of(label) if label else "", measures, window_steps,
        _sources(blocked, key, window_steps, run.embedding.shape[1]),
        # The mean of the training scores below 0 on any other stretch of time: no bar to clear.
        max(chance, 0.0), chance,
        null, null is None and bool(scores.get("no_p")),
        _folds(mapping_of(mapping_of(metrics.get("folds")).get(name)), key),
        mapping_of(metrics.get("leaky")).get(name) is not False,
        held_out_words(metrics), dict(scores),
    )  # fmt: skip


def source_name(source: str) -> str:
    """Say what something was decoded from, in words."""
    return NAMES.get(source, short(source, 40))


def in_order(sources: Iterable[str]) -> list[str]:
    """Put what was decoded from in the order of `NAMES`; what nobody knows comes before chance."""
    order = [name for name in NAMES if name != "chance"]
    places = {"chance": len(order) + 1, **{name: place for place, name in enumerate(order)}}
    return sorted(sources, key=lambda source: places.get(source, len(order)))


def reading(window: str, window_steps: int | None) -> str:
    """Say how many time steps are seen at once, and how they were put together."""
    if window not in ("summed", "lagged"):
        return window
    return window if window_steps is None else f"{plural(window_steps, 'step')} {window}"


def _sources(
    blocked: Mapping[str, Any], key: str, window_steps: int | None, dimension: int
) -> dict[str, Source]:
    """Take what was decoded from, but chance, out of the held-out scores of a label."""
    found = {}
    for source in in_order(blocked):
        values = mapping_of(blocked[source])
        if source == "chance" or number_of(values.get(key)) is None:
            continue
        window, columns = str(values.get("window") or ""), _count(values.get("columns"))
        if source == "embedding":
            window, columns = _receptive_field(window_steps), dimension
        found[source] = Source(
            source_name(source), reading(window, window_steps), columns,
            score_of(values, key), _gain(mapping_of(values.get("gain")), key),
        )  # fmt: skip
    return found


def _receptive_field(window_steps: int | None) -> str:
    if window_steps is None:
        return ""
    return "one step" if window_steps == 1 else plural(window_steps, "step")


def score_of(values: Mapping[str, Any], key: str) -> Score:
    """Take one score, which is there, and its interval out of those of a decoding."""
    return Score(float(values[key]), *_ends(mapping_of(values.get("intervals")).get(key)))


def _gain(found: Mapping[str, Any], key: str) -> Score | None:
    """Return how much better the embedding is, if that is of the score that decides."""
    value = number_of(found.get("value"))
    if value is None or found.get("score") != key:
        return None
    return Score(value, *_ends(found.get("interval")))


def _ends(interval: Any) -> tuple[float | None, float | None]:
    low, high = interval if isinstance(interval, list) and len(interval) == 2 else (None, None)
    return number_of(low), number_of(high)


def _chance(kind: str, blocked: Mapping[str, Any], label: Label | None) -> float:
    """Return what knowing nothing scores: as archived, or as theory has it.

    Of a discrete label that is one over the number of classes tested, whichever class is answered:
    the training's commonest may not be among them.
    """
    archived = mapping_of(blocked.get("chance"))
    found = number_of(archived.get(MEASURES[kind][0].key))
    if kind == "discrete":
        theirs = (mapping_of(blocked.get(source)) for source in ("embedding", "chance"))
        known = (number_of(each.get("balanced_chance")) for each in theirs)
        found = next((value for value in known if value is not None), found)
    if found is not None or kind == "continuous":
        return found or 0.0
    if kind == "circular":
        return label.period / 4 if label else math.pi / 2
    return 1 / len(label.classes) if label and label.classes else 0.0


def _n_adjusted(metrics: Mapping[str, Any]) -> int:
    """Count the labels whose p were adjusted for one another."""
    scores = [mapping_of(each) for each in mapping_of(metrics.get("scores")).values()]
    nulls = [mapping_of(each.get("null")) for each in scores]
    return sum(number_of(null.get("p_adjusted")) is not None for null in nulls)


def null_of(values: Mapping[str, Any], n_labels: int) -> Null | None:
    """Take a null test out of what is archived of it; None if it is not whole."""
    spread = np.array(
        [each for each in map(number_of, values.get("values") or ()) if each is not None]
    )
    observed, p = number_of(values.get("observed")), number_of(values.get("p"))
    if observed is None or p is None or not len(spread):
        return None
    return Null(
        observed, spread, p, number_of(values.get("p_adjusted")), n_labels,
        str(values.get("how") or "moved in time"), str(values.get("method") or ""),
        _count(values.get("folds")),
    )  # fmt: skip


def _folds(found: Mapping[str, Any], key: str) -> Folds | None:
    values = [number_of(value) for value in found.get("values") or ()]
    known = tuple(value for value in values if value is not None)
    mean, pooled = number_of(found.get("mean")), mapping_of(found.get("pooled"))
    if not known or len(known) < len(values) or mean is None or number_of(pooled.get(key)) is None:
        return None
    chances = [number_of(each) for each in found.get("chance") or ()]
    chance = [each for each in chances if each is not None]
    return Folds(known, mean, score_of(pooled, key), sum(chance) / len(chance) if chance else None)


def mapping_of(value: Any) -> Mapping[str, Any]:
    """Return what is a mapping, and an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def number_of(value: Any) -> float | None:
    """Return what is a finite number, and None for anything else."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and math.isfinite(value) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
