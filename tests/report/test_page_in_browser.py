"""The report in a real browser: what can be pressed, turned, pointed at and printed works."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from archived_runs import HOSTILE, made_labels, write_run
from browsers import launched, opened
from grevy.archive.reading import read_run
from grevy.data.labels import circular, continuous, discrete
from grevy.report.page.page import report_html

PHONE = {"width": 360, "height": 640}
# From where the embedding is seen at first, on a wide screen.
STRAIGHT = {"x": 1.34, "y": -1.34, "z": 0.76}
NO_WEBGL = """
const real = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.includes("webgl") ? null : real.call(this, kind, ...rest);
};
"""


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_run(tmp_path_factory.mktemp("runs") / "run", dimension=4))


@pytest.fixture(scope="module")
def report(run, tmp_path_factory):
    return written(report_html(run), tmp_path_factory.mktemp("page"))


def written(html, folder):
    path = folder / "report.html"
    path.write_text(html, "utf-8")
    return path


@pytest.fixture(scope="module")
def bare(run, tmp_path_factory):
    """The page of a run without scores, whose embedding alone is looked at: quick to draw."""
    without = replace(run, metrics={}, decoded={}, history={})
    return written(report_html(without), tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def shared(browser, report):
    """One page that many tests look at; each puts back what it changes."""
    with opened(browser, report) as page:
        yield page


@pytest.fixture
def page(shared):
    yield shared
    shared.evaluate("scrollTo(0, 0)")
    usual = {"#window-length": "1", "#axis-z": "6", "#axis-x": "4", "#axis-y": "5", "#colour": "1"}
    for name, value in usual.items():
        if shared.input_value(name) != value:
            shared.select_option(name, value)
    if eye(shared) != STRAIGHT:
        shared.click("#reset")


def plot(page, what):
    """Something of the embedding's figure, as plotly holds it."""
    return page.eval_on_selector("#embedding-plot", f"(p) => {what}")


def points(page):
    """The coordinates and colour values of the points in the window."""
    trace = "p.data[2]"
    return {
        "type": plot(page, f"{trace}.type"),
        **{name: np.array(plot(page, f"{trace}.{name}") or []) for name in "xyz"},
        "colour": np.array(plot(page, f"{trace}.marker.color")),
    }


def settled(page):
    """Wait until what was asked for is drawn."""
    page.evaluate("() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")


def in_view(page):
    """Bring the embedding into view; return where it is."""
    page.locator("#embedding-plot").scroll_into_view_if_needed()
    return page.locator("#embedding-plot").bounding_box()


def point_at_something(page):
    """Move the mouse over the embedding until it tells of a point."""
    box = in_view(page)
    for up in (0.5, 0.45, 0.55, 0.4, 0.6):
        for across in np.linspace(0.3, 0.7, 25):
            page.mouse.move(box["x"] + across * box["width"], box["y"] + up * box["height"])
            page.wait_for_timeout(10)
            if page.is_visible("#embedding-tip"):
                return page.inner_text("#embedding-tip")
    return ""


def eye(page):
    return plot(page, "p.layout.scene.camera.eye")


class TestColour:
    def test_the_menu_offers_time_and_every_label(self, page):
        assert page.locator("#colour option").all_text_contents() == [
            "time (s)", "velocity [0]", "velocity [1]", "direction (degrees)", "odour",
        ]  # fmt: skip

    @pytest.mark.parametrize("choice", range(5))
    def test_points_take_the_colour_asked_for(self, page, run, choice):
        page.select_option("#colour", str(choice))
        settled(page)
        velocity, direction, odour = run.labels
        expected = [
            np.arange(300) / 20, velocity.values[:, 0], velocity.values[:, 1],
            direction.unit_values, odour.values,
        ][choice]  # fmt: skip
        np.testing.assert_allclose(points(page)["colour"], expected, atol=1e-2)

    def test_the_key_explains_them(self, page):
        page.select_option("#colour", "1")
        assert page.locator("#legend .bar").count() == 1
        assert page.locator("#legend .ends span").count() == 2
        page.select_option("#colour", "3")
        assert page.locator("#legend .wheel span").all_text_contents() == ["0", "90", "180", "270"]
        page.select_option("#colour", "4")
        items = page.locator("#legend li")
        assert items.all_text_contents() == ["apple", "banana", "cedar", "dill"]
        swatches = page.eval_on_selector_all(
            "#legend .swatch", "all => all.map((each) => each.style.background)"
        )
        assert len(set(swatches)) == 4

    def test_an_angle_has_the_same_colour_after_a_turn(self, page):
        page.select_option("#colour", "3")
        settled(page)
        scale = plot(page, "p.data[2].marker.colorscale")
        assert scale[0][1] == scale[-1][1]
        assert plot(page, "[p.data[2].marker.cmin, p.data[2].marker.cmax]") == [0, 360]


class TestAxes:
    def test_components_come_first_and_any_dimension_can_be_chosen(self, page, run):
        assert [page.input_value(f"#axis-{axis}") for axis in "xyz"] == ["4", "5", "6"]
        for axis, dimension in (("x", 3), ("y", 0), ("z", 2)):
            page.select_option(f"#axis-{axis}", str(dimension))
        settled(page)
        drawn = points(page)
        assert drawn["type"] == "scatter3d"
        for axis, dimension in (("x", 3), ("y", 0), ("z", 2)):
            np.testing.assert_allclose(drawn[axis], run.embedding[:, dimension], atol=1e-3)
            assert (
                plot(page, f"p.layout.scene.{axis}axis.title.text") == f"dimension {dimension + 1}"
            )

    def test_time_can_be_an_axis(self, page):
        page.select_option("#axis-z", label="time (s)")
        settled(page)
        np.testing.assert_allclose(points(page)["z"], np.arange(300) / 20, atol=1e-3)
        assert plot(page, "p.layout.scene.aspectmode") == "cube"

    def test_in_the_plane(self, page):
        page.select_option("#axis-z", label="none: in the plane")
        settled(page)
        assert points(page)["type"] == "scatter"
        assert page.locator("#embedding-plot .scatterlayer .point").count() == 300
        assert page.is_disabled("#reset")
        page.select_option("#axis-z", "6")
        settled(page)
        assert points(page)["type"] == "scatter3d"
        assert page.is_enabled("#reset")


class TestTurning:
    def test_with_the_mouse(self, page):
        before = eye(page)
        box = in_view(page)
        middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.move(*middle)
        page.mouse.down()
        for step in range(6):
            page.mouse.move(middle[0] + 20 * step, middle[1] + 2 * step)
            settled(page)
        page.mouse.up()
        settled(page)
        turned = eye(page)
        assert abs(turned["x"] - before["x"]) > 0.1
        page.select_option("#colour", "4")  # another colour is seen from the same side
        settled(page)
        assert eye(page) == pytest.approx(turned)

    @pytest.mark.parametrize("key", ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "+", "-"])
    def test_with_the_keys(self, page, key):
        page.focus("#embedding-plot")
        before = eye(page)
        page.keyboard.press(key)
        settled(page)
        turned = eye(page)
        reach = [np.linalg.norm(list(each.values())) for each in (before, turned)]
        if key in "+-":
            assert (reach[1] < reach[0]) == (key == "+")
        else:
            assert reach[1] == pytest.approx(reach[0])
            changes = "z" if key in ("ArrowUp", "ArrowDown") else "x"
            assert turned[changes] != pytest.approx(before[changes])
        page.keyboard.press("0")
        settled(page)
        assert eye(page) == pytest.approx(before)

    def test_the_page_does_not_scroll_meanwhile(self, page):
        page.focus("#embedding-plot")
        at = page.evaluate("scrollY")
        page.keyboard.press("ArrowDown")
        assert page.evaluate("scrollY") == at

    def test_with_the_buttons(self, page):
        before = eye(page)
        page.click("#zoom-in")
        settled(page)
        assert abs(eye(page)["x"]) < abs(before["x"])
        page.click("#reset")
        settled(page)
        assert eye(page) == pytest.approx(before)


class TestTime:
    def test_a_window_shows_its_part_of_the_recording(self, page, run):
        page.select_option("#axis-x", "0")
        page.select_option("#window-length", "5")
        settled(page)
        np.testing.assert_allclose(points(page)["x"], run.embedding[:60, 0], atol=1e-3)
        assert page.inner_text("#window-text") == "0.00 s to 2.95 s"
        page.fill("#window-start", "1000")
        settled(page)
        np.testing.assert_allclose(points(page)["x"], run.embedding[240:, 0], atol=1e-3)
        assert page.inner_text("#window-text") == "12.00 s to 14.95 s"
        assert page.get_attribute("#window-start", "aria-valuetext") == "12.00 s to 14.95 s"
        assert len(plot(page, "p.data[0].x")) == 300, "the rest stays in sight, pale"
        assert len(plot(page, "p.data[1].x")) == 60, "with a line from step to step"

    def test_the_slider_moves_by_keys(self, page):
        page.select_option("#window-length", "10")
        page.focus("#window-start")
        page.keyboard.press("End")
        settled(page)
        assert page.inner_text("#window-text") == "13.50 s to 14.95 s"
        page.keyboard.press("Home")
        settled(page)
        assert page.inner_text("#window-text") == "0.00 s to 1.45 s"

    def test_play_and_pause(self, page):
        page.click("#play")
        assert page.input_value("#window-length") == "10", (
            "a window of its own, where all was shown"
        )
        assert page.inner_text("#play") == "Pause"
        first = float(page.input_value("#window-start"))
        page.wait_for_timeout(600)
        later = float(page.input_value("#window-start"))
        assert later > first
        page.keyboard.press("Enter")  # the button has the focus still
        assert page.inner_text("#play") == "Play"
        settled(page)
        at = page.input_value("#window-start")
        page.wait_for_timeout(200)
        assert page.input_value("#window-start") == at
        assert len(points(page)["x"]) == 30

    def test_it_stops_at_the_end_and_starts_again(self, page):
        page.select_option("#window-length", "2")
        page.fill("#window-start", "1000")
        page.click("#play")
        page.wait_for_timeout(150)
        assert float(page.input_value("#window-start")) < 500
        page.fill("#window-start", "990")
        page.click("#play")
        page.evaluate("document.getElementById('window-start').value = 999")
        page.click("#play")
        page.wait_for_selector("#play:text('Play')", timeout=3000)
        assert page.input_value("#window-start") == "1000"


def test_pointing_tells_time_and_labels(page, run):
    page.select_option("#axis-x", "0")
    page.select_option("#axis-y", "1")
    page.select_option("#axis-z", label="none: in the plane")
    settled(page)
    box = in_view(page)
    apart = np.linalg.norm(run.embedding[:, None, :2] - run.embedding[None, :, :2], axis=2)
    lonely = int(np.sort(apart, axis=1)[:, 1].argmax())  # no other point is under the pointer
    inside = plot(
        page,
        f"['x', 'y'].map((k) => [p._fullLayout[k + 'axis'], p.data[2][k][{lonely}]])"
        ".map(([axis, value]) => axis._offset + axis.l2p(value))",
    )
    page.mouse.move(box["x"] + inside[0], box["y"] + inside[1])
    page.wait_for_selector("#embedding-tip:visible")
    velocity, direction, odour = run.labels
    assert page.inner_text("#embedding-tip").replace("\N{MINUS SIGN}", "-").split("\n") == [
        f"{lonely / 20:.2f} s (step {lonely})",
        f"velocity [0]: {velocity.values[lonely, 0]:.1f}",
        f"velocity [1]: {velocity.values[lonely, 1]:.1f}",
        f"direction (degrees): {direction.unit_values[lonely]:.0f}",
        f"odour: {odour.unit_values[lonely]}",
    ]
    page.mouse.move(5, 5)
    page.wait_for_selector("#embedding-tip", state="hidden")


def test_pointing_works_in_space_too(page):
    told = point_at_something(page)
    assert "(step " in told
    assert "odour: " in told


class TestCharts:
    def test_every_one_is_drawn(self, page):
        charts = page.locator(".plot")
        assert charts.count() == 9 + 9 + 2
        for chart in charts.all():
            assert chart.locator("svg.main-svg").count() >= 1
            box = chart.bounding_box()
            assert box["width"] > 200
            assert box["height"] > 150

    def test_menus_switch_what_is_shown(self, page, run):
        def shown(identity):
            return page.evaluate(
                "(id) => document.getElementById(id).data.filter((t) => t.visible !== false)"
                ".map((t) => t.meta)",
                identity,
            )

        page.select_option('[data-choice="dimension"]', index=1)
        assert shown("decoded-0") == [{"stretch": 0, "dimension": 1}] * 2
        assert shown("errors-0") == [{"dimension": 1}] * 2
        page.select_option('[data-charts="decoded-0"][data-choice="stretch"]', index=2)
        assert shown("decoded-0") == [{"stretch": 2, "dimension": 1}] * 2
        assert shown("decoded-1") == [{"stretch": 0, "dimension": 0}] * 2, "another label's stays"
        page.select_option('[data-choice="dimension"]', index=0)
        page.select_option('[data-charts="decoded-0"][data-choice="stretch"]', index=0)


class TestKeyboard:
    def test_everything_is_reached_in_reading_order(self, page):
        page.mouse.click(2, 2)  # the next key goes on from here
        reached = []
        for _ in range(22):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    "(() => { const e = document.activeElement;"
                    " return e.id || e.getAttribute('href'); })()"
                )
            )
        assert reached[0] == "#verdict", "a link past the head of the page"
        assert reached[1:9] == [
            "#embedding", "#decoding", "#evidence", "#training", "#consistency-section",
            "#settings", "#provenance", "#methods",
        ]  # fmt: skip
        assert reached[9:21] == [
            "embedding-plot", "colour", "axis-x", "axis-y", "axis-z", "window-length", "play",
            "zoom-in", "zoom-out", "reset", *reached[19:21],
        ]  # fmt: skip

    @pytest.mark.parametrize("what", ["#embedding-plot", "#colour", "#play", "nav a", "#bibtex"])
    def test_what_has_the_focus_is_seen(self, page, what):
        page.focus(what)
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        width = page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
        assert style == "solid"
        assert width >= 2

    def test_a_menu_is_worked_by_keys(self, page):
        page.focus("#colour")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        settled(page)
        assert page.input_value("#colour") == "2"

    def test_text_is_there_to_be_copied(self, page):
        page.click('[data-copy="bibtex"]')
        page.wait_for_selector('[data-copy="bibtex"]:text-matches("Copied|Selected")')
        assert page.inner_text('[data-copy="bibtex"]') in ("Copied", "Selected")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_width_is_too_narrow(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    too_wide = """(width) => {
        const sticksOut = (each) => {
            const { left, right } = each.getBoundingClientRect();
            return left < 0 || right > width || each._fullLayout.width > right - left + 1;
        };
        const charts = [...document.querySelectorAll(".plot, #embedding-plot")];
        return charts.filter(sticksOut).map((each) => each.id);
    }"""
    try:
        for _ in range(50):  # charts follow a little later
            page.wait_for_timeout(100)
            if not page.evaluate(too_wide, width):
                break
        assert page.evaluate(too_wide, width) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#play").bounding_box()["height"] >= 36, "a finger finds it"
    finally:
        page.set_viewport_size({"width": 1280, "height": 900})


def test_on_paper(page):
    widths = "[...document.querySelectorAll('.plot')].map((each) => each._fullLayout.width)"
    # An earlier test may have left another width of the window, to which charts adapt one by one.
    page.wait_for_function(
        "[...document.querySelectorAll('.plot')].every("
        "(each) => Math.abs(each._fullLayout.width - each.clientWidth) < 2)"
    )
    before = page.evaluate(widths)
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.emulate_media(media="print")
    try:
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert max(page.evaluate(widths)) <= 680, "the text of an A4 page"
        for hidden in ("nav", "#play", "#axis-x", "#reset", "#embedding-help"):
            assert not page.is_visible(hidden), hidden
        for shown in ("#legend", "#verdict", "#embedding-plot", "#bibtex"):
            assert page.is_visible(shown), shown
    finally:
        page.emulate_media(media="screen")
        page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(widths) == pytest.approx(before, abs=2)


STILL = "window.setTimeout = () => 0;"
UNDRAWN = """() => [...document.querySelectorAll(".plot")]
    .filter((each) => !each.querySelector(".main-svg .xtick"))
    .map((each) => each.id)"""


def emptiest(picture, page):
    """The chart on a picture of the whole page that has the least ink, and how much that is."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("L"))
    boxes = page.eval_on_selector_all(
        ".plot",
        """all => all.map((each) => {
            const { left, top, width, height } = each.getBoundingClientRect();
            return [each.id, left + scrollX, top + scrollY, width, height];
        })""",
    )
    shares = {}
    for name, left, top, width, height in boxes:
        inside = pixels[int(top) : int(top + height), int(left) : int(left + width)]
        shares[name] = float((inside < 200).mean())
    return min((share, name) for name, share in shares.items())


def test_a_picture_of_the_whole_page_as_soon_as_it_is_loaded(browser, report):
    place = browser.new_context(viewport={"width": 1280, "height": 900})
    page = place.new_page()
    page.goto(report.as_uri(), wait_until="load")
    assert page.evaluate(UNDRAWN) == []
    share, name = emptiest(page.screenshot(full_page=True), page)
    assert share > 0.003, name
    place.close()


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """The page of a run of many labels, more charts than are drawn at once."""
    folder = tmp_path_factory.mktemp("long")
    names = [f"label {i}" for i in range(6)]
    labels = [continuous(np.sin(np.arange(300) / (i + 9)), name) for i, name in enumerate(names)]
    return written(report_html(read_run(write_run(folder / "run", labels))), folder)


@pytest.mark.parametrize("how", ["paper", "a tall window"])
def test_charts_out_of_sight_are_there_too(browser, long, how):
    """With timers that never ring, so that nothing is drawn later."""
    height = 900 if how == "paper" else 20_000
    place = browser.new_context(viewport={"width": 1280, "height": height})
    page = place.new_page()
    page.add_init_script(STILL)
    page.goto(long.as_uri(), wait_until="load")
    if how == "paper":
        assert page.evaluate(UNDRAWN), "some wait for a pause"
        drawn = page.pdf(format="A4")
        assert page.evaluate(UNDRAWN) == []
        assert len(drawn) > 100_000
    assert page.evaluate(UNDRAWN) == []
    place.close()


def test_less_motion_for_who_asks_for_it(page):
    page.emulate_media(reduced_motion="reduce")
    page.select_option("#window-length", "5")
    page.fill("#window-start", "0")
    page.click("#play")
    for _ in range(30):
        page.wait_for_timeout(20)
        if page.input_value("#window-start") != "0":
            break
    assert page.input_value("#window-start") == "250", "a page further at once"
    page.wait_for_timeout(250)
    assert page.input_value("#window-start") == "250", "and there it rests a while"
    page.click("#play")
    page.emulate_media(reduced_motion="no-preference")


def test_without_webgl_it_is_flat_and_says_so(browser, bare):
    with opened(browser, bare, script=NO_WEBGL) as page:
        assert page.is_visible("#no-webgl")
        assert points(page)["type"] == "scatter"
        assert page.locator("#embedding-plot .scatterlayer .point").count() == 300
        assert page.is_disabled("#axis-z")
        page.select_option("#axis-x", "1")
        page.select_option("#window-length", "10")
        settled(page)
        assert len(points(page)["x"]) == 30


def test_without_scripts_it_can_be_read(browser, report):
    with opened(browser, report, java_script_enabled=False) as page:
        assert "Better than chance" in page.inner_text("#verdict")
        assert page.locator("noscript p").is_visible()
        assert page.locator("table.scores").count() == 3


def test_hostile_names_are_text(browser, tmp_path):
    names = (HOSTILE, "</script><img src=x onerror=alert(2)>", "<b>odour</b>")
    classes = ("<b>apple</b>", "</span>", "&amp;", "{{x}}")
    folder = write_run(tmp_path / "run", made_labels(300, names, classes), source=HOSTILE)
    run = read_run(folder)
    for scores in run.metrics["scores"].values():
        scores["blocked"][HOSTILE] = scores["blocked"]["pca"]
    path = written(report_html(run), tmp_path)
    with opened(browser, path) as page:
        assert page.locator("h1").inner_text() == HOSTILE
        assert page.locator("h3").all_text_contents()[0].startswith(HOSTILE)
        assert page.locator("#colour option").all_text_contents()[1] == f"{HOSTILE} [0]"
        page.select_option("#colour", "4")
        assert page.locator("#legend li").all_text_contents() == sorted(classes)
        assert page.locator("b, img").count() == 0
        ticks = page.locator("#baselines-0 .yaxislayer-above .ytick text").all_text_contents()
        assert any(tick.startswith(HOSTILE) for tick in ticks)
        ticks = page.locator("#confusion-2 .xtick text").all_text_contents()
        assert ticks == sorted(classes)
        assert page.locator("#decoded-0 .ytitle").text_content() == HOSTILE


GAPS = "gaps, and two recordings"
KINDS = {
    "one dimension": lambda run: {"embedding": run.embedding[:, :1]},
    "two dimensions": lambda run: {"embedding": run.embedding[:, :2]},
    "nothing but an embedding": lambda run: {
        "labels": (), "config": {}, "manifest": {"files": {}}, "sampling_rate": None,
    },
    GAPS: lambda run: {
        "embedding": np.where((np.arange(300) % 100 < 20)[:, None], np.nan, run.embedding),
        "segments": np.array([[20, 100], [120, 200], [220, 300]]),
        "manifest": {
            **run.manifest,
            "data": [{"time_steps": n, "neurons": n, "source": "x"} for n in (100, 200)],
        },
    },
    "five time steps": lambda run: {
        "embedding": run.embedding[:5], "labels": (), "segments": np.array([[0, 5]]),
    },
    "a constant embedding": lambda run: {"embedding": np.ones_like(run.embedding)},
    "a hundred classes, and radians": lambda run: {
        "labels": (
            discrete(np.arange(300) % 100, "cell"), circular(np.arange(300) / 9, name="phase"),
        ),
    },
}  # fmt: skip
QUICK = ("one dimension", "nothing but an embedding", GAPS)


def bare_page(run, kind, folder):
    without = replace(run, metrics={}, decoded={}, history={})
    return written(report_html(replace(without, **KINDS[kind](run))), folder)


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[] if k in QUICK else pytest.mark.slow) for k in KINDS]
)
def test_runs_of_every_kind(browser, run, kind, tmp_path):
    with opened(browser, bare_page(run, kind, tmp_path), viewport=PHONE) as page:
        drawn = points(page)
        assert len(drawn["x"]) > 0
        flat = kind in ("one dimension", "two dimensions")
        assert drawn["type"] == ("scatter" if flat else "scatter3d")
        for choice in range(page.locator("#colour option").count()):
            page.select_option("#colour", str(choice))
        if page.is_enabled("#play"):
            page.select_option("#window-length", index=1)
            page.fill("#window-start", "500")
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        if kind == GAPS:
            page.fill("#window-start", "0")
            settled(page)
            assert plot(page, "p.data[1].x").index(None) == 80, "no line across a gap"
            page.select_option("#window-length", index=0)
            assert "recording" in point_at_something(page)
