"""Settings in YAML: read without running code, and written so that they read back the same."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from grevy.config.listing import list_settings, settings_of_a_file
from grevy.config.sessions import EXAMPLE
from grevy.data import require_file
from grevy.errors import GrevyError, unknown

# A larger file of settings is none, and would be read for minutes.
CONFIG_BYTES = 2**20


def read_config(path: Path, *, trust: bool = False, imports: Sequence[str] = ()) -> dict[str, Any]:
    """Read settings from a YAML file, which cannot let code run by itself.

    Parameters
    ----------
    path : Path
    trust : bool
        Take the modules that it names to be imported, and its own `trust`, as they are.
    imports : sequence of str
        Modules that may be among those.

    Raises
    ------
    GrevyError
        If the file is missing, unreadable, too large, not YAML, or not a mapping of settings; or it
        names a module to import that is not in `imports`, and is not trusted.
    """
    settings = _read_mapping(path)
    if not trust:
        settings.pop("trust", None)
        refuse_imports(f"configuration {path}", settings, imports)
    return settings


def refuse_imports(where: str, settings: Mapping[str, Any], imports: Sequence[str]) -> None:
    """Refuse settings from a file that would import modules which nobody but the file has named.

    Raises
    ------
    GrevyError
        Naming the modules, and how to allow them.
    """
    named = settings.get("imports") or ()
    each = list(named) if isinstance(named, Iterable) and not isinstance(named, str) else [named]
    unasked = [str(module) for module in each if module not in imports]
    if unasked:
        repeated = " ".join(f"`imports={module}`" for module in unasked)
        raise GrevyError(
            f"{where} asks to import {', '.join(unasked)}, which runs the code in there. If you "
            f"know what it does, name it too ({repeated}), or give `trust=True`."
        )


@cache
def _loader() -> Any:
    """Return what reads plain values alone: with the compiled scanner where there is one.

    A comparison reads thousands of files, and scanning is most of it. What is scanned is put
    together in Python all the same: compiled, a file of nested brackets overflows the stack.
    """
    if not yaml.__with_libyaml__:
        return yaml.SafeLoader
    parser: Any = import_module("yaml.cyaml").CParser

    class Loader(Composer, parser, SafeConstructor, Resolver):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            parser.__init__(self, stream)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

    return Loader


def read_sessions(path: Path) -> dict[str, Any]:
    """Read a file of several recordings: settings that belong to a data file, and ``sessions``.

    Paths in it are relative to where it lies, and are returned relative to where we are.

    Raises
    ------
    GrevyError
        If the file is missing, unreadable, too large, not YAML, or holds anything else.
    """
    found = _read_mapping(path)
    known = ("sessions", *settings_of_a_file())
    for name in found:
        if name not in known:
            raise unknown(f"setting in {path}, a file of recordings:", str(name), known)
    if not isinstance(found.get("sessions"), list):
        raise GrevyError(f"{path} lists no recordings; expected 'sessions:', each {EXAMPLE}.")
    each = [_placed(one, path.parent) for one in found["sessions"]]
    return {**_placed(found, path.parent), "sessions": each}


def _placed(settings: Any, folder: Path) -> Any:
    """Put paths, which are relative to a folder, to where they lead from here."""
    if not isinstance(settings, dict):
        return settings  # said where recordings are checked
    files = {each.name for each in list_settings() if each.metavar == "FILE"}
    return {
        name: str(folder / Path(value).expanduser())
        if isinstance(value, str) and (name in files or _is_table(name, folder / value))
        else value
        for name, value in settings.items()
    }


def _is_table(name: str, path: Path) -> bool:
    """Tell whether segments are those of a file, not of a key."""
    return name == "segments" and path.is_file()


def _read_mapping(path: Path) -> dict[str, Any]:
    require_file(path)
    try:
        if path.stat().st_size > CONFIG_BYTES:
            raise GrevyError(
                f"configuration {path} has more than {CONFIG_BYTES} bytes; expected lines such as "
                f"'max_iterations: 5000'."
            )
        settings = yaml.load(path.read_text(encoding="utf-8"), Loader=_loader())
    except GrevyError:
        raise
    except OSError as error:
        raise GrevyError(
            f"configuration {path} cannot be read: {error.strerror}. Give the path of a YAML file."
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date such as 2026-99-99, too
        reason = " ".join(str(error).split())
        raise GrevyError(f"configuration {path} is not valid YAML: {reason}") from error
    if not isinstance(settings, dict):
        raise GrevyError(
            f"configuration {path} holds {type(settings).__name__}; expected lines such as "
            f"'max_iterations: 5000'."
        )
    return settings


def config_text(settings: Mapping[str, Any]) -> str:
    """Return settings as YAML, which reads back as the same settings."""
    text: str = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
    if re.search("[\x85\u2028\u2029]", text):  # line breaks to YAML; they survive as escapes only
        text = yaml.safe_dump(dict(settings), sort_keys=False)
    return text
