"""Small pictures of embeddings, to be seen side by side."""

import io

import numpy as np

from grevy.archive import ArchivedRun
from grevy.data import Array
from grevy.evaluation import principal_components
from grevy.report.figures.colours import colour_arguments
from grevy.report.figures.lettering import lettering
from grevy.report.figures.scene import make_scene
from grevy.report.figures.style import STYLE
from grevy.report.page.space import recorded_steps

MAX_POINTS = 4000
INCHES, DOTS = 2.6, 110


def embedding_thumbnail(run: ArchivedRun) -> tuple[bytes, str]:
    """Draw an embedding in space, or in the plane where it has two dimensions.

    Of more than three dimensions the first three principal components are drawn. At most 4000
    points, in the colours of the first label.

    Returns
    -------
    tuple of (bytes, str)
        A PNG, and in words what it shows.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    steps = recorded_steps(run.embedding)
    labels = [lettering([], run.labels).of_label(label).take(steps) for label in run.labels[:1]]
    scene = make_scene(run.embedding[steps], labels, run.sampling_rate)
    points, what = _points(run.embedding[steps])
    order = np.random.default_rng(0).permutation(len(points))[:MAX_POINTS]
    deep = points.shape[1] == 3
    colour = colour_arguments(scene.colour)
    with rc_context(STYLE):
        figure = Figure(figsize=(INCHES, INCHES), dpi=DOTS)
        axes = figure.add_axes((0, 0, 1, 1), projection="3d" if deep else None)
        axes.scatter(
            *points[order].T, c=scene.colour.values[order], s=3, linewidths=0, alpha=0.8, **colour
        )  # type: ignore[misc]
        axes.set_axis_off()
        if deep:
            axes.set_box_aspect((1, 1, 1), zoom=1.35)  # type: ignore[arg-type,call-arg]
            axes.view_init(elev=20, azim=-55)  # type: ignore[attr-defined]
        _even(axes, points)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue(), f"{what}; colour: {scene.colour.title}"


def _points(embedding: Array) -> tuple[Array, str]:
    """Return what is drawn along two or three axes, and what that is."""
    width = embedding.shape[1]
    if width > 3:
        every = np.arange(len(embedding))
        return principal_components(embedding, every, 3), f"3 principal components of {width}"
    if width == 1:  # time is as long as the dimension is wide
        time = np.linspace(0, np.ptp(embedding) or 1.0, len(embedding))
        return np.stack([time, embedding[:, 0]], axis=1), "1 dimension over time"
    return embedding, f"{width} dimensions"


def _even(axes: object, points: Array) -> None:
    """Give all axes one scale, so that a sphere looks like one."""
    low, high = points.min(axis=0), points.max(axis=0)
    reach = 0.52 * float((high - low).max()) or 0.5
    for name, one, other in zip("xyz", low, high, strict=False):
        middle = float(one + other) / 2
        getattr(axes, f"set_{name}lim")(middle - reach, middle + reach)
