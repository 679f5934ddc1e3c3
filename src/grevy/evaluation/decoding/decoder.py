"""Read labels from one embedding: prepare it once, then decode any number of labels."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from grevy.data import Array, IntArray, Label, Split, blocked_split, checked_runs, make_label
from grevy.errors import GrevyError, Problems, unknown
from grevy.evaluation.checks import check_magnitude, check_rows, checked_embedding
from grevy.evaluation.decoding.families import Family, Logistic, NearestNeighbours, Ridge
from grevy.evaluation.decoding.knn import Metric, prepare_neighbours
from grevy.evaluation.decoding.layout import Layout, lay_out
from grevy.evaluation.decoding.logistic import choose_rows
from grevy.evaluation.decoding.result import Decoding, check_resamples, summarise
from grevy.evaluation.decoding.ridge import factorise
from grevy.evaluation.decoding.scores import statistic
from grevy.evaluation.windows import Windowed

DecoderName = Literal["auto", "ridge", "knn", "logistic"]

MAX_LOGISTIC_CLASSES = 64
"""With more classes than these, "auto" asks the neighbours only."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """An embedding and a split, ready to decode any number of labels; made by `prepare`.

    What depends on the embedding alone (scales, decompositions, neighbours) is computed when the
    first label asks for it, and kept.

    Attributes
    ----------
    embedding : ndarray of shape (T, D)
    layout : Layout
        Training, test and inner folds.
    decoder : {"auto", "ridge", "knn", "logistic"}
    metric : {"euclidean", "cosine"}
        Of the nearest neighbours.
    seed : int
    """

    embedding: Array
    layout: Layout
    decoder: DecoderName
    metric: Metric
    seed: int

    def decode(self, label: Label | npt.ArrayLike, n_bootstrap: int = 1000) -> Decoding:
        """Choose a decoder for a label, fit it on the training and score it on the test.

        Parameters
        ----------
        label : Label or array_like
            Of length T. An array is made a label by `grevy.data.make_label`.
        n_bootstrap : int
            Resamples for the intervals; 0 for none.

        Raises
        ------
        GrevyError
            If the label's length differs, the decoder cannot decode its kind, or `n_bootstrap` is
            too small for a 95 % interval.
        """
        check_resamples(n_bootstrap)
        label = checked_label(label, len(self.embedding))
        return self.read(label).scored(label, n_bootstrap, self.seed)

    def statistic(self, label: Label | npt.ArrayLike) -> float:
        """Compute `Decoding.statistic` alone: the decoder is chosen and fitted for this label."""
        label = checked_label(label, len(self.embedding))
        _, family, option = self._chosen(label)
        decoded = family.decode(label, option, "test")
        return statistic(label, label.values[self.layout.test], decoded)

    def read_all(self, labels: Iterable[Label]) -> "dict[str, Reading]":
        """Read several labels, by name; what was computed for them is not kept afterwards.

        That may be hundreds of megabytes for a long recording.

        Raises
        ------
        GrevyError
            As `decode`.
        """
        own = replace(self)  # what is cached goes with it
        return {label.name: own.read(label) for label in labels}

    def read(self, label: Label) -> "Reading":
        """Choose a decoder and fit it; decode the test and the sample of the training.

        Raises
        ------
        GrevyError
            As `decode`.
        """
        label = checked_label(label, len(self.embedding))
        inner, family, option = self._chosen(label)
        decoded, sampled = (family.decode(label, option, part) for part in ("test", "sample"))
        return Reading(self.layout, family.options[option], decoded, sampled, inner)

    def _chosen(self, label: Label) -> tuple[float, Family, int]:
        """Choose the family and its option by the inner folds; of equals, the smoothest."""
        families = self._families(label)
        compared = self.layout.compared
        if not len(compared):
            return math.nan, families[0], families[0].unchosen
        true = label.values[compared]
        candidates = [
            (statistic(label, true, decoded), family, option)
            for family in families
            for option, decoded in enumerate(family.compare(label))
        ]
        return max(candidates, key=lambda candidate: candidate[0])

    def _families(self, label: Label) -> list[Family]:
        """List the families that may decode this kind of label, the first where none is chosen."""
        if label.kind == "discrete":
            if self.decoder == "logistic" or (
                self.decoder == "auto" and len(label.classes) <= MAX_LOGISTIC_CLASSES
            ):
                rng = np.random.default_rng([self.seed, _LOGISTIC])
                rows = choose_rows(self.embedding, self.layout, len(label.classes), rng)
                linear: list[Family] = [Logistic(rows)]
            else:
                linear = []
        else:
            linear = [self._ridge] if self.decoder in ("auto", "ridge") else []
        nearest: list[Family] = [self._neighbours] if self.decoder in ("auto", "knn") else []
        if not linear + nearest:
            raise GrevyError(
                f"label {label.name!r} is {label.kind}, which {self.decoder!r} does not decode. "
                f"Take 'ridge' for continuous and circular labels, 'logistic' for discrete ones, "
                f"'knn' or 'auto' for any."
            )
        return linear + nearest

    @cached_property
    def _ridge(self) -> Ridge:
        return Ridge(factorise(self.embedding, self.layout))

    @cached_property
    def _neighbours(self) -> NearestNeighbours:
        rng = np.random.default_rng([self.seed, _NEIGHBOURS])
        found = prepare_neighbours(self.embedding, self.layout, self.metric, rng)
        return NearestNeighbours(found, self.metric)


@dataclass(frozen=True, eq=False)
class Reading:
    """A label as one decoder reads it, not scored yet.

    Attributes
    ----------
    layout : Layout
    decoder : str
        And its setting, in words.
    decoded, sampled : ndarray
        At `layout.test` and at `layout.sample`, as in `Label.values`.
    inner : float
        The statistic of this decoder in the inner folds of the training, by which it was chosen;
        NaN where the training is too short for such folds.
    """

    layout: Layout
    decoder: str
    decoded: Array
    sampled: Array
    inner: float

    def scored(self, label: Label, n_bootstrap: int, seed: int) -> Decoding:
        """Score what was decoded; see `grevy.evaluation.decoding.result.summarise`."""
        return summarise(
            label, self.layout, self.decoder, self.decoded, self.sampled, n_bootstrap, seed
        )


# Streams of random numbers that do not disturb each other, nor the bootstrap's.
_LAYOUT, _NEIGHBOURS, _LOGISTIC = range(3)


def prepare(
    embedding: npt.ArrayLike | Windowed,
    split: Split | None = None,
    *,
    segments: npt.ArrayLike | None = None,
    gap: int = 0,
    holdout: float = 0.2,
    decoder: DecoderName = "auto",
    metric: Metric = "euclidean",
    seed: int = 0,
) -> Prepared:
    """Prepare an embedding for decoding several labels, or one label in many versions.

    Parameters are those of `decode`. Windows of finite data are read as they are, part by part.

    Raises
    ------
    GrevyError
        See `decode`.
    """
    if decoder not in get_args(DecoderName):
        raise unknown("decoder", decoder, get_args(DecoderName))
    if metric not in get_args(Metric):
        raise unknown("metric", metric, get_args(Metric))
    if seed < 0:
        raise GrevyError(f"seed {seed}; expected a whole number, 0 or more.")
    if gap < 0:
        raise GrevyError(f"a gap of {gap} steps; expected 0 or more.")
    if isinstance(embedding, Windowed):
        values = cast(Array, embedding)
    else:
        values = checked_embedding(np.asarray(embedding))
        check_magnitude(values, "the embedding")
    runs = _checked_segments(segments, len(values))
    if split is None:
        split = blocked_split(runs, holdout, gap)
    check_rows(split.train, split.test, len(values))
    split = Split(_sorted(split.train), _sorted(split.test), split.by_segment)
    shared = np.intersect1d(split.train, split.test, assume_unique=True)
    if len(shared):
        raise GrevyError(
            f"{len(shared)} time steps are both trained and tested on, the first at {shared[0]}. "
            f"Make a split whose halves are disjoint."
        )
    rng = np.random.default_rng([seed, _LAYOUT])
    return Prepared(values, lay_out(split, runs, gap, rng), decoder, metric, seed)


def decode(
    embedding: npt.ArrayLike,
    label: Label | npt.ArrayLike,
    split: Split | None = None,
    *,
    segments: npt.ArrayLike | None = None,
    gap: int = 0,
    holdout: float = 0.2,
    decoder: DecoderName = "auto",
    metric: Metric = "euclidean",
    seed: int = 0,
    n_bootstrap: int = 1000,
) -> Decoding:
    """Read a label from an embedding by a decoder that has seen the training steps alone.

    The decoder and its setting are chosen by time-blocked folds inside the training, with the same
    gap (by folds of whole segments, where `split` holds out whole segments), for the statistic
    that `Decoding.statistic` names. Candidates are ridge regression
    (continuous labels; circular ones through cosine and sine) or logistic regression (discrete
    ones), and the k nearest neighbours (mean, circular mean, or vote), each with a few settings.
    Classes have the same say whatever their number. The training is too short for inner folds
    where the gaps leave less than half of it: then the linear decoder of medium penalty is taken.

    Only the decoder is fitted here. The scores are held out only if the encoder that made the
    embedding never saw the test steps, or their labels took no part in its training.

    Parameters
    ----------
    embedding : array_like of shape (T, D)
        An embedding, principal components or raw data, whoever made them.
    label : Label or array_like
        Of length T. An array is made a label by `grevy.data.make_label`; an angle has to come
        as a `Label` (see `grevy.circular`).
    split : Split, optional
        No test step moves anything that the decoder learns. By default blocks of time are held
        out, see `grevy.blocked_split`.
    segments : array_like of shape (S, 2), optional
        Half-open runs [start, stop), sorted and disjoint, that no window crosses; by default all
        is one. Training steps outside them are fitted on, but not compared on.
    gap : int
        In steps, kept between training and test of each inner fold (and of the default split).
    holdout : float
        The fraction that the default split tests on.
    decoder : {"auto", "ridge", "knn", "logistic"}
        Restricts the choice to one kind.
    metric : {"euclidean", "cosine"}
        Of the nearest neighbours; the one that the embedding was trained with.
    seed : int
        Decides which steps a long recording is thinned to, and the bootstrap.
    n_bootstrap : int
        Resamples for the confidence intervals; 0 for none.

    Returns
    -------
    Decoding

    Raises
    ------
    GrevyError
        If the embedding is not (T, D) finite real numbers, the lengths differ, the split does not
        fit them, or an argument is out of range.
    """
    values = checked_embedding(np.asarray(embedding))
    label = checked_label(label, len(values))
    ready = prepare(
        values,
        split,
        segments=segments,
        gap=gap,
        holdout=holdout,
        decoder=decoder,
        metric=metric,
        seed=seed,
    )
    return ready.decode(label, n_bootstrap)


def _sorted(steps: IntArray) -> IntArray:
    """Sort time steps and drop what comes twice; most are sorted already."""
    return steps if (np.diff(steps) > 0).all() else np.unique(steps)


def checked_label(label: Label | npt.ArrayLike, length: int) -> Label:
    """Make an array a label, and check it against the embedding.

    Raises
    ------
    GrevyError
        If its length differs, or its numbers are too large to square.
    """
    if not isinstance(label, Label):
        label = make_label("label", label)
    if len(label) != length:
        raise GrevyError(
            f"label {label.name!r} has {len(label)} time steps, the embedding has {length}. Give "
            f"the label of the same recording, at the same time steps."
        )
    if label.kind == "continuous":
        check_magnitude(label.values, f"label {label.name!r}")
    return label


def _checked_segments(segments: npt.ArrayLike | None, length: int) -> IntArray:
    if segments is None:
        return np.array([[0, length]], dtype=np.int64)
    problems = Problems("decoding")
    runs = checked_runs(np.asarray(segments), length, problems)
    problems.raise_if_any()
    return runs
