"""What the page's embedding shows: axes to choose from, colours to choose from, and time."""

from typing import Any

import numpy as np

from grevy.archive import ArchivedRun, recording_names
from grevy.data import Array, IntArray, end_to_end
from grevy.evaluation import principal_components
from grevy.report.figures.colours import MAX_CLASSES, class_colours, colour_arguments
from grevy.report.figures.scene import MAX_POINTS, Column, label_columns
from grevy.report.page.packing import quantised, whole
from grevy.report.words import number, short, thinning, thousands

# More than these would make the page too heavy to mail.
MAX_AXES, MAX_COLOURS, MAX_COMPONENTS = 24, 16, 6
NAME_LENGTH, CLASS_LENGTH = 48, 32


def space_data(run: ArchivedRun) -> dict[str, Any]:
    """Lay out the interactive embedding as JSON.

    More than 20 000 time steps are thinned evenly. At most 24 dimensions and 16 label dimensions
    can be chosen. Steps without an embedding (outside every segment) are left out.

    Returns
    -------
    dict
        ``steps``: which time steps are shown. ``breaks``: positions among them where a stretch of
        unbroken time begins. ``axes``: dimensions, principal components (D > 3) and, last, time;
        ``first``: those shown at first. ``colours``: time, labels and, of several, recordings;
        ``recordings``: where each begins, and its name. ``notes``: what was left out, in words.
    """
    steps = recorded_steps(run.embedding)
    every = max(1, -(-len(steps) // MAX_POINTS))
    shown = steps[::every]
    rate = run.sampling_rate
    time = Column(f"time ({'s' if rate else 'steps'})", "continuous", shown / (rate or 1.0))
    axes, first = _axes(run, steps, every)
    axes.append({"name": time.title, "group": "Time", "values": quantised(time.values)})
    columns = [column for label in run.labels for column in _columns(label)]
    of_labels = [_colour(column, column.values[shown]) for column in columns[:MAX_COLOURS]]
    starts = _recording_starts(run)
    names = tuple(short(name, CLASS_LENGTH) for name in recording_names(run.manifest))
    if starts:
        owner = np.searchsorted(starts, np.arange(len(run.embedding)), side="right") - 1
        column = Column("recording", "discrete", owner, classes=names)
        of_labels.append(_colour(column, owner[shown]))
    return {
        "steps": whole(shown),
        "count": len(shown),
        "rate": rate,
        "breaks": _breaks(shown, run.segments, every),
        "recordings": [[start, name] for start, name in zip(starts, names, strict=False)],
        "axes": axes,
        "first": first if len(first) > 1 else [1, 0],  # one dimension alone is drawn over time
        "colours": [_colour(time, time.values), *of_labels],
        "notes": _notes(run, len(columns), every, len(steps)),
    }


def recorded_steps(embedding: Array) -> IntArray:
    """List the time steps that have an embedding."""
    return np.flatnonzero(np.isfinite(embedding).all(axis=1)).astype(np.int64)


def _axes(run: ArchivedRun, steps: IntArray, every: int) -> tuple[list[dict[str, Any]], list[int]]:
    """List what an axis can show, and which three it shows first."""
    dimension = run.embedding.shape[1]
    axes = [
        {
            "name": f"dimension {i + 1}",
            "group": "Dimensions",
            "values": quantised(run.embedding[steps[::every], i]),
        }
        for i in range(min(dimension, MAX_AXES))
    ]
    first = list(range(min(dimension, 3)))
    if dimension > 3:
        count = min(dimension, MAX_COMPONENTS)
        embedding = run.embedding[steps]
        components = principal_components(embedding, np.arange(len(steps)), count)
        total = float(embedding.var(axis=0, dtype=np.float64).sum()) or 1.0
        first = [len(axes) + i for i in range(3)]
        for i in range(count):
            share = components[:, i].var(dtype=np.float64) / total
            axes.append(
                {
                    "name": f"PC {i + 1} ({100 * share:.0f} %)",
                    "group": "Principal components",
                    "values": quantised(components[::every, i]),
                }
            )
    return axes, first


def _columns(label: Any) -> list[Column]:
    return label_columns(label, NAME_LENGTH, CLASS_LENGTH)


def _colour(column: Column, values: Array) -> dict[str, Any]:
    """Describe one colouring: values, scale, and what its key says."""
    about: dict[str, Any] = {"name": column.title, "kind": column.kind}
    limits = colour_arguments(column)
    about |= {"low": float(limits["vmin"]), "high": float(limits["vmax"])}
    if column.kind == "discrete":
        return {**about, **_classes(column, values)}
    scale = _scale(limits["cmap"])
    about |= {"values": quantised(values), "scale": scale}
    if column.kind == "circular":
        return {**about, "quarters": _quarters(column)}
    return {**about, "ends": [number(about["low"]), number(about["high"])]}


def _classes(column: Column, values: Array) -> dict[str, Any]:
    """Give each of a few classes its colour and a place in the key; order a great many."""
    total = len(column.classes)
    if total <= MAX_CLASSES:
        palette = [_hex(class_colours(total)(code)) for code in range(total)]
        edges = [edge for code in range(total) for edge in (code / total, (code + 1) / total)]
        scale = [[edge, palette[place // 2]] for place, edge in enumerate(edges)]
        classes = list(column.classes)
        return {
            "values": quantised(values), "classes": classes, "palette": palette, "scale": scale,
        }  # fmt: skip
    # Only classes that are shown are named.
    present, codes = np.unique(values, return_inverse=True)
    classes = [column.classes[code] for code in present]
    ends = [classes[0], f"{total} classes", classes[-1]]
    return {
        "values": quantised(codes), "classes": classes, "scale": _scale(class_colours(total)),
        "low": -0.5, "high": len(classes) - 0.5, "ends": ends,
    }  # fmt: skip


def _quarters(column: Column) -> list[str]:
    if column.title.endswith("(rad)"):
        return ["0", "π/2", "π", "3π/2"]
    return [f"{quarter * column.period / 4:g}" for quarter in range(4)]


def _breaks(shown: IntArray, segments: IntArray, every: int) -> list[int]:
    """Find where a line from point to point would leave a stretch of unbroken time."""
    owner = np.searchsorted(segments[:, 0], shown, side="right")
    apart = (np.diff(shown) > every) | (np.diff(owner) != 0)
    found: list[int] = (np.flatnonzero(apart) + 1).tolist()
    return found


def _recording_starts(run: ArchivedRun) -> list[int]:
    """Return the first time step of each recording, where several lie end to end."""
    lengths = [int(each["time_steps"]) for each in run.manifest.get("data", [])]
    if len(lengths) < 2 or sum(lengths) != len(run.embedding):
        return []
    starts: list[int] = end_to_end(lengths)[:-1].tolist()
    return starts


def _notes(run: ArchivedRun, n_columns: int, every: int, n_steps: int) -> list[str]:
    notes = []
    if every > 1:
        notes.append(f"Drawn here: {thinning(every, n_steps)}. All scores use every step.")
    dimension = run.embedding.shape[1]
    if dimension > MAX_AXES:
        notes.append(f"The first {MAX_AXES} of {dimension} dimensions can be chosen.")
    if n_columns > MAX_COLOURS:
        notes.append(f"The first {MAX_COLOURS} of {n_columns} label dimensions can be chosen.")
    outside = len(run.embedding) - n_steps
    if outside:
        notes.append(f"{thousands(outside)} time steps outside every segment have no embedding.")
    return notes


def _scale(colours: Any) -> list[list[Any]]:
    """Sample a colour map as plotly takes it."""
    return [[float(at), _hex(colours(at))] for at in np.linspace(0, 1, 37)]


def _hex(colour: Any) -> str:
    from matplotlib.colors import to_hex

    return to_hex(colour)
