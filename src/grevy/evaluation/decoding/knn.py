"""k nearest neighbours for one input and many labels: found once, then asked for each label.

Neighbours are compared in the input's own geometry (no column is rescaled), by the euclidean or
the cosine distance. At most `MAX_REFERENCES` training steps answer, one at random from each of as
many equal runs of them: neighbouring steps resemble each other, so thinning a long recording
costs little. They are shuffled, so that among equally near ones no time comes first.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from grevy.data import Array, Float64Array, FloatArray, IntArray
from grevy.evaluation.checks import parts
from grevy.evaluation.decoding.layout import Layout, thin

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Metric = Literal["euclidean", "cosine"]
Part = Literal["test", "sample"]

COUNTS = (100, 30, 10, 3)
"""Candidates for k, the smoothest first."""

UNCHOSEN = 10
"""The k where the training is too short to choose one."""

MAX_REFERENCES = 20_000
"""The most training steps that answer as neighbours."""

MAX_TREE_COLUMNS = 3
"""The most columns in which a tree finds neighbours sooner than a comparison with all."""


@dataclass(frozen=True, eq=False)
class Answers:
    """The nearest references of a few steps.

    Attributes
    ----------
    references : ndarray of shape (R,)
        All time steps that could have answered.
    nearest : ndarray of shape (n, k)
        Time steps, the nearest first.
    """

    references: IntArray
    nearest: IntArray

    def average(self, target: FloatArray, counts: tuple[int, ...]) -> Float64Array:
        """Average a target over the nearest neighbours.

        Parameters
        ----------
        target : ndarray of shape (T, L)
        counts : tuple of int
            Each a number of neighbours, k at most.

        Returns
        -------
        ndarray of shape (len(counts), n, L)
        """
        averages = np.empty((len(counts), len(self.nearest), target.shape[1]))
        for rows in self._parts(target.shape[1] * max(counts)):
            values = target[self.nearest[rows, : max(counts)]]
            for number, count in enumerate(counts):
                averages[number, rows] = values[:, :count].mean(axis=1)
        return averages

    def vote(self, codes: IntArray, n_classes: int, counts: tuple[int, ...]) -> IntArray:
        """Let the nearest neighbours vote on the class, every class having the same say.

        A vote counts 1 over the number of references of its class, so that a common class does not
        win by its number. Of equal votes the nearer neighbours' class wins.

        Parameters
        ----------
        codes : ndarray of shape (T,)
            From 0 to `n_classes` - 1.
        n_classes : int
        counts : tuple of int
            Each a number of neighbours, k at most.

        Returns
        -------
        ndarray of shape (len(counts), n)
            Codes.
        """
        members = np.bincount(codes[self.references], minlength=n_classes)
        say = 1 / np.maximum(members, 1)
        ranks = np.arange(1, max(counts) + 1)
        closeness = 1 + 1e-6 / np.sqrt(ranks)  # too little to outvote anyone
        answers = np.empty((len(counts), len(self.nearest)), dtype=np.int64)
        for rows in self._parts(max(n_classes, *counts)):
            voters = codes[self.nearest[rows, : max(counts)]]
            votes = say[voters] * closeness
            cells = voters + n_classes * np.arange(len(rows))[:, None]
            size = n_classes * len(rows)
            for number, count in enumerate(counts):
                polled = np.bincount(cells[:, :count].ravel(), votes[:, :count].ravel(), size)
                answers[number, rows] = polled.reshape(len(rows), n_classes).argmax(axis=1)
        return answers

    def _parts(self, width: int) -> list[IntArray]:
        return list(parts(np.arange(len(self.nearest)), width))


@dataclass(frozen=True, eq=False)
class Space:
    """The coordinates in which distances are computed.

    Attributes
    ----------
    inputs : ndarray of shape (T, N)
        As they came; never copied whole.
    metric : {"euclidean", "cosine"}
    centre, scale : ndarray of shape (N,), and float
        Taken off, and divided by: all columns alike, so that distances keep their order.
    """

    inputs: Array
    metric: Metric
    centre: Float64Array
    scale: float

    def coordinates(self, rows: IntArray) -> Array:
        """Give some steps' coordinates; in single precision, which centring makes good enough."""
        found = np.empty((len(rows), self.inputs.shape[1]), dtype=np.float32)
        filled = 0
        for part in parts(rows, self.inputs.shape[1]):
            values = (np.asarray(self.inputs[part], dtype=np.float64) - self.centre) / self.scale
            if self.metric == "cosine":
                length = np.sqrt((values**2).sum(axis=1, keepdims=True))
                values /= np.where(length > 0, length, 1.0)
            found[filled : filled + len(part)] = values
            filled += len(part)
        return found


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The neighbours of every step that a decoding asks for.

    Attributes
    ----------
    space : Space
    layout : Layout
    references : ndarray
        Training steps that answer, in random order.
    counts : tuple of int
        The candidates for k, descending; each at most half of the references of any fold.
    """

    space: Space
    layout: Layout
    references: IntArray
    counts: tuple[int, ...]

    @cached_property
    def compared(self) -> tuple[Answers, ...]:
        """For each inner fold: the steps that it tests, among those that it trains on."""
        return tuple(
            _ask(self._asked(within), self.layout.sample[fold.tested], self.counts[0])
            for within, fold in zip(
                _of_folds(self.references, self.layout), self.layout.folds, strict=True
            )
        )

    def nearest(self, part: Part, count: int) -> Answers:
        """Find the nearest of the whole training; few are found in a fraction of the time of many.

        Parameters
        ----------
        part : {"test", "sample"}
            Of the layout. Each step of the sample finds itself.
        count : int
            One of `counts`.

        Returns
        -------
        Answers
            With at least so many. They are kept, and serve all smaller counts.
        """
        known = self._known.get(part)
        if known is None or known.nearest.shape[1] < count:
            most = count if self._whole.tree is not None else self.counts[0]
            known = _ask(self._whole, getattr(self.layout, part), most)
            self._known[part] = known
        return known

    @cached_property
    def _known(self) -> dict[Part, Answers]:
        return {}

    @cached_property
    def _whole(self) -> "_Asked":
        return self._asked(self.references)

    def _asked(self, references: IntArray) -> "_Asked":
        return _Asked(self.space, references, self.counts[0])


def prepare_neighbours(
    inputs: Array, layout: Layout, metric: Metric, rng: np.random.Generator
) -> Neighbours:
    """Choose the steps that answer; the neighbours are found when they are first asked for.

    Parameters
    ----------
    inputs : ndarray of shape (T, N)
    layout : Layout
    metric : {"euclidean", "cosine"}
    rng : numpy.random.Generator
        Thins and shuffles the references.
    """
    references = rng.permutation(thin(layout.train, MAX_REFERENCES, rng))
    fewest = min(len(each) for each in [references, *_of_folds(references, layout)])
    counts = tuple(count for count in COUNTS if count <= fewest // 2) or (1,)
    return Neighbours(_space(inputs, metric, references), layout, references, counts)


def _of_folds(references: IntArray, layout: Layout) -> list[IntArray]:
    return [references[np.isin(references, fold.train)] for fold in layout.folds]


def _space(inputs: Array, metric: Metric, references: IntArray) -> Space:
    n_columns = inputs.shape[1]
    if metric == "cosine":
        return Space(inputs, metric, np.zeros(n_columns), 1.0)
    centre, square = np.zeros(n_columns), 0.0
    for part in parts(references, n_columns):
        centre += inputs[part].sum(axis=0, dtype=np.float64) / len(references)
    for part in parts(references, n_columns):
        square += float(((np.asarray(inputs[part], dtype=np.float64) - centre) ** 2).sum())
    scale = np.sqrt(square / len(references))
    return Space(inputs, metric, centre, scale if scale > 0 else 1.0)


@dataclass(frozen=True, eq=False)
class _Asked:
    """References among which neighbours are looked for, `most` at most for each step.

    A tree prefers some of equally near references to others. Where there are any, all are compared,
    and it is their order that decides, in a way that depends on how many are asked for: always
    `most`.
    """

    space: Space
    references: IntArray
    most: int

    @cached_property
    def points(self) -> Array:
        return self.space.coordinates(self.references)

    @cached_property
    def tree(self) -> "cKDTree | None":
        """Where it is quicker than a comparison with all."""
        if self.points.shape[1] > MAX_TREE_COLUMNS or self.most >= len(self.points):
            return None
        from scipy.spatial import cKDTree

        return cKDTree(self.points)

    def find(self, rows: Array, count: int) -> IntArray:
        """Find the nearest points, the nearest first: (n, count)."""
        if self.tree is not None:
            distances, found = self.tree.query(rows, count + 1)
            if (distances[:, 1:] > distances[:, :-1]).all():
                nearest: IntArray = found[:, :count]
                return nearest
        return self._among_all(rows)[:, :count]

    def _among_all(self, rows: Array) -> IntArray:
        from sklearn.neighbors import NearestNeighbors

        index = NearestNeighbors(n_neighbors=self.most, algorithm="brute", metric="euclidean")
        found: IntArray = index.fit(self.points).kneighbors(rows, return_distance=False)
        return found


def _ask(asked: _Asked, rows: IntArray, count: int) -> Answers:
    space = asked.space
    nearest = np.empty((len(rows), count), np.int32 if len(space.inputs) < 2**31 else np.int64)
    for part in parts(np.arange(len(rows)), max(space.inputs.shape[1], asked.most)):
        nearest[part] = asked.references[asked.find(space.coordinates(rows[part]), count)]
    return Answers(asked.references, nearest)
