"""What a setting may be drawn from: a range, evenly or evenly in its logarithm, or some values."""

import math
import random
from dataclasses import dataclass
from typing import Any

from grevy.config import list_settings, setting_problem

_FORMS = (
    "expected {between: [LOW, HIGH]}, the same with 'scale: log', or {among: [VALUE, VALUE, ...]}"
)


@dataclass(frozen=True)
class Distribution:
    """What one setting is drawn from.

    Attributes
    ----------
    among : tuple
        Values, each as likely; empty for a range.
    low, high : float
        Ends of the range, both included where numbers are whole.
    log : bool
        Whether the logarithm is drawn evenly.
    whole : bool
        Whether numbers are whole.
    """

    among: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    def draw(self, rng: random.Random) -> Any:
        """Draw one value."""
        if self.among:
            return rng.choice(self.among)
        if self.whole and not self.log:
            return rng.randint(int(self.low), int(self.high))
        if not self.log:
            return rng.uniform(self.low, self.high)
        if self.whole:  # each number as often as the logarithm falls next to it
            drawn = rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5))
            return min(max(round(math.exp(drawn)), int(self.low)), int(self.high))
        drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return min(max(drawn, self.low), self.high)

    def as_mapping(self) -> dict[str, Any]:
        """Return it as it stands in the file."""
        if self.among:
            return {"among": list(self.among)}
        ends = [int(end) if self.whole else end for end in (self.low, self.high)]
        return {"between": ends, **({"scale": "log"} if self.log else {})}


def make_distribution(name: str, given: Any) -> Distribution | str:
    """Make what a setting is drawn from, or say what is wrong.

    Parameters
    ----------
    name : str
        Of the setting.
    given : object
        As in the file.
    """
    keys = set(given) if isinstance(given, dict) else set()
    if keys == {"among"} and isinstance(given["among"], list) and given["among"]:
        for value in given["among"]:
            if problem := setting_problem(name, value):
                return problem
        return Distribution(among=tuple(given["among"]))
    if not ({"between"} <= keys <= {"between", "scale"}):
        return f"{name!r}: {_FORMS}"
    kind = next(each.kind for each in list_settings() if each.name == name)
    if kind not in (int, float):
        return f"{name!r} is no number: give it as {{among: [VALUE, VALUE, ...]}}"
    scale = given.get("scale", "linear")
    if scale not in ("linear", "log"):
        return f"{name!r}: 'scale' is {scale!r}: expected log or linear"
    return _range(name, given["between"], kind is int, scale == "log")


def _range(name: str, ends: Any, whole: bool, log: bool) -> Distribution | str:
    if not isinstance(ends, list) or len(ends) != 2:
        return f"{name!r}: {_FORMS}"
    for end in ends:
        if end is None or isinstance(end, bool):
            return f"{name!r}: an end of the range is {end!r}: expected a number"
        if problem := setting_problem(name, end):
            return problem
    low, high = (float(end) for end in ends)  # YAML takes 1e-4 for text
    if not low < high:
        return f"{name!r}: the range from {low:g} to {high:g} is empty: expected LOW below HIGH"
    if log and not low > 0:
        return f"{name!r}: 'scale: log' needs a range above 0, not from {low:g}"
    return Distribution(low=low, high=high, log=log, whole=whole)
