"""Numbers as a reader wants them: few digits, a true minus sign, spaces that do not break."""

from __future__ import annotations

import math

from grevy.data import TAU, Label
from grevy.errors import columns, cut_to, shown

MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NO-BREAK SPACE}"
NOTHING = "\N{EN DASH}"
INTERVAL = f"95{SPACE}% interval"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with so many significant digits, but never more than so many decimals.

    Parameters
    ----------
    value : float or None
        None and NaN become a dash.
    digits : int
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        text = f"{value:.{digits - 1}e}"
    else:
        whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
        text = f"{value:.{max(0, digits - whole)}f}"
        if whole > 4:
            text = thousands(round(value))
    return text.replace("-", MINUS)


def score(value: float | None) -> str:
    """Write a score whose scale ends at 1, such as R2 or an accuracy."""
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    return text.replace("-0.00", "0.00").replace("-", MINUS)


def probability(p: float) -> str:
    """Write a p value."""
    return f"p{SPACE}={SPACE}{p:.3f}" if p >= 0.001 else f"p{SPACE}<{SPACE}0.001"


def duration(seconds: float) -> str:
    """Write a time span in the two units that matter."""
    if seconds < 60:
        return f"{seconds:.1f}{SPACE}s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{int(seconds // 60)}{SPACE}min {int(seconds % 60)}{SPACE}s"
    return f"{minutes // 60}{SPACE}h {minutes % 60}{SPACE}min"


def plural(count: int, thing: str) -> str:
    """Write a count and its thing: 1 step, 2 steps, 12 000 steps."""
    return f"{thousands(count)}{SPACE}{thing}{'' if count == 1 else 's'}"


def listed(parts: list[str]) -> str:
    """Join words as a sentence does: a, b and c."""
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] if parts else ""


def unit_of(label: Label) -> str:
    """Name the unit of a label's values: the given one, else that of its turn; empty if unknown."""
    return unit_name(label.kind, label.unit, label.period)


def unit_name(kind: str, unit: str, period: float) -> str:
    """Name the unit of a label of which no more than this is known; as `unit_of`."""
    if unit:
        return short(unit, 12)
    return angle_unit(period) if kind == "circular" else ""


def angle_unit(period: float) -> str:
    """Name the unit of angles that repeat after `period`."""
    return {TAU: "rad", 360.0: "degrees"}.get(period, f"of {period:g}")


def short(text: str, length: int) -> str:
    """Keep a text on one line of bounded length; what no figure or page can show is spelled out."""
    return cut_to(shown(" ".join(text.split())), length)


def wrapped(text: str) -> str:
    """Break a name into lines that fit beside the panels."""
    import textwrap

    # Wide signs stand without spaces between words, and count as one of them.
    return "\n".join(textwrap.wrap(text, 12 if columns(text) == len(text) else 6))


def thinning(every: int, length: int) -> str:
    """Say which of the time steps are drawn as points, where not all are."""
    if every == 1:
        return ""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(every % 10, "th")
    ending = "th" if every % 100 in (11, 12, 13) else ending
    return f"every {every}{ending} of {thousands(length)} time steps"


def thousands(number: int) -> str:
    """Write a large number in groups of three digits."""
    return f"{number:,}".replace(",", "\N{NO-BREAK SPACE}")
