"""The page of a comparison in a real browser: 500 runs, sorted, filtered, and a link followed."""

import json
import math
import os
import re
import shutil

import pytest
import yaml

from archived_runs import HOSTILE, made_labels, made_metrics, write_run
from browsers import DRAWN, launched, opened
from grevy.sweeps import compare_folders, write_page
from grevy.sweeps.page import link, page_content

COUNT = 500
TEMPERATURES = (0.1, 0.2, 0.5, 1.0, 2.0)
MODELS = ("offset1-model", "offset10-model")


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """500 runs, written once by the archive and changed in what a comparison reads."""
    root = tmp_path_factory.mktemp("many")
    first = write_run(root / "sweep/runs/000", made_labels(300)).root
    (first / "report.html").write_text("<title>The report of a run</title>")
    config = yaml.safe_load((first / "config.yaml").read_text())
    metrics = json.loads((first / "logs/metrics.json").read_text())
    for place in range(COUNT):
        here = first.with_name(f"{place:03d}")
        if place:
            shutil.copytree(first, here, copy_function=os.link)
        temperature, model = TEMPERATURES[place % 5], MODELS[place // 5 % 2]
        own = {
            "temperature": temperature,
            "model_architecture": model,
            "num_hidden_units": place + 1,
        }
        metrics["scores"]["velocity"]["blocked"]["embedding"]["test_r2"] = place / COUNT
        for name, text in (
            ("config.yaml", yaml.safe_dump({**config, **own})),
            ("logs/metrics.json", json.dumps(metrics)),
        ):
            (here / name).unlink()
            (here / name).write_text(text)
    return root


@pytest.fixture(scope="module")
def path(runs):
    page = runs / "pages/comparison.html"
    write_page(compare_folders([runs / "sweep"]), page, [runs / "sweep"])
    return page


@pytest.fixture(scope="module")
def shared(browser, path):
    with opened(browser, path) as page:
        yield page


@pytest.fixture
def page(shared):
    yield shared
    shared.fill("#filter", "")
    shared.select_option("#metric", "0")
    if "descending" not in (shared.get_attribute("th:has([data-column=mean])", "aria-sort") or ""):
        shared.click("[data-column=mean]")


def cells(page, column):
    """The texts of one column, by its place, in the rows that are shown."""
    return page.eval_on_selector_all(
        "#table tbody tr", f"rows => rows.map((row) => row.cells[{column}].textContent)"
    )


def until(page, condition):
    """Wait for a condition; the page's policy lets no text be run in it, so it is asked again."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never came true: {condition}")


def count(page):
    return page.inner_text("#count")


def test_the_page_is_one_file_of_bounded_size(path):
    assert path.stat().st_size < 8e6


def test_all_rows_are_there_the_best_first(page):
    assert count(page) == f"{COUNT} of {COUNT} rows"
    assert [float(text) for text in cells(page, 3)[:3]] == [0.998, 0.996, 0.994]
    assert len(cells(page, 0)) == 100
    page.click("#more")
    assert len(cells(page, 0)) == 200


def test_columns_sort_both_ways(page):
    page.click("[data-column=mean]")
    assert [float(text) for text in cells(page, 3)[:3]] == [0.0, 0.002, 0.004]
    assert page.get_attribute("th:has([data-column=mean])", "aria-sort") == "ascending"
    page.click("th >> text=num hidden units")
    assert [int(text) for text in cells(page, 1)[:3]] == [1, 2, 3]
    page.click("th >> text=num hidden units")
    assert [int(text) for text in cells(page, 1)[:3]] == [500, 499, 498]
    page.click("th >> text=model architecture")
    assert set(cells(page, 0)) == {"offset1-model"}


def test_a_filter_takes_words_and_conditions(page):
    page.fill("#filter", "offset10")
    assert count(page) == f"250 of {COUNT} rows"
    page.fill("#filter", "offset10 temperature<0.5")
    assert count(page) == f"100 of {COUNT} rows"
    page.fill("#filter", "temperature=0.5 mean>0.9")
    assert count(page) == f"10 of {COUNT} rows"
    page.fill("#filter", "model_architecture=offset1")
    assert count(page) == f"0 of {COUNT} rows"
    assert page.locator("#parallel").count() == 1


def test_figures_follow_filter_and_score(page):
    heights = "p => p.data[0].y.length"
    page.locator("#against-0").scroll_into_view_if_needed()
    until(page, "document.getElementById('against-0').data?.[0].y.length === 500")
    page.fill("#filter", "temperature=0.5")
    page.locator("#against-0").scroll_into_view_if_needed()  # drawn anew when it is seen
    until(page, "document.getElementById('against-0').data[0].y.length === 100")
    assert page.eval_on_selector("#against-0", heights) == 100
    page.select_option("#metric", label="direction: mean angular error, held out (label's unit)")
    page.locator("#against-0").scroll_into_view_if_needed()
    until(page, "document.getElementById('against-0').data[0].y[0] === 24")
    assert page.get_attribute("th:has([data-column=mean])", "aria-sort") == "ascending"


def data(page):
    return json.loads(page.locator("#comparison-data").text_content())


def test_dots_of_one_value_lie_beside_each_other(page):
    place = data(page)["settings"].index("temperature")
    page.locator(f"#against-{place}").scroll_into_view_if_needed()
    until(page, f"document.getElementById('against-{place}').data?.[0].y.length === 500")
    found = page.eval_on_selector(f"#against-{place}", "p => p.data[0].x")
    assert len(set(found)) == COUNT
    assert {round(x) for x in found} == set(range(len(TEMPERATURES)))


def test_many_numbers_stand_at_their_size(page):
    """500 numbers of hidden units, from 1 on, by their logarithm; the scores grow with them."""
    place = data(page)["settings"].index("num hidden units")
    page.locator(f"#against-{place}").scroll_into_view_if_needed()
    until(page, f"document.getElementById('against-{place}').data?.[0].y.length === 500")
    x, y = page.eval_on_selector(f"#against-{place}", "p => [p.data[0].x, p.data[0].y]")
    expected = [8 * math.log(1 + COUNT * score) / math.log(COUNT) for score in y]
    assert x == pytest.approx(expected)
    ticks = page.eval_on_selector(f"#against-{place}", "p => p.layout.xaxis.ticktext")
    assert ticks == ["1", "2", "5", "10", "20", "50", "100", "200", "500"]
    page.locator("#heat").scroll_into_view_if_needed()
    page.select_option("#heat-x", str(place))
    until(page, "document.getElementById('heat').data?.[0].z[0].length === 8")
    assert page.eval_on_selector("#heat", "p => p.layout.xaxis.ticktext[7]") == "230 to 500"


def test_two_settings_make_a_map_of_means(page):
    page.locator("#heat").scroll_into_view_if_needed()
    page.select_option("#heat-x", "0")
    page.select_option("#heat-y", "2")
    until(page, "document.getElementById('heat').data?.[0].z.length === 5")
    found = page.eval_on_selector("#heat", "p => p.data[0].z")
    own = [place / COUNT for place in range(COUNT) if place % 5 == 2 and place // 5 % 2 == 1]
    assert found[2][1] == pytest.approx(sum(own) / len(own))


def test_embeddings_of_the_best_are_shown(page):
    assert page.locator("#embeddings img").count() == 6
    sizes = page.eval_on_selector_all("#embeddings img", "all => all.map((i) => i.naturalWidth)")
    assert min(sizes) > 200


def test_a_link_leads_to_the_report(browser, path):
    place = browser.new_context()
    page = place.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector(DRAWN, state="attached")
    page.click("#table tbody tr:first-child a")
    page.wait_for_load_state()
    assert page.title() == "The report of a run"
    assert page.url.endswith("/sweep/runs/499/report.html")
    place.close()


def test_a_phone_shows_it_without_sideways_scrolling(browser, path):
    with opened(browser, path, viewport={"width": 360, "height": 640}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_without_scripts_the_page_says_so(browser, path):
    with opened(browser, path, java_script_enabled=False) as page:
        assert "need JavaScript" in page.inner_text("#runs")
        assert page.locator("#verdict .verdict").count() > 0


def test_names_are_sorted_by_the_numbers_in_them(browser, tmp_path):
    names = ["offset1-model", "offset5-model", "offset10-model", "offset36-model"]
    for name in sorted(names):
        labels = made_labels(300)
        config = {"model_architecture": name}
        write_run(tmp_path / name, labels, config=config, metrics=made_metrics(labels, range(60)))
    write_page(compare_folders([tmp_path]), tmp_path / "page.html", [tmp_path])
    with opened(browser, tmp_path / "page.html") as page:
        page.locator("#against-0").scroll_into_view_if_needed()
        until(page, "document.getElementById('against-0').data")
        found = page.eval_on_selector("#against-0", "p => p.layout.xaxis.ticktext")
        upon = page.eval_on_selector("#against-0", "p => p.data[0].x")
    assert found == names
    assert sorted(upon) == [0, 1, 2, 3]  # no two share a value


def test_hostile_names_are_text(browser, tmp_path):
    labels = made_labels(300, names=(HOSTILE, "<img src=x onerror=alert(1)>", "</script><b>"))
    for place in range(3):
        config = {"model_architecture": f"{HOSTILE}{place}", "neural": None}
        folder = write_run(
            tmp_path / f"javascript:alert({place})<b>", labels, config=config,
            metrics=made_metrics(labels, range(60)),
        )  # fmt: skip
        (folder / "report.html").write_text("<title>found</title>")
    (tmp_path / "runs <i>").mkdir()
    for name in ("embeddings", "figures", "logs", "models"):
        (tmp_path / "runs <i>" / name).mkdir()
    path = tmp_path / "page.html"
    write_page(compare_folders([tmp_path]), path, [tmp_path])
    with opened(browser, path) as page:
        assert HOSTILE in page.inner_text("#table")
        assert "runs <i>" in page.inner_text("#skipped")
        assert page.locator("#table b, #skipped i, #verdict script").count() == 0
        for name in ("parallel", "against-0"):
            page.locator(f"#{name}").scroll_into_view_if_needed()
            until(page, f"document.getElementById('{name}').data")
        hrefs = page.eval_on_selector_all("#table a", "all => all.map((a) => a.protocol)")
        assert hrefs == ["file:"] * 3


def test_recordings_of_one_run_count_each(tmp_path):
    write_run(tmp_path / "run", lengths=[100, 200])
    content = page_content(compare_folders([tmp_path]), tmp_path / "page.html")
    assert ("Recordings", "2") in content.facts


def test_a_link_is_relative_and_quoted(tmp_path):
    target = tmp_path / "a b/#1?/report.html"
    target.parent.mkdir(parents=True)
    page = tmp_path / "pages/page.html"
    assert link(target, page) == ""
    target.write_text("")
    assert link(target, page) == "../a%20b/%231%3F/report.html"
    assert re.fullmatch(r"[\w./%-]*", link(target, page))
