"""The kinds of decoder behind one face: options to choose among, compared inside the training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from grevy.data import TAU, Array, FloatArray, Label
from grevy.evaluation.decoding import knn, logistic, ridge
from grevy.evaluation.decoding.knn import Metric, Neighbours, Part
from grevy.evaluation.decoding.logistic import LogisticRows
from grevy.evaluation.decoding.ridge import RidgeFits


class Family(Protocol):
    """One kind of decoder, prepared for one embedding.

    Decoded labels are as in `Label.values`: numbers (n, L), radians (n,), or codes (n,).
    """

    @property
    def options(self) -> tuple[str, ...]:
        """What can be chosen among, the smoothest first, in words."""

    @property
    def unchosen(self) -> int:
        """The option where the training is too short to choose."""

    def compare(self, label: Label) -> Sequence[Array]:
        """Decode `Layout.compared` by every option, each fold by what has not seen it."""

    def decode(self, label: Label, option: int, part: Part) -> Array:
        """Decode the test steps, or the layout's sample of the training."""


@dataclass(frozen=True, eq=False)
class Ridge:
    """Ridge regression of a continuous label, or of the cosine and sine of a circular one."""

    fits: RidgeFits
    unchosen: int = ridge.UNCHOSEN

    @property
    def options(self) -> tuple[str, ...]:
        """One for each penalty."""
        return tuple(f"ridge, penalty {penalty:g}" for penalty in ridge.PENALTIES)

    def compare(self, label: Label) -> Sequence[Array]:
        """See `Family`."""
        return [_as_values(label, each) for each in self.fits.compare(_as_numbers(label))]

    def decode(self, label: Label, option: int, part: Part) -> Array:
        """See `Family`."""
        rows = getattr(self.fits.layout, part)
        decoded = self.fits.decode(_as_numbers(label), ridge.PENALTIES[option], rows)
        return _as_values(label, decoded)


@dataclass(frozen=True, eq=False)
class NearestNeighbours:
    """The mean of the k nearest neighbours, circular where the label is, or their vote."""

    neighbours: Neighbours
    metric: Metric

    @property
    def options(self) -> tuple[str, ...]:
        """One for each k."""
        counts = self.neighbours.counts
        return tuple(f"{k} nearest neighbours, {self.metric}" for k in counts)

    @property
    def unchosen(self) -> int:
        """The k nearest to the usual one that the references allow."""
        counts = self.neighbours.counts
        return counts.index(max((k for k in counts if k <= knn.UNCHOSEN), default=counts[-1]))

    def compare(self, label: Label) -> Sequence[Array]:
        """See `Family`."""
        counts = self.neighbours.counts
        folds = [self._ask(label, answers, counts) for answers in self.neighbours.compared]
        return [np.concatenate(each) for each in zip(*folds, strict=True)]

    def decode(self, label: Label, option: int, part: Part) -> Array:
        """See `Family`."""
        count = self.neighbours.counts[option]
        return self._ask(label, self.neighbours.nearest(part, count), (count,))[0]

    def _ask(self, label: Label, answers: knn.Answers, counts: tuple[int, ...]) -> Sequence[Array]:
        if label.kind == "discrete":
            return list(answers.vote(label.values, len(label.classes), counts))
        averages = answers.average(_as_numbers(label), counts)
        return [_as_values(label, each) for each in averages]


@dataclass(frozen=True, eq=False)
class Logistic:
    """Logistic regression of the classes of a discrete label."""

    rows: LogisticRows
    unchosen: int = logistic.UNCHOSEN

    @property
    def options(self) -> tuple[str, ...]:
        """One for each penalty."""
        return tuple(f"logistic regression, penalty {each:g}" for each in logistic.PENALTIES)

    def compare(self, label: Label) -> Sequence[Array]:
        """See `Family`."""
        return list(self.rows.compare(label.values))

    def decode(self, label: Label, option: int, part: Part) -> Array:
        """See `Family`."""
        rows = getattr(self.rows.layout, part)
        return self.rows.decode(label.values, logistic.PENALTIES[option], rows)


def _as_numbers(label: Label) -> FloatArray:
    """Continuous values as they are; angles as their cosine and sine."""
    if label.kind == "circular":
        return np.stack([np.cos(label.values), np.sin(label.values)], axis=1)
    return label.values


def _as_values(label: Label, numbers: FloatArray) -> Array:
    """Turn what was decoded back into what `Label.values` holds."""
    if label.kind == "circular":
        return np.mod(np.arctan2(numbers[:, 1], numbers[:, 0]), TAU)
    return numbers
