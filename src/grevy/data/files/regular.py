"""Files in the plain sense: no pipe or device, which may be waited for and never ends."""

import stat
from pathlib import Path

from grevy.errors import GrevyError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def require_file(path: str | Path) -> None:
    """Refuse what is no ordinary file, before anything opens it.

    Opening a pipe waits for somebody to write into it, and a device may never end. Links are
    followed. What is missing or out of reach passes: opening it says what is wrong.

    Raises
    ------
    GrevyError
        If there is a folder, a pipe, a device or a socket in the file's place.
    """
    try:
        kind = stat.S_IFMT(Path(path).stat().st_mode)
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return
    if kind != stat.S_IFREG:
        what = _KINDS.get(kind, "something else")
        write = "" if kind == stat.S_IFDIR else " Write what it gives into a file, and give that."
        raise GrevyError(f"{path} is {what}; expected a file.{write}")
