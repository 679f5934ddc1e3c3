"""Names in any script on figures: drawn where a font has the glyphs, spelled out where none has."""

import io
import warnings

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.text import Text

from archived_runs import decoded_label, held_out, made_labels, made_scores, scored_run
from grevy.report.figures.embedding import embedding_figure
from grevy.report.figures.evidence import evidence_figure
from grevy.report.figures.findings import confusion_figure, consistency_figure, decoded_figure
from grevy.report.figures.lettering import FURTHER, USUAL, lettering, tell
from grevy.report.results import label_results
from grevy.report.words import short

NAMES = ("\u4f4d\u7f6e", "\uba38\ub9ac \ubc29\ud5a5", "\u5302\u3044")
CLASSES = ("\u82f9\u679c", "\u30d0\u30ca\u30ca", "\uc0bc\ub098\ubb34", "dill")
LABELS = made_labels(300, NAMES, CLASSES)


def drawn(kind):
    rng = np.random.default_rng(0)
    steps = held_out(300)
    decoded = [(label, decoded_label(label, steps, rng)) for label in LABELS]
    scores = made_scores("continuous")
    scores["blocked"][NAMES[1]] = dict(scores["blocked"]["pca"])
    results = label_results(scored_run({NAMES[0]: scores}))
    return {
        "embedding": lambda: embedding_figure(rng.normal(size=(300, 3)), LABELS, title=NAMES[0]),
        "classes": lambda: embedding_figure(rng.normal(size=(300, 3)), LABELS[::-1]),
        "decoded": lambda: decoded_figure(decoded),
        "confusion": lambda: confusion_figure(decoded),
        "evidence": lambda: evidence_figure(results),
        "consistency": lambda: consistency_figure([*NAMES[:2]], np.eye(2)),
    }[kind]()


KINDS = ["embedding", "classes", "decoded", "confusion", "evidence", "consistency"]


def texts(figure):
    return "".join(text.get_text() for text in figure.findobj(Text))


@pytest.fixture
def unlisted(monkeypatch):
    """A list of matplotlib's that was made before any such font was installed."""
    manager = font_manager.fontManager
    files = {each.fname for each in manager.ttflist if each.name in FURTHER}
    usual = [each for each in manager.ttflist if each.fname not in files]
    monkeypatch.setattr(manager, "ttflist", usual)


@pytest.fixture
def no_fonts(unlisted, monkeypatch):
    """A machine with nothing but what matplotlib brings along."""
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda *_, **__: [])
    tell.cache_clear()


@pytest.fixture
def with_fonts():
    if len(_chosen(NAMES).families) == 1:
        pytest.skip("no font for Chinese, Japanese and Korean is here: .ci/run installs one")


def _chosen(names):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lettering(names)


@pytest.mark.usefixtures("with_fonts")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_font_with_the_glyphs_draws_them(kind, form):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of each glyph that a font lacks
        figure = drawn(kind)
        figure.savefig(io.BytesIO(), format=form, dpi=40)
    assert "\\u" not in texts(figure)
    assert any(name in texts(figure) for name in NAMES)


@pytest.mark.usefixtures("no_fonts")
@pytest.mark.parametrize("kind", KINDS)
def test_without_one_they_are_spelled_out_and_a_warning_says_what_to_install(kind):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        figure = drawn(kind)
        figure.savefig(io.BytesIO(), dpi=40)
    (said,) = [str(each.message) for each in told]
    assert "fonts-noto-cjk" in said
    assert "\\u" in texts(figure)
    assert max(texts(figure)) < "\u3000", "nothing is left that would be an empty box"


@pytest.mark.usefixtures("no_fonts")
def test_it_is_said_once_for_all_figures():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for kind in ("confusion", "evidence", "consistency"):
            drawn(kind)
    assert len(told) == 1


@pytest.mark.usefixtures("with_fonts", "unlisted")
def test_a_font_that_matplotlib_has_not_listed_yet_is_found():
    """Its list is made once, and kept; fonts are installed afterwards."""
    assert not {each.name for each in font_manager.fontManager.ttflist} & set(FURTHER)
    assert _chosen(NAMES).families[0] == USUAL
    assert len(_chosen(NAMES).families) > 1


@pytest.mark.parametrize("text", ["plain", "\u03b8 \u00e9 R²", "a\x1bb", "\u200e", "\ud800", ""])
def test_what_the_usual_font_draws_needs_no_other(text, monkeypatch):
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: pytest.fail("looked for fonts"))
    chosen = lettering([text])
    assert chosen.families == (USUAL,)
    assert chosen.legible(text) == text


@pytest.mark.parametrize(
    ("text", "length", "kept"),
    [
        ("\u4f4d\u7f6e", 4, "\u4f4d\u7f6e"),
        ("\u4f4d\u7f6e\u548c", 5, "\u4f4d\u7f6e…"),
        ("\u4f4d\u7f6e\u548c", 4, "\u4f4d…"),
        ("abcde", 5, "abcde"),
        ("abcdef", 5, "abcd…"),
        pytest.param("\u4f4d" * 1_000_000, 5, "\u4f4d\u4f4d…", id="at once, whatever its length"),
    ],
)
def test_wide_signs_take_up_two_columns(text, length, kept):
    assert short(text, length) == kept
