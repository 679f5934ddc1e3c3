"""A user's mistakes, said so that they can be mended: what was given, expected, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class GrevyError(ValueError):
    """A mistake in what the user gave. The command line prints its message and exits with 2.

    It is a `ValueError`, so that code written against scikit-learn or `cebra` still catches it.
    """


class Problems:
    """Collects every problem of an input, so that the user meets all of them at once."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._messages: list[str] = []

    def add(self, message: str) -> None:
        """Note one more problem."""
        self._messages.append(message)

    def raise_if_any(self) -> None:
        """Raise one `GrevyError` that names every problem noted so far.

        Raises
        ------
        GrevyError
            If there was at least one problem.
        """
        if not self._messages:
            return
        if len(self._messages) == 1:
            raise GrevyError(f"{self._subject}: {self._messages[0]}")
        listed = "\n".join(f"  - {message}" for message in self._messages)
        raise GrevyError(f"{self._subject}: {len(self._messages)} problems\n{listed}")


def unknown(what: str, given: str, options: Iterable[str]) -> GrevyError:
    """Make the error for a name that is not among `options`, with the nearest names.

    Parameters
    ----------
    what : str
        What the name stands for, as in "data set".
    given : str
        The name as the user wrote it.
    options : iterable of str
        The names that would have been right.
    """
    names = sorted(options)
    near = get_close_matches(given, names, n=3, cutoff=0.5)
    if near:
        hint = "Did you mean " + " or ".join(repr(name) for name in near) + "?"
    elif len(names) <= 12:
        hint = "Choose from " + ", ".join(names) + "."
    else:
        hint = "Choose from " + ", ".join(names[:12]) + f", ... ({len(names)} in all)."
    return GrevyError(f"unknown {what} {given!r}. {hint}")
