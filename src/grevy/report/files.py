"""The report and its charts as files of the run folder, entered in the manifest."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grevy import archive
from grevy.archive import ArchivedRun, RunFolder, read_run
from grevy.data import end_to_end
from grevy.report.page.decoded import has_no_matrix
from grevy.report.page.evidence import chance_loss, consistency_chart
from grevy.report.page.page import report_html
from grevy.report.recordings import across_recordings
from grevy.report.results import label_results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = "figures"


def write_report(folder: RunFolder) -> Path:
    """Write ``report.html`` of a finished run, and its charts as PNG and SVG under ``figures``.

    The files are entered in the manifest; the checksums of all others stay as they were.

    Parameters
    ----------
    folder : RunFolder
        Sealed by `grevy.archive.seal`.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    GrevyError
        If the folder holds no finished run, a file of it is damaged, or it cannot be written to.
    """
    run = read_run(folder)
    written = write_figures(run)
    path = folder / archive.REPORT
    # A file name that is not valid text may hold what UTF-8 cannot write.
    archive.write_bytes(path, report_html(run).encode("utf-8", errors="replace"))
    archive.add_to_manifest(folder, [*written, archive.REPORT])
    return path


def write_figures(run: ArchivedRun) -> list[str]:
    """Write the report's charts as PNG and SVG into the run's folder ``figures``.

    A chart that this run has nothing for is removed, if an earlier run left it there.

    Returns
    -------
    list of str
        The names of all such files, written or removed, as in the manifest.
    """
    names = []
    for name, figure in _figures(run).items():
        for kind in ("png", "svg"):
            names.append(f"{FIGURES}/{name}.{kind}")
            path = run.folder / names[-1]
            if figure is None:
                path.unlink(missing_ok=True)
            else:
                archive.write_figure(path, figure)
    return names


def _figures(run: ArchivedRun) -> dict[str, "Figure | None"]:
    """Draw each chart that the run has something for."""
    from grevy.report.figures import findings
    from grevy.report.figures.evidence import evidence_figure
    from grevy.report.figures.recordings import across_figure, space_figure

    results = label_results(run)
    known = {label.name: label for label in run.labels}
    decoded = [(known[name], each) for name, each in run.decoded.items() if len(each.steps)]
    weighed = [result for result in results if result.held_out]
    found = run.metrics.get("consistency")
    loss = run.history.get("loss", np.array([]))
    discrete = [
        (label, each)
        for label, each in decoded
        if label.kind == "discrete" and not has_no_matrix(label)
    ]
    figures: dict[str, Figure | None] = dict.fromkeys(
        ("decoded", "evidence", "confusion", "loss", "consistency", "recordings", "across")
    )
    if decoded:
        figures["decoded"] = findings.decoded_figure(decoded, run.sampling_rate)
    if weighed:
        figures["evidence"] = evidence_figure(weighed)
    if discrete:
        figures["confusion"] = findings.confusion_figure(discrete)
    if np.isfinite(loss).any():
        figures["loss"] = findings.loss_figure(loss, chance_loss(run))
    if consistency_chart(run) is not None and isinstance(found, dict):
        names = [str(name) for name in found["names"]]
        figures["consistency"] = findings.consistency_figure(names, np.array(found["r2"], float))
    lengths = [int(each["time_steps"]) for each in run.manifest.get("data", [])]
    if len(lengths) > 1:
        called, edges = archive.recording_names(run.manifest), end_to_end(lengths)
        first = run.labels[0] if run.labels else None
        figures["recordings"] = space_figure(run.embedding, edges, called, first)
    across = across_recordings(run, results)
    if across:
        figures["across"] = across_figure(across)
    return figures
