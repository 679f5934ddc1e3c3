"""Figures: the right panels, legible, plain text, nothing hidden, no state left behind."""

import io
import subprocess
import sys
import warnings
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.collections import PathCollection
from matplotlib.text import Text
from scipy.ndimage import maximum_filter

from grevy.data.labels import TAU, Label, circular, continuous, discrete
from grevy.errors import GrevyError
from grevy.report.figures.colours import EIGHT, TWELVE, class_colours, cyclic_colours
from grevy.report.figures.embedding import embedding_figure

HISTORY = 5 + np.exp(-np.arange(300) / 50)


def made(T, D):
    rng = np.random.default_rng(T + D)
    return rng.normal(size=(T, D)).cumsum(axis=0).astype(np.float32)


def angles(T):
    return np.mod(np.arange(T) / 37, TAU)


def codes(T, n_classes):
    return np.arange(T) // 5 % n_classes


LABELS = {
    "none": lambda T: [],
    "continuous": lambda T: [continuous(np.sin(angles(T)), "position")],
    "2-D": lambda T: [continuous(np.stack([angles(T), angles(T) ** 2], axis=1), "velocity")],
    "radians": lambda T: [circular(angles(T), name="direction")],
    "degrees": lambda T: [circular(np.degrees(angles(T)), 360, "head direction of the animal")],
    "8 classes": lambda T: [discrete(codes(T, 8), "target")],
    "12 strings": lambda T: [discrete(np.array([f"odour {c}" for c in codes(T, 12)]), "odour")],
    "40 classes": lambda T: [discrete(codes(T, 40), "cell")],
    "mixed": lambda T: [
        discrete(codes(T, 3), "an exceedingly long name of a label, much longer than fits"),
        circular(angles(T), name="phase"),
        continuous(1e6 * angles(T), "a very long name of something else, longer than fits"),
        continuous(angles(T), "never drawn over time"),
    ],
}


def titles(figure):
    """The bold titles of the panels, in reading order, and the free texts of the figure."""
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")] + [
        text.get_text() for text in figure.texts
    ]


def texts(figure):
    return [text for text in figure.findobj(Text) if text.get_text().strip()]


def points(figure):
    """The coordinates of the first scatter, as drawn: x and y."""
    return figure.axes[1].findobj(PathCollection)[0].get_offsets()


def render(figure):
    """Draw to memory; any warning is an error, and the file is a PNG of the stated size."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        file = io.BytesIO()
        figure.savefig(file, dpi=40)
    header = file.getvalue()[:24]
    assert header.startswith(b"\x89PNG")
    assert (int.from_bytes(header[16:20]), int.from_bytes(header[20:24])) == (480, 320)


@pytest.mark.parametrize("D", [1, 2, 11])
@pytest.mark.parametrize("labels", LABELS)
def test_every_label_at_every_dimension(labels, D):
    history = HISTORY if D != 2 else None
    figure = embedding_figure(made(300, D), LABELS[labels](300), history=history, chance=6.2)
    render(figure)
    found = titles(figure)
    assert ("Embedding against time" in found) == (D == 1)
    assert ("Training loss" in found) == (D != 2)
    assert any(title.startswith("2-D") for title in found) == (D > 1)
    assert any(title.startswith("3-D") for title in found) == (D > 1)
    assert any(title.startswith("Embedding over time") for title in found) == (D > 1)
    assert any(title.startswith("Label") for title in found) == (labels != "none")


def hidden_ticks(figure):
    """The labels of ticks that are not drawn, and the slanted ones in 3-D.

    Slanted labels have boxes much larger than their ink.
    """
    hidden = set()
    for axes in figure.findobj(Axes):
        if axes.name == "3d":
            hidden |= set(axes.findobj(Text))
            continue
        if not axes.axison:
            hidden |= set(axes.xaxis.findobj(Text)) | set(axes.yaxis.findobj(Text))
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * (high - low)
            for tick in axis.get_major_ticks():
                if not low - slack <= tick.get_loc() <= high + slack:
                    hidden |= {tick.label1, tick.label2}
    return hidden


def overlap(one, other):
    """How many pixels two boxes overlap in the direction in which they overlap less."""
    return min(
        min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
    )


@pytest.mark.parametrize(
    ("labels", "T"), [*((labels, 500) for labels in LABELS), ("2-D", 100_000), ("mixed", 100_000)]
)
def test_no_text_is_cut_off_or_overlaps_another(labels, T):
    figure = embedding_figure(
        made(T, 3),
        LABELS[labels](T),
        history=HISTORY,
        chance=6.2,
        sampling_rate=20,
        title="t" * 200,
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    hidden = hidden_ticks(figure)
    boxes = {
        text: text.get_window_extent(canvas.get_renderer())
        for text in texts(figure)
        if text not in hidden and text.get_visible()
    }
    assert len(boxes) > 20
    for text, box in boxes.items():
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1, (text, box)
        assert 0 <= box.y0 < box.y1 <= figure.bbox.y1, (text, box)
    for (one, box), (other, other_box) in combinations(boxes.items(), 2):
        assert overlap(box, other_box) <= 3, (one, other)


def ink(text, figure):
    """Where a text leaves ink, drawn by itself; True of each pixel within two of it."""
    width, height = (round(side) for side in figure.bbox.size)
    renderer = RendererAgg(width, height, figure.dpi)
    text.draw(renderer)
    return maximum_filter(np.asarray(renderer.buffer_rgba())[..., 3] > 0, 5)


@pytest.mark.parametrize("scale", [1, 37, 1234.5])
@pytest.mark.parametrize("D", [2, 3])
def test_texts_in_space_neither_touch_nor_are_covered(D, scale):
    rng = np.random.default_rng(0)
    sphere = rng.normal(size=(300, 3))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    embedding = (scale * sphere[:, :D]).astype(np.float32)
    figure = embedding_figure(embedding, LABELS["2-D"](300), history=HISTORY)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    deep = next(axes for axes in figure.axes if axes.name == "3d")
    written = [axis.label for axis in (deep.xaxis, deep.yaxis, deep.zaxis)]
    for axis in (deep.xaxis, deep.yaxis, deep.zaxis):
        low, high = axis.get_view_interval()
        written += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    assert len(written) > 3 + 6
    lower = [axes.get_tightbbox() for axes in figure.axes if axes.get_position().y1 < 0.5]
    ceiling = max(box.y1 for box in lower if box is not None)
    marks = {text: ink(text, figure) for text in written}
    for text, mark in marks.items():
        rows, columns = mark.nonzero()
        assert rows.size, text
        assert 2 < rows.min() <= rows.max() < mark.shape[0] - 3, text
        assert 2 < columns.min() <= columns.max() < mark.shape[1] - 3, text
        assert rows.max() < mark.shape[0] - ceiling, text  # the row below has a white ground
    for (one, mark), (other, other_mark) in combinations(marks.items(), 2):
        assert not (mark & other_mark).any(), (one, other)


# --------------------------------------------------------------------- thinning


@pytest.mark.parametrize(
    ("T", "drawn", "note"),
    [
        (20_000, 20_000, None),
        (20_001, 10_001, "every 2nd of 20\N{NO-BREAK SPACE}001 time steps"),
        (60_000, 20_000, "every 3rd of 60\N{NO-BREAK SPACE}000 time steps"),
        (230_000, 19_167, "every 12th of 230\N{NO-BREAK SPACE}000 time steps"),
        (410_000, 19_524, "every 21st of 410\N{NO-BREAK SPACE}000 time steps"),
    ],
)
def test_long_recordings_are_thinned_evenly_and_the_title_says_so(T, drawn, note):
    embedding = np.stack([np.arange(T), np.zeros(T)], axis=1)
    figure = embedding_figure(embedding, title="run 7")
    assert figure.get_suptitle() == ("run 7" if note is None else f"run 7 · {note}")
    steps = np.sort(np.asarray(points(figure))[:, 0])
    assert len(steps) == drawn
    assert steps[0] == 0
    assert set(np.diff(steps)) == {-(-T // 20_000)}


def test_points_are_not_drawn_in_the_order_of_time():
    figure = embedding_figure(np.stack([np.arange(900.0), np.zeros(900)], axis=1))
    drawn = np.asarray(points(figure))[:, 0]
    assert (np.diff(drawn) < 0).mean() > 0.4
    assert sorted(drawn) == list(range(900))


def test_each_point_has_the_colour_of_its_own_time_step():
    values = np.random.default_rng(0).normal(size=50_000)
    embedding = np.stack([values, np.zeros(50_000)], axis=1)
    scatter = embedding_figure(embedding, [continuous(values)]).axes[1].findobj(PathCollection)[0]
    np.testing.assert_array_equal(scatter.get_offsets()[:, 0], scatter.get_array())


# ------------------------------------------------------------------ time and space


@pytest.mark.parametrize(
    ("rate", "name", "last"), [(None, "time (steps)", 199), (50, "time (s)", 3.98)]
)
def test_time_is_in_seconds_where_the_rate_is_known(rate, name, last):
    figure = embedding_figure(made(200, 2), LABELS["continuous"](200), sampling_rate=rate)
    panel = next(a for a in figure.axes if a.get_title(loc="left") == "Embedding over time")
    deep = next(a for a in figure.axes if a.name == "3d")
    assert panel.get_xlabel() == name
    assert panel.get_xlim() == (0, pytest.approx(last))
    assert deep.get_zlabel() == name


def test_equal_scales_in_the_plane_and_in_space():
    figure = embedding_figure(made(200, 3) * [1, 10, 100])
    flat = figure.axes[1]
    deep = next(a for a in figure.axes if a.name == "3d")
    assert flat.get_aspect() == 1
    widths = [high - low for low, high in (deep.get_xlim(), deep.get_ylim(), deep.get_zlim())]
    assert widths == pytest.approx([widths[0]] * 3)


def test_long_time_series_show_their_spread_and_say_so():
    figure = embedding_figure(made(50_000, 3))
    panel = next(a for a in figure.axes if a.get_title(loc="left") == "Embedding over time")
    assert panel.get_xlabel() == "time (steps)\nmedian, 10-90 % of each 250 steps"
    line, band = panel.lines[0], panel.collections[0]
    assert len(line.get_xdata()) == 200
    assert len(panel.collections) == 3
    low, high = band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()
    assert low <= line.get_ydata().min() <= line.get_ydata().max() <= high


def test_at_most_three_label_dimensions_over_time():
    figure = embedding_figure(made(300, 3), LABELS["mixed"](300))
    names = [a.get_title(loc="right") for a in figure.axes if a.get_title(loc="right")]
    assert names == ["an exceedingly lo…", "phase (rad)", "a very long name …"]


# ------------------------------------------------------------------------ loss


def test_loss_curve_with_its_chance_line():
    figure = embedding_figure(made(100, 3), history=HISTORY, chance=6.25)
    axes = figure.axes[-1]
    raw, mean, chance = axes.lines
    np.testing.assert_array_equal(raw.get_xdata(), np.arange(1, 301))
    np.testing.assert_array_equal(raw.get_ydata(), HISTORY)
    np.testing.assert_allclose(mean.get_ydata()[0], HISTORY[:6].mean())
    assert set(chance.get_ydata()) == {6.25}
    assert axes.get_ylim()[1] > 6.25
    assert [text.get_text() for text in axes.texts] == ["chance"]


@pytest.mark.parametrize("history", [[3.0], [3.0, np.nan, 2.0], list(range(5))])
def test_short_or_broken_histories_are_drawn_as_they_are(history):
    figure = embedding_figure(made(50, 2), history=history)
    render(figure)
    (line,) = figure.axes[-1].lines
    np.testing.assert_array_equal(line.get_ydata(), history)


# ------------------------------------------------------------------ colours, names


@pytest.mark.parametrize("name", ["$x_1$", "_hidden", "a_b^c", "5% \\a $", "<b>&", "x\ny"])
def test_names_are_plain_text(name):
    classes = [f"{name}1", f"{name}2", "c"]
    labels = [
        discrete(np.array(classes)[codes(300, 3)], name),
        continuous(angles(300), name + "2"),
    ]
    figure = embedding_figure(made(300, 3), labels, title=name)
    render(figure)
    plain = " ".join(name.split())
    written = [text for text in texts(figure) if plain in text.get_text()]
    assert {plain, f"{plain}2"} <= {text.get_text() for text in written}
    assert len(written) >= 6  # title, key, legend twice, lanes
    assert not any(text.get_parse_math() or text.get_usetex() for text in written)


def test_a_legend_names_every_class_and_a_bar_counts_them():
    legend = embedding_figure(made(300, 3), LABELS["8 classes"](300)).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list("01234567")
    assert legend.get_title().get_text() == "target"
    colours = [handle.get_color() for handle in legend.legend_handles]
    assert colours == [mpl.colors.to_rgba(colour) for colour in EIGHT]
    many = embedding_figure(made(300, 3), LABELS["40 classes"](300)).axes[0]
    assert many.get_legend() is None
    assert [text.get_text() for text in many.texts] == ["cell\n40 classes"]


@pytest.mark.parametrize(
    ("period", "marks"),
    [
        (TAU, ["0", "π/2", "π", "3π/2"]),
        (360, ["0", "90", "180", "270"]),
        (1, ["0", "0.25", "0.5", "0.75"]),
    ],
)
def test_the_wheel_is_marked_in_the_labels_own_unit(period, marks):
    label = circular(angles(300) * period / TAU, period, "direction")
    figure = embedding_figure(made(300, 3), [label])
    (ring,) = figure.axes[0].child_axes
    assert [tick.get_text() for tick in ring.get_xticklabels()] == marks
    scatter = figure.axes[1].findobj(PathCollection)[0]
    assert scatter.get_clim() == (0, period)


def test_a_few_outliers_do_not_wash_out_the_colours():
    values = np.sin(angles(1000))
    values[7] = 1e6
    scatter = embedding_figure(made(1000, 2), [continuous(values)]).axes[1].collections[0]
    assert scatter.get_clim()[1] < 2
    usual = np.sin(angles(1000))
    scatter = embedding_figure(made(1000, 2), [continuous(usual)]).axes[1].collections[0]
    assert scatter.get_clim() == (usual.min(), usual.max())


# Red-green blindness after Machado, Oliveira and Fernandes (2009), severity 1, in linear RGB.
EYES = {
    "all cones": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}
# The Oklab space (B. Ottosson, 2020), in which equal steps look equal.
TO_CONES = [
    [0.41222147, 0.53633254, 0.05144599],
    [0.21190350, 0.68069955, 0.10739696],
    [0.08830246, 0.28171884, 0.62997870],
]
TO_LAB = [
    [0.21045426, 0.79361779, -0.00407205],
    [1.97799850, -2.42859221, 0.45059371],
    [0.02590404, 0.78277177, -0.80867577],
]


def seen(colours, eyes):
    """How colours look to such eyes: lightness, green to red, blue to yellow."""
    rgb = np.asarray(colours)[:, :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.transpose(EYES[eyes]), 0, 1)
    return np.cbrt(linear @ np.transpose(TO_CONES)) @ np.transpose(TO_LAB)


def distances(colours, eyes):
    looks = seen(colours, eyes)
    return np.linalg.norm(looks[:, None] - looks, axis=-1)


@pytest.mark.parametrize("eyes", EYES)
def test_the_colour_wheel_closes_and_tells_angles_apart(eyes):
    apart = distances(cyclic_colours()(np.linspace(0, 1, 73)[:-1]), eyes)
    turn = np.abs(np.arange(72)[:, None] - np.arange(72))
    turn = 5 * np.minimum(turn, 72 - turn)
    assert apart[turn == 5].max() < 0.04  # no seam, not even at 0
    assert apart[turn >= 60].min() > 0.08
    assert apart[turn >= 90].min() > 0.12
    lightness = seen(cyclic_colours()(np.linspace(0, 1, 73)), eyes)[:, 0]
    assert lightness.max() < 0.86  # stands out from white paper


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize(("palette", "least"), [(EIGHT, 0.07), (TWELVE, 0.05)])
def test_classes_are_told_apart(eyes, palette, least):
    colours = class_colours(len(palette))(np.arange(len(palette)))
    assert distances(colours, eyes)[np.triu_indices(len(palette), 1)].min() > least


# ------------------------------------------------------------- state, bad input


def test_neither_pyplot_nor_settings_are_touched():
    """In a process of its own: pyplot is never imported, and the user's settings stay."""
    program = """
import sys, numpy, matplotlib
matplotlib.rcParams["text.usetex"] = True
matplotlib.rcParams["font.size"] = 31
matplotlib.rcParams["figure.constrained_layout.use"] = True
before = matplotlib.rcParams.copy()
from grevy.report import embedding_figure
figure = embedding_figure(numpy.random.default_rng(0).normal(size=(50, 3)))
assert "matplotlib.pyplot" not in sys.modules
assert matplotlib.rcParams.copy() == before
assert not any(text.get_usetex() for axes in figure.axes for text in axes.texts)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_same_input_gives_the_same_picture():
    def picture():
        canvas = FigureCanvasAgg(embedding_figure(made(300, 3), LABELS["radians"](300)))
        canvas.draw()
        return bytes(canvas.buffer_rgba())

    assert picture() == picture()


@pytest.mark.parametrize(
    "embedding", [np.zeros((40, 3)), np.ones((2, 2)), np.arange(8).reshape(4, 2)]
)
def test_collapsed_and_tiny_embeddings_are_drawn(embedding):
    constant = Label("part", "continuous", np.ones((len(embedding), 1)))
    render(embedding_figure(embedding, [constant], history=[1.0, 1.0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((made(99, 3), LABELS["continuous"](100)), "'position' has 100 time steps, the embedding"),
        ((np.full((9, 3), np.nan),), "NaN or infinite at 9 of 9"),
        ((np.ones(9),), r"expected \(T, D\)"),
        ((np.ones((1, 2)),), "one time step"),
    ],
)
def test_bad_arrays_are_refused(arguments, message):
    with pytest.raises(GrevyError, match=message):
        embedding_figure(*arguments)


@pytest.mark.parametrize("history", [[], [[1.0, 2.0]], [np.nan, np.nan]])
def test_bad_histories_are_refused(history):
    with pytest.raises(GrevyError, match="loss history of shape"):
        embedding_figure(made(50, 2), history=history)
