"""The report: an archived run as one HTML page, and its charts as files."""

from grevy.report.files import write_figures, write_report
from grevy.report.page import report_html

__all__ = ["report_html", "write_figures", "write_report"]
