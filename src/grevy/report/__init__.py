"""What a reader sees: an archived run in, words and pictures out."""

from grevy.report.comparison.page import (
    PageContent,
    PageMetric,
    PagePicture,
    PageRow,
    PageRun,
    comparison_html,
)
from grevy.report.comparison.thumbnails import embedding_thumbnail
from grevy.report.figures.embedding import embedding_figure
from grevy.report.files import write_figures, write_report
from grevy.report.page.page import report_html
from grevy.report.results import label_results, source_name
from grevy.report.summary import describe_data, describe_metrics, summarise
from grevy.report.verdict import run_verdicts
from grevy.report.words import NOTHING, number, plural, short, unit_name

__all__ = [
    "NOTHING",
    "PageContent",
    "PageMetric",
    "PagePicture",
    "PageRow",
    "PageRun",
    "comparison_html",
    "describe_data",
    "describe_metrics",
    "embedding_figure",
    "embedding_thumbnail",
    "label_results",
    "number",
    "plural",
    "report_html",
    "run_verdicts",
    "short",
    "source_name",
    "summarise",
    "unit_name",
    "write_figures",
    "write_report",
]
