"""What the panels draw: an embedding, the labels taken apart, time, and which points show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grevy.data import TAU, Array, FloatArray, Label
from grevy.report.words import short, unit_of

MAX_POINTS = 20_000
MAX_LABELS = 3


@dataclass(frozen=True, eq=False)
class Column:
    """One dimension of one label, or time: what a panel draws and the points are coloured by.

    `values` are in the unit of the axis: the user's for numbers and angles, 0..K-1 for classes.
    """

    title: str
    kind: str
    values: Array
    period: float = TAU
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Scene:
    """What every panel needs: the embedding, time, the colouring, and which points are drawn."""

    embedding: FloatArray
    time: FloatArray
    time_title: str
    colour: Column
    labels: tuple[Column, ...]
    every: int

    @property
    def shown(self) -> slice:
        """The time steps that are drawn as points."""
        return slice(None, None, self.every)


def make_scene(embedding: FloatArray, labels: Sequence[Label], rate: float | None) -> Scene:
    """Lay out what the panels draw; the colour is the first label's first dimension, or time."""
    steps = np.arange(len(embedding), dtype=np.float64)
    time, time_title = (steps, "time (steps)") if rate is None else (steps / rate, "time (s)")
    columns = tuple(column for label in labels for column in label_columns(label))
    colour = columns[0] if columns else Column(time_title, "continuous", time)
    every = -(-len(embedding) // MAX_POINTS)
    return Scene(embedding, time, time_title, colour, columns[:MAX_LABELS], every)


def label_columns(label: Label, name_length: int = 18, class_length: int = 11) -> list[Column]:
    """Take a label apart into what can be drawn along one axis; long names are cut."""
    name = short(label.name, name_length)
    if label.kind == "circular":
        return [Column(f"{name} ({unit_of(label)})", "circular", label.unit_values, label.period)]
    if label.kind == "discrete":
        classes = tuple(short(str(each), class_length) for each in label.classes)
        return [Column(name, "discrete", label.values, classes=classes)]
    width = label.values.shape[1]
    names = [name] if width == 1 else [f"{name} [{column}]" for column in range(width)]
    unit = f" ({unit_of(label)})" if label.unit else ""
    return [Column(n + unit, "continuous", label.values[:, i]) for i, n in enumerate(names)]
