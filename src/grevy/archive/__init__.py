"""What a run leaves on disk: knows files, not how numbers are made.

A folder with a manifest is a finished run. Every file appears whole or not at all; the manifest is
written last and holds the checksum of every other file.
"""

from grevy.archive.exporting import export_csv, export_nwb
from grevy.archive.folder import (
    CHECKPOINTS,
    CONFIG,
    DECODED,
    EMBEDDING,
    FIGURE,
    FOLDERS,
    HISTORY,
    LABELS,
    MANIFEST,
    METRICS,
    MODEL,
    REPORT,
    RESULTS,
    SUMMARY,
    RunFolder,
    guarded,
    open_folder,
    opened,
)
from grevy.archive.manifest import (
    add_to_manifest,
    file_checksum,
    read_manifest,
    recording_names,
    seal,
    unseal,
    verify,
    without_home,
)
from grevy.archive.reading import ArchivedRun, read_metrics, read_run
from grevy.archive.writing import (
    write_array,
    write_bytes,
    write_decoded,
    write_figure,
    write_history,
    write_labels,
    write_results,
)

__all__ = [
    "CHECKPOINTS",
    "CONFIG",
    "DECODED",
    "EMBEDDING",
    "FIGURE",
    "FOLDERS",
    "HISTORY",
    "LABELS",
    "MANIFEST",
    "METRICS",
    "MODEL",
    "REPORT",
    "RESULTS",
    "SUMMARY",
    "ArchivedRun",
    "RunFolder",
    "add_to_manifest",
    "export_csv",
    "export_nwb",
    "file_checksum",
    "guarded",
    "open_folder",
    "opened",
    "read_manifest",
    "read_metrics",
    "read_run",
    "recording_names",
    "seal",
    "unseal",
    "verify",
    "without_home",
    "write_array",
    "write_bytes",
    "write_decoded",
    "write_figure",
    "write_history",
    "write_labels",
    "write_results",
]
