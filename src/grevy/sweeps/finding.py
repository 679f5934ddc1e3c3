"""Finished runs below some folders, wherever they lie: of a sweep, of sweeps, or made by hand."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from grevy.archive import FOLDERS, MANIFEST, RunFolder
from grevy.errors import GrevyError


@dataclass(frozen=True)
class Found:
    """What lies below some folders.

    Attributes
    ----------
    folders : tuple of RunFolder
        Of finished runs, sorted by path within each place, each once.
    skipped : tuple of str
        One line for each folder that was passed over, with the reason.
    """

    folders: tuple[RunFolder, ...]
    skipped: tuple[str, ...]


def find_runs(places: Sequence[Path]) -> Found:
    """List the finished runs below some folders.

    A folder with a manifest is a run, and nothing is looked for inside it. Links are followed, and
    no folder is visited twice.

    Parameters
    ----------
    places : sequence of Path

    Raises
    ------
    GrevyError
        If a place is no folder, or none of them holds a finished run.
    """
    for place in places:
        _check_place(place)
    seen: set[str] = set()
    folders: list[RunFolder] = []
    skipped: list[str] = []
    for place in places:
        for folder, reason in _below(place, seen):
            if reason:
                skipped.append(f"{folder}: {reason}")
            else:
                folders.append(RunFolder(folder))
    if not folders:
        where = ", ".join(map(str, places))
        more = "".join(f"\n  {line}" for line in skipped[:20])
        raise GrevyError(
            f"no finished run lies in {where}. Expected folders that `grevy run` wrote, each with "
            f"a {MANIFEST}, at any depth.{more}"
        )
    return Found(tuple(folders), tuple(skipped))


def _check_place(place: Path) -> None:
    if place.is_dir():
        return
    found = "is a file" if os.path.lexists(place) else "does not exist"
    raise GrevyError(f"{place} {found}. Give a folder that holds runs.")


def _below(place: Path, seen: set[str]) -> Iterator[tuple[Path, str]]:
    """Yield the runs below a place, and what was passed over with the reason."""
    waiting = [place]
    while waiting:
        here = waiting.pop()
        real = os.path.realpath(here)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            yield here, f"cannot be looked into ({error.strerror})"
            continue
        inside = [entry.name for entry in entries if _is_folder(entry)]
        if MANIFEST not in inside and any(entry.name == MANIFEST for entry in entries):
            yield here, ""
        elif set(FOLDERS) <= set(inside):
            yield here, f"not finished, for it has no {MANIFEST}"
        else:
            waiting += [here / name for name in reversed(inside)]


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in a circle, or where nobody may look
        return False
