"""A length of time as users write it: ``3`` steps, or ``0.05s``."""

import math
import re

from grevy.errors import GrevyError

# Of a step; a whole number of steps in decimals is one but for rounding.
_ROUNDING = 1e-6


def is_in_seconds(text: str) -> bool:
    """Tell whether a length of time is in seconds, and so needs a sampling rate."""
    return text.strip().endswith("s")


def duration_of(given: object, signed: bool = False) -> str | None:
    """Return a length of time in the one way of writing it; None if it is none.

    Parameters
    ----------
    given : float or str
        A number of steps, or a number followed by ``s`` (or ``ms``) for seconds.
    signed : bool
        Whether it may be below 0, or 0.
    """
    found = re.fullmatch(r"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(ms|s)?", f"{given}".strip())
    try:
        value = float(found[1]) if found else math.nan
    except ValueError:
        value = math.nan
    if found is None or not math.isfinite(value) or (value <= 0 and not signed):
        return None
    if found[2]:
        return f"{value / 1000 if found[2] == 'ms' else value:.12g}s"
    return f"{value:.12g}"


def what_is_expected(signed: bool = False) -> str:
    """Say what `duration_of` takes."""
    return f"expected a number{'' if signed else ' above 0'}, of steps (3) or of seconds (0.05s)"


def checked_duration(name: str, given: object, signed: bool = False) -> str:
    """Return a length of time as `duration_of` does.

    Raises
    ------
    GrevyError
        If it is none; `name` is what it is called.
    """
    duration = duration_of(given, signed)
    if duration is None:
        raise GrevyError(f"`{name}={given}`: {what_is_expected(signed)}.")
    return duration


def in_steps(name: str, duration: str, sampling_rate: float | None) -> float:
    """Return a checked length of time in steps.

    Raises
    ------
    GrevyError
        If it is in seconds and the sampling rate is not known.
    """
    if not is_in_seconds(duration):
        return float(duration)
    if sampling_rate is None:
        raise GrevyError(
            f"`{name}={duration}` is in seconds, and the sampling rate of the recording is not "
            f"known. Give `sampling_rate=HZ`, or a number of steps."
        )
    return float(duration.removesuffix("s")) * sampling_rate


def in_whole_steps(name: str, duration: str, sampling_rate: float | None) -> int:
    """Return a checked length of time in whole steps.

    Raises
    ------
    GrevyError
        As `in_steps`, or if it is not a whole number of them.
    """
    steps = in_steps(name, duration, sampling_rate)
    whole = round(steps)
    if abs(steps - whole) > _ROUNDING * max(abs(steps), 1):
        near = f"{math.floor(steps)} or {math.ceil(steps)} steps"
        raise GrevyError(
            f"`{name}={duration}` is {steps:.6g} steps; expected a whole number. Give {near}."
        )
    return whole
