"""The manual's figure: four panels of an embedding, and its loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from grevy.data import FloatArray, Label
from grevy.errors import GrevyError
from grevy.evaluation import checked_embedding
from grevy.report.figures.lettering import lettering
from grevy.report.figures.panels import draw_labels, draw_lanes, draw_loss, draw_space
from grevy.report.figures.scene import Scene, make_scene
from grevy.report.figures.style import STYLE
from grevy.report.words import short, thinning

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def embedding_figure(
    embedding: FloatArray,
    labels: Sequence[Label] = (),
    *,
    history: npt.ArrayLike | None = None,
    chance: float | None = None,
    title: str = "",
    sampling_rate: float | None = None,
) -> Figure:
    """Draw the manual's four panels, and the loss curve where there is one.

    The embedding in 2-D and 3-D (its first dimensions), over time, and the labels over time. The
    points take the colour of the first label's first dimension, or of time without a label. An
    embedding of two dimensions gets time as the third axis; of one, time as the second, and
    needs no other panel. More than 20 000 time steps are thinned evenly, and the figure says so.

    Parameters
    ----------
    embedding : ndarray of shape (T, D)
    labels : sequence of Label
        Each of length T. At most the first three label dimensions are drawn over time.
    history : array_like of shape (steps,), optional
        The loss at each training step, in nats.
    chance : float, optional
        The loss of an encoder that knows nothing; drawn with the loss curve.
    title : str
        Above everything; plain text.
    sampling_rate : float, optional
        In Hz. Time is then in seconds, else in time steps.

    Returns
    -------
    matplotlib.figure.Figure
        12 by 8 inches, 150 dots per inch.

    Raises
    ------
    GrevyError
        If the embedding is not (T, D) finite real numbers, or a length does not match.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    checked_embedding(embedding)
    _check_lengths(labels, len(embedding))
    loss = None if history is None else _checked_history(history)
    chosen = lettering([title], labels)
    labels = [chosen.of_label(label) for label in labels]
    scene = make_scene(embedding, labels, sampling_rate)
    with rc_context({**STYLE, "font.family": list(chosen.families)}):
        figure = Figure(figsize=(12, 8), dpi=150)
        parts = (short(chosen.legible(title), 80), thinning(scene.every, len(embedding)))
        heading = " · ".join(part for part in parts if part)
        if heading:
            figure.suptitle(heading, fontsize=17, x=0.012, y=0.985, ha="left", va="top")
        panels = _panels(scene, loss)
        draw_space(figure, scene, bottom=0.52 if panels else 0.1)
        cells = figure.add_gridspec(
            1, max(len(panels), 1), left=0.08, right=0.98, bottom=0.125, top=0.385, wspace=0.33
        )
        if "embedding" in panels:
            draw_lanes(figure.add_subplot(cells[panels.index("embedding")]), scene)
        if "labels" in panels:
            draw_labels(figure, cells[panels.index("labels")], scene)
        if loss is not None:
            draw_loss(figure.add_subplot(cells[panels.index("loss")]), loss, chance)
    return figure


def _panels(scene: Scene, loss: FloatArray | None) -> list[str]:
    """Name the panels of the lower row; what the upper row shows already is left out."""
    panels = ["embedding"] if scene.embedding.shape[1] > 1 else []
    panels += ["labels"] if scene.labels else []
    return [*panels, "loss"] if loss is not None else panels


def _check_lengths(labels: Sequence[Label], length: int) -> None:
    for label in labels:
        if len(label) != length:
            raise GrevyError(
                f"label {label.name!r} has {len(label)} time steps, the embedding has {length}; "
                f"they must match."
            )


def _checked_history(history: npt.ArrayLike) -> FloatArray:
    loss = np.asarray(history, dtype=np.float64)
    if loss.ndim != 1 or not np.isfinite(loss).any():
        raise GrevyError(
            f"loss history of shape {loss.shape} with {int(np.isfinite(loss).sum())} finite "
            f"values; expected (steps,), at least one finite."
        )
    return loss
