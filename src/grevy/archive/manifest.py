"""The manifest: written last, with the checksum of every other file; `verify` compares."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grevy.archive.folder import CONFIG, DECODED, FOLDERS, LABELS, MANIFEST, REPORT, RunFolder
from grevy.archive.schema import Manifest, checked
from grevy.archive.writing import write_bytes
from grevy.data import Recording, data_checksum
from grevy.errors import GrevyError, shown_line

# Of the run folder, as it is written here; another number for any other.
FORMAT = 1
# A larger one is none of ours, and is not read into memory.
MANIFEST_BYTES = 2**24


def unseal(folder: RunFolder) -> None:
    """Remove the manifest of a run that is about to be replaced, and what is read by it alone."""
    for name in (MANIFEST, REPORT, LABELS, DECODED):
        (folder / name).unlink(missing_ok=True)


def seal(
    folder: RunFolder,
    recordings: Sequence[Recording],
    run_id: str,
    seconds: float | None,
    environment: Mapping[str, Any],
) -> None:
    """Write the manifest: checksums of all files and of the input data, versions, platform.

    Parameters
    ----------
    folder : RunFolder
    recordings : sequence of Recording
        What the run was made from.
    run_id : str
    seconds : float or None
        How long the run took, where it is known.
    environment : mapping
        Versions, platform and what else decides about last bits, as the manifest says it.
    """
    files = {name: file_checksum(folder / name) for name in _own_files(folder)}
    manifest = {
        "format": FORMAT,
        "run_id": run_id,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "files": files,
        "data": [
            {
                **({"name": recording.name} if recording.name else {}),
                "source": without_home(recording.source),
                "time_steps": len(recording),
                "neurons": recording.n_neurons,
                "sha256": data_checksum([recording]),
            }
            for recording in recordings
        ],
        **environment,
    }
    _write_manifest(folder, manifest)


def without_home(text: str) -> str:
    """Write paths below the home folder from `~` on: they would tell the user's name."""
    # Not Path.home(), which raises for a user who has none.
    home = os.path.expanduser("~") + os.sep  # noqa: PTH111
    return text.replace(home, f"~{os.sep}")


def add_to_manifest(folder: RunFolder, names: Sequence[str]) -> None:
    """Enter files that were written, or removed, after a run was sealed.

    The checksums of all other files stay as they were, so that a change to them still shows.

    Raises
    ------
    GrevyError
        If the folder holds no finished run.
    """
    manifest = read_manifest(folder)
    files = {name: each for name, each in manifest["files"].items() if name not in names}
    present = [name for name in names if (folder / name).is_file()]
    files |= {name: file_checksum(folder / name) for name in present}
    _write_manifest(folder, {**manifest, "files": files})


def _write_manifest(folder: RunFolder, manifest: Mapping[str, Any]) -> None:
    write_bytes(folder / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())


def _own_files(folder: RunFolder) -> list[str]:
    """List the files of a run; what else lies in the folder is the user's own business."""
    inside = [path for name in FOLDERS for path in (folder / name).rglob("*")]
    paths = [folder / CONFIG, folder / REPORT, *sorted(inside)]
    return [
        path.relative_to(folder.root).as_posix()
        for path in paths
        if path.is_file() and not path.name.startswith(".")
    ]


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_manifest(folder: RunFolder) -> dict[str, Any]:
    """Read the manifest of a finished run.

    Raises
    ------
    GrevyError
        If there is none, it is damaged, or of another format than this version writes.
    """
    if not folder.finished:
        raise GrevyError(
            f"{folder.root} holds no finished run: there is no {MANIFEST}. Give the folder that "
            f"a run was written to."
        )
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MANIFEST_BYTES:
            raise ValueError("too large")
        manifest = json.loads(path.read_text(encoding="utf-8"))
        _check_format(path, manifest)
        return checked(Manifest, manifest)
    except GrevyError:
        raise
    except (ValueError, OSError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise GrevyError(
            f"{path} is damaged ({reason}). Restore it, or make the run again."
        ) from error


def _check_format(path: Path, manifest: Any) -> None:
    """Refuse a folder that another version of Grevy wrote in another way."""
    if not isinstance(manifest, dict):
        raise ValueError("no JSON object")
    found = manifest.get("format")
    if found is None:
        raise GrevyError(
            f"{path} has no format number: an unreleased Grevy made this run. Make it again."
        )
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise ValueError("a format number that is none")
    if found > FORMAT:
        raise GrevyError(
            f"{path} is of format {found}: a newer Grevy made this run, and this one knows formats "
            f"up to {FORMAT}. Update it: pip install --upgrade grevy."
        )


def recording_names(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the recordings of a run are called: "recording 1" and so on without a name."""
    data = manifest.get("data", [])
    return tuple(each.get("name") or f"recording {i}" for i, each in enumerate(data, start=1))


def verify(folder: RunFolder) -> list[str]:
    """Compare a finished run with its manifest.

    Returns
    -------
    list of str
        One line for each file that is missing, changed or new; empty if all is as it was.

    Raises
    ------
    GrevyError
        If the folder holds no finished run.
    """
    files: dict[str, str] = read_manifest(folder)["files"]
    states = {name: _state(folder, name, checksum) for name, checksum in files.items()}
    states |= {name: "not in the manifest" for name in _own_files(folder) if name not in files}
    return [shown_line(f"{name}: {state}") for name, state in states.items() if state]


def _state(folder: RunFolder, name: str, checksum: str) -> str:
    """Say what has become of a file; nothing if it is as it was."""
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.root.resolve()):
            return "outside the folder, not read"
        if not path.is_file():
            return "no ordinary file" if path.exists() else "missing"
        return "" if file_checksum(path) == checksum else "changed"
    except (OSError, ValueError, RuntimeError) as error:  # a name no file can have; links in a ring
        return f"cannot be read ({error})"
