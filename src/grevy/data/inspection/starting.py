"""With which settings to start on a file of arrays: what fits as neural data, label, segments."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from grevy.data.inspection.looking import LABEL, NEURAL, Found
from grevy.data.labels import TAU

# So many numbered columns can be neurons.
FEWEST_COLUMNS = 3
_NUMBERED = re.compile(r"^(.*?)(\d+)$", re.DOTALL)
_TIMES_OF_SPIKES = re.compile("spike.?times", re.I)
_RATE = re.compile(r"^(.*\.)?(fs|f_s|rate|sampling_?rate|sample_?rate|hz)$", re.I)


@dataclass(frozen=True)
class Start:
    """What to start with.

    Attributes
    ----------
    settings : dict
        Of a run, by name; empty if there is nothing to start with.
    turned : frozenset of str
        The arrays that look transposed, (N, T).
    neural, labels, segments : tuple of str
        The arrays that fit, the likeliest first.
    why_not : str
        Why there are no settings.
    """

    settings: dict[str, Any]
    turned: frozenset[str] = frozenset()
    neural: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    why_not: str = ""


def gathered(found: Sequence[Found]) -> list[Found]:
    """Take numbered arrays that are alike together under a pattern: ``unit_*``."""
    groups: dict[tuple[Any, ...], list[Found]] = {}
    for each in found:
        match = _NUMBERED.match(each.name)
        if match and len(each.upright) == 1 and not any(sign in each.name for sign in "*?["):
            groups.setdefault((match[1], each.shape, each.dtype), []).append(each)
    patterns = {}
    for (prefix, _, _), members in groups.items():
        names = {each.name for each in members}
        same = {each.name for each in found if fnmatchcase(each.name, f"{prefix}*")}
        if len(members) >= FEWEST_COLUMNS and same == names:
            faults = tuple(dict.fromkeys(fault for each in members for fault in each.faults))
            faults = tuple(fault for fault in faults if fault != "constant")
            gaps = bool(faults) and all(
                each.gaps for each in members if set(each.faults) & {*faults}
            )
            whole = replace(
                members[0], name=f"{prefix}*", count=len(members), faults=faults, clock=None,
                gaps=gaps,
            )  # fmt: skip
            patterns.update(dict.fromkeys(names, whole))
    result: list[Found] = []
    for each in found:
        shown = patterns.get(each.name, each)
        if shown not in result:
            result.append(shown)
    return result


def start_on(found: Sequence[Found]) -> Start:
    """Choose what to start with among the arrays of a file.

    Parameters
    ----------
    found : sequence of Found
        As `gathered` gives them.
    """
    turned = frozenset(each.name for each in found if _is_turned(each, found))
    fitting = sorted(
        (each for each in found if _can_be_neural(each)),
        key=lambda each: (not each.faults, bool(NEURAL.search(each.name)), _steps(each, turned) > 1,
                          _columns(each, turned)),
        reverse=True,
    )  # fmt: skip
    many = [each for each in fitting if _columns(each, turned) >= FEWEST_COLUMNS]
    names = tuple(each.name for each in many or fitting)
    if not fitting:
        why = "no array here can be neural data: (T, N), time first"
        if any(_TIMES_OF_SPIKES.search(each.name) for each in found):
            why += "; spike times are counted in bins first, by grevy.bin_spikes"
        return Start({}, turned, why_not=why)
    neural = (many or fitting)[0]
    is_turned = neural.name in turned
    steps = _steps(neural, turned)
    rest = [each for each in found if each is not neural]
    labels = sorted(
        (each for each in rest if _is_label(each, steps, is_turned)),
        key=lambda each: (not each.faults, bool(LABEL.search(each.name)),
                          not NEURAL.search(each.name)),
        reverse=True,
    )  # fmt: skip
    segments = [each.name for each in rest if each.segments and each.upright == (steps,)]
    start = Start({}, turned, names, tuple(each.name for each in labels), tuple(segments))
    if neural.faults and not neural.gaps:
        return replace(
            start, why_not=f"{neural.name} could be neural data, but holds {neural.faults[0]}"
        )
    settings: dict[str, Any] = {"neural": neural.name}
    if labels:
        settings |= label_settings(labels[0], labels[0].name)
    if segments:
        settings["segments"] = segments[0]
    if neural.gaps or (labels and labels[0].gaps):
        settings["gaps"] = "nan"
    rate = next((each.clock for each in rest if each.clock and each.upright == (steps,)), None)
    rate = rate or next((each.rate for each in rest if each.rate and _RATE.match(each.name)), None)
    if rate:
        settings["sampling_rate"] = float(f"{rate:.6g}")
    if is_turned:
        settings["transpose"] = True
    return replace(start, settings=settings)


def label_settings(label: Found, key: str) -> dict[str, Any]:
    """Return the settings that name a label; kind and period where the dtype does not say them."""
    by_dtype = "continuous" if label.dtype.startswith(("float", "double")) else "discrete"
    kind = label.kind or "continuous"  # of several columns
    if kind == by_dtype:
        return {"label": (key,)}
    settings: dict[str, Any] = {"label": (f"{key}:{kind}",)}
    if label.turn not in (None, TAU):
        settings["period"] = label.turn
    return settings


def _can_be_neural(each: Found) -> bool:
    if not each.is_numbers or "constant" in each.faults:
        return False
    if each.count > 1:
        return True
    return len(each.shape) == 2 and min(each.shape) > 1


def _is_turned(each: Found, found: Sequence[Found]) -> bool:
    """Tell whether the last axis looks like time: others are as long, or it is far longer."""
    if each.count > 1 or not each.is_numbers or len(each.shape) != 2 or min(each.shape) < 2:
        return False
    first, last = each.shape
    others = [other for other in found if other is not each]
    upright = sum(other.upright[:1] == (first,) for other in others)
    turned = sum(other.upright[-1:] == (last,) for other in others)
    return turned > upright if turned != upright else last > 2 * first


def _steps(each: Found, turned: frozenset[str]) -> int:
    return each.upright[-1 if each.name in turned else 0]


def _columns(each: Found, turned: frozenset[str]) -> int:
    return each.count if each.count > 1 else each.shape[0 if each.name in turned else 1]


def _is_label(each: Found, steps: int, turned: bool) -> bool:
    if (each.kind is None and not turned) or (each.faults and not each.gaps):
        return False
    if each.clock is not None:
        return False
    if each.count > 1 or each.segments:
        return False
    if len(each.upright) == 1:
        return each.kind is not None and each.upright[0] == steps
    if turned:
        return each.shape[1] == steps and each.shape[0] <= 10 and each.is_numbers
    return each.shape[0] == steps
