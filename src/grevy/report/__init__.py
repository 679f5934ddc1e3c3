"""What a reader sees: an archived run in, words and pictures out."""

from grevy.report.figures.embedding import embedding_figure
from grevy.report.files import write_figures, write_report
from grevy.report.page.page import report_html
from grevy.report.results import label_results
from grevy.report.summary import describe_data, describe_metrics, summarise
from grevy.report.verdict import run_verdicts

__all__ = [
    "describe_data",
    "describe_metrics",
    "embedding_figure",
    "label_results",
    "report_html",
    "run_verdicts",
    "summarise",
    "write_figures",
    "write_report",
]
