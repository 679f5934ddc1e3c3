"""The recordings of a run that has several: what each has of its own, and what it is called."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from grevy.errors import GrevyError, unknown

EXAMPLE = "'- data: FILE', with 'neural: KEY' and the like below"


def checked_sessions(given: Any, keys: Iterable[str]) -> tuple[dict[str, Any], ...]:
    """Check that each recording names a file and nothing unknown, and give each a name.

    Parameters
    ----------
    given : list of dict
        For each recording ``data``, ``name`` if it has one, and any of `keys`.
    keys : iterable of str
        The settings that belong to a data file.

    Raises
    ------
    GrevyError
        Saying which recording has what wrong.
    """
    if not isinstance(given, list | tuple):
        raise GrevyError(f"`sessions`: expected a list of recordings, each {EXAMPLE}.")
    known = ("data", "name", *keys)
    for number, each in enumerate(given, start=1):
        if not isinstance(each, Mapping) or not isinstance(each.get("data"), str):
            raise GrevyError(f"`sessions`: recording {number} names no file; expected {EXAMPLE}.")
        for key in each:
            if key not in known:
                raise unknown(f"setting of recording {number} ({each['data']})", str(key), known)
    names = named([each["data"] for each in given], [each.get("name") for each in given])
    # The name first, as a reader of the archive looks for it.
    return tuple(
        {"name": name, **{key: value for key, value in each.items() if key != "name"}}
        for name, each in zip(names, given, strict=True)
    )


def named(files: list[str], names: list[Any]) -> list[str]:
    """Name recordings: as asked, else by the file; with its folder, and a number, if need be.

    Raises
    ------
    GrevyError
        If two names that were asked for are the same, or one is no name.
    """
    for name in names:
        if name is not None and not (isinstance(name, str | int) and str(name).strip()):
            raise GrevyError(
                f"a recording is called {name!r}, which is no name. Give text, or leave it out."
            )
    asked = [None if name is None else " ".join(str(name).split()) for name in names]
    twice = [name for name, count in Counter(filter(None, asked)).items() if count > 1]
    if twice:
        raise GrevyError(f"two recordings are called {twice[0]!r}; give each a name of its own.")
    found = [name or Path(file).stem for file, name in zip(files, asked, strict=True)]
    doubtful = {name for name, count in Counter(found).items() if count > 1}
    for place, file in enumerate(files):
        if asked[place] is None and found[place] in doubtful and Path(file).parent.name:
            found[place] = f"{Path(file).parent.name}/{found[place]}"
    for place, name in enumerate(found):
        number = 1
        while asked[place] is None and found[place] in (*found[:place], *asked):
            number += 1
            found[place] = f"{name} ({number})"
    return found
