"""What a command says: messages in flags, one line each, safe for a terminal; how it ends."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from grevy.errors import GrevyError, shown

# How messages name a parameter: `nulls`, `nulls=20`, `split='segments'` or `data=FILE`.
_PARAMETER = re.compile(r"`([a-z_]+)(?:=([^`]*))?`")


def in_flags(message: str, flags: Mapping[str, str]) -> str:
    """Say a message, which names parameters as Python does, in the flags of a command.

    Parameters
    ----------
    message : str
        With parameters in backquotes, alone or with their value.
    flags : mapping of str to str
        By the name of the parameter, such as ``{"trust": "--trust"}``. Others stay as they are.
    """

    def flag(found: re.Match[str]) -> str:
        name, value = found[1], found[2]
        if name not in flags:
            return found[0]
        return flags[name] if value in (None, "True") else flags[name] + " " + value.strip("'")

    return _PARAMETER.sub(flag, message)


class _Lines(logging.Handler):
    """Each message on standard error, wherever that is now: a progress bar may have put itself by.

    Parameters
    ----------
    flags : mapping of str to str
        As for `in_flags`.
    """

    def __init__(self, flags: Mapping[str, str]) -> None:
        super().__init__()
        self._flags = flags

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        print(shown(in_flags(record.getMessage(), self._flags)), file=sys.stderr)


@contextmanager
def speaking(flags: Mapping[str, str], level: int = logging.INFO) -> Iterator[None]:
    """Print what Grevy logs, and every warning, in plain lines on standard error.

    Parameters
    ----------
    flags : mapping of str to str
        As for `in_flags`.
    level : int
        The least of `logging` that is said.
    """
    log, handler = logging.getLogger("grevy"), _Lines(flags)
    before = log.level

    def warn(message: Warning | str, *_place: object) -> None:
        log.warning(" ".join(str(message).split()))

    log.addHandler(handler)
    log.setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = warn  # type: ignore[assignment]
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


@contextmanager
def ending_plainly(flags: Mapping[str, str]) -> Iterator[None]:
    """End a user's mistake in one message and exit code 2, Ctrl-C in 130; a bug shows itself."""
    try:
        yield
        sys.stdout.flush()
    except GrevyError as error:
        print(f"grevy: {in_flags(str(error), flags)}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("grevy: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        # Python flushes once more on its way out, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
