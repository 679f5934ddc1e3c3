"""A user's mistakes, said so that they can be mended: what was given, expected, and what to do."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

# What acts on a terminal instead of being read: the control codes (C0, C1) but newline and tab, the
# bidirectional controls, the two line separators, and halves of surrogate pairs, which cannot be
# written at all.
_ACTING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def shown(text: str) -> str:
    r"""Make text that came from files safe to print: what would act on a terminal is spelled out.

    A label called ``"\x1b[31mred"`` is shown as those characters, and colours nothing. What is
    read as it stands, every script and emoji among it, stays; so do newlines and tabs. Text that
    went through once goes through again unchanged.

    Parameters
    ----------
    text : str
        What is about to be printed.

    Returns
    -------
    str
        The same, with control codes, bidirectional controls, line separators and lone
        surrogates as backslash escapes.
    """
    return _ACTING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def shown_line(text: str) -> str:
    r"""Make one line safe to print, as `shown` does; it stays one, so newlines and tabs go too.

    A label called ``"x\nverified"`` must not say a line of its own.
    """
    return shown(text).replace("\n", r"\n").replace("\t", r"\t")


def columns(text: str) -> int:
    """Count the columns that a text takes up: two for each wide sign, as of Chinese."""
    return len(text) + sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)


def cut_to(text: str, width: int) -> str:
    """Cut a text that takes up more columns than `width`, and end it with an ellipsis then."""
    if columns(text) <= width:
        return text
    kept = text[: width - 1]  # no sign takes up less than a column
    while columns(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…"


class GrevyError(ValueError):
    """A mistake in what the user gave. The command line prints its message and exits with 2.

    It is a `ValueError`, so that code written against scikit-learn or `cebra` still catches it;
    where `cebra` raises another class on purpose, one of those below is that class too. Its text is
    `shown`: the names in it may come from a file, and a traceback is printed too.
    """

    def __str__(self) -> str:
        return shown(super().__str__())


class SessionError(GrevyError, RuntimeError):
    """Several recordings, and nothing that says which is meant or what they share."""


class UnsupportedError(GrevyError, NotImplementedError):
    """A choice that there is a name for, and nothing behind it."""


class WrongTypeError(GrevyError, TypeError):
    """A thing of a kind that can never be taken, whatever it holds."""


class NoModelError(GrevyError, RuntimeError):
    """A file that can be read and holds something else than a model."""


class MissingFileError(GrevyError, FileNotFoundError):
    """A file that is not there."""


class IsFolderError(GrevyError, IsADirectoryError):
    """A folder where a file was expected."""


class Problems:
    """Collects every problem of an input, so that the user meets all of them at once."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._messages: list[str] = []
        self._kinds: set[type[GrevyError]] = set()

    def add(self, message: str, kind: type[GrevyError] = GrevyError) -> None:
        """Note one more problem, and the error it would be by itself."""
        self._messages.append(message)
        self._kinds.add(kind)

    def raise_if_any(self) -> None:
        """Raise one `GrevyError` that names every problem noted so far.

        Raises
        ------
        GrevyError
            If there was at least one problem; of their kind if all are of one.
        """
        if not self._messages:
            return
        kind = next(iter(self._kinds)) if len(self._kinds) == 1 else GrevyError
        if len(self._messages) == 1:
            raise kind(f"{self._subject}: {self._messages[0]}")
        listed = "\n".join(f"  - {message}" for message in self._messages)
        raise kind(f"{self._subject}: {len(self._messages)} problems\n{listed}")


def unknown(
    what: str, given: str, options: Iterable[str], kind: type[GrevyError] = GrevyError
) -> GrevyError:
    """Make the error for a name that is not among `options`, with the nearest names.

    Parameters
    ----------
    what : str
        What the name stands for, as in "data set".
    given : str
        The name as the user wrote it.
    options : iterable of str
        The names that would have been right.
    kind : type
        Of the error.
    """
    names = sorted(options)
    near = get_close_matches(given, names, n=3, cutoff=0.5)
    if near:
        hint = "Did you mean " + " or ".join(repr(name) for name in near) + "?"
    elif len(names) <= 12:
        hint = "Choose from " + ", ".join(names) + "."
    else:
        hint = "Choose from " + ", ".join(names[:12]) + f", ... ({len(names)} in all)."
    return kind(f"unknown {what} {given!r}. {hint}")
