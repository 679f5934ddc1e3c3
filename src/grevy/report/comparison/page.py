"""The page of a comparison, from plain content: it computes nothing, it shows."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from grevy.report.page.document import document
from grevy.report.page.packing import script_json
from grevy.report.words import short

SCRIPTS = ("arrays.js", "comparison-table.js", "comparison-charts.js", "comparison.js")
NAME_LENGTH, VALUE_LENGTH = 80, 60


@dataclass(frozen=True)
class PageMetric:
    """One number to compare by: how it is called, its unit, which way is better, and chance."""

    name: str
    title: str
    unit: str
    larger_is_better: bool
    chance: tuple[float, ...]


@dataclass(frozen=True)
class PageRun:
    """One run: what it is called, its seed, and where its report lies from the page on."""

    name: str
    seed: str
    href: str


@dataclass(frozen=True)
class PageRow:
    """Runs alike but for the seed.

    Attributes
    ----------
    settings : tuple of str, int, float or None
        Values of the settings that differ.
    group : int
        Rows of different groups cannot be compared.
    best : bool
    runs : tuple of PageRun
    scores : tuple of (mean, low, high, n) or None
        By metric; low and high are None for one seed.
    """

    settings: tuple[str | float | None, ...]
    group: int
    best: bool
    runs: tuple[PageRun, ...]
    scores: tuple[tuple[float, float | None, float | None, int] | None, ...]


@dataclass(frozen=True)
class PagePicture:
    """The embedding of one run: what it is of, in words, and a PNG in base64."""

    title: str
    caption: str
    png: str
    href: str


@dataclass(frozen=True)
class PageContent:
    """All that the page of a comparison shows.

    Attributes
    ----------
    title : str
    facts : tuple of (str, str)
    verdict : tuple of (str, str)
        What is said of the best: a claim, and what stands behind it.
    notes, skipped : tuple of str
    settings : tuple of str
        Names of those that differ.
    metrics : tuple of PageMetric
        The first is shown at first, and is what rows are sorted and marked by.
    rows : tuple of PageRow
    pictures : tuple of PagePicture
    consistency : tuple of str
        How alike embeddings are, in lines; empty where that was not asked for.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    verdict: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    skipped: tuple[str, ...]
    settings: tuple[str, ...]
    metrics: tuple[PageMetric, ...]
    rows: tuple[PageRow, ...]
    pictures: tuple[PagePicture, ...]
    consistency: tuple[str, ...] = ()


def comparison_html(content: PageContent) -> str:
    """Write a comparison as one HTML page.

    Everything in the content is taken for text: names from files, however hostile, are escaped, and
    the page's own security policy lets no other script run and nothing be fetched.
    """
    from markupsafe import Markup

    return document(
        "comparison.html.j2",
        SCRIPTS,
        content=content,
        data=Markup(script_json(_data(content))),
    )


def _data(content: PageContent) -> dict[str, Any]:
    """Lay out what the page's script needs."""
    return {
        "settings": [short(name.replace("_", " "), NAME_LENGTH) for name in content.settings],
        "metrics": [
            asdict(replace(each, title=short(each.title, NAME_LENGTH))) for each in content.metrics
        ],
        "rows": [
            {
                "settings": [_value(value) for value in row.settings],
                "group": row.group,
                "best": row.best,
                "runs": [asdict(run) for run in row.runs],
                "scores": row.scores,
            }
            for row in content.rows
        ],
    }


def _value(value: Any) -> Any:
    return short(value, VALUE_LENGTH) if isinstance(value, str) else value
