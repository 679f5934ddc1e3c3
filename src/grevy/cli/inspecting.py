"""What `grevy inspect` says: each array in a line or two, and the command to start with."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grevy.errors import columns, cut_to, shown_line

if TYPE_CHECKING:
    from grevy.data import Found, Inspection

WIDTH, MOST_ARRAYS = 80, 60
_INDENT = "    "


def described(inspection: "Inspection") -> list[str]:
    """Return the lines that describe a file, none wider than 80 columns but for long words to copy.

    Parameters
    ----------
    inspection : Inspection
        Its names may come from anywhere: what would act on a terminal is spelled out.
    """
    start, found = inspection.start, inspection.found
    lines = [cut_to(shown_line(f"{inspection.path.name}: {_size(inspection.size)}"), WIDTH), ""]
    for each in found[:MOST_ARRAYS]:
        facts = "; ".join(shown_line(fact) for fact in _facts(each, inspection))
        lines.append(cut_to(shown_line(each.name), WIDTH))
        lines += _wrapped(facts)
    if len(found) > MOST_ARRAYS:
        lines.append(f"... and {len(found) - MOST_ARRAYS} more")
    if not found:
        lines.append("It holds no arrays.")
    lines.append("")
    if not start.settings:
        return [*lines, *_wrapped(f"No command to start with: {shown_line(start.why_not)}.", "")]
    return [*lines, "To start with:", "", *command(inspection.path, start.settings)]


def command(path: Path, settings: dict[str, Any]) -> list[str]:
    r"""Return the lines of a `grevy run`, quoted for a shell, each but one with ``\`` at its end.

    Parameters
    ----------
    path : Path
        The data file.
    settings : dict
        Of the run, by name.
    """
    folder = re.sub(r"[^\w.-]", "-", path.stem, flags=re.ASCII).lstrip("-.") or "run"
    parts = [_flag("data", str(path))]
    for name, value in settings.items():
        parts += [_flag(name, each) for each in (value if isinstance(value, tuple) else (value,))]
    parts.append(_flag("output_dir", f"results/{folder}"))
    lines = ["grevy run"]
    for part in parts:
        if len(lines[-1]) + len(part) + 3 > WIDTH:
            lines[-1] += " \\"
            lines.append(_INDENT + part)
        else:
            lines[-1] += f" {part}"
    return lines


def _flag(name: str, value: Any) -> str:
    flag = f"--{name.replace('_', '-')}"
    if value is True:
        return flag
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    # What begins with a dash would be taken for a flag.
    return f"{flag}={_quoted(text)}" if text.startswith("-") else f"{flag} {_quoted(text)}"


def _quoted(text: str) -> str:
    """Quote text for a shell; what would act on a terminal as bash spells it."""
    if shown_line(text) == text:
        return shlex.quote(text)
    spelled = []
    for sign in text:
        if shown_line(sign) != sign:
            content = sign.encode(
                "utf-8", "surrogateescape" if "\udc80" <= sign <= "\udcff" else "surrogatepass"
            )
            spelled += [f"\\{byte:03o}" for byte in content]
        else:
            spelled.append("\\" + sign if sign in "\\'" else sign)
    return "$'" + "".join(spelled) + "'"


def _facts(each: "Found", inspection: "Inspection") -> list[str]:
    shape = " x ".join(map(str, each.shape)) or "a single"
    several = f"{each.count} arrays of " if each.count > 1 else ""
    facts = [f"{several}{shape} {each.dtype}", each.unit]
    if each.rate and len(each.shape):
        facts.append(f"{each.rate:.6g} Hz")
    if each.clock is not None:
        facts.append(f"counts up at {each.clock:.6g} Hz" if each.clock else "counts up evenly")
    if each.name in inspection.start.turned:
        facts.append("looks transposed, (N, T)")
    if each.turn is not None:
        unit = "degrees" if each.turn == 360 else "radians"
        facts.append(f"looks like an angle in {unit}")
    facts += ["is constant" if fault == "constant" else f"holds {fault}" for fault in each.faults]
    facts.append(_fits(each, inspection))
    if each.sampled is not None:
        facts.append(f"by its first {each.sampled} rows")
    return [fact for fact in facts if fact]


def _fits(each: "Found", inspection: "Inspection") -> str:
    start = inspection.start
    fits = ["neural data"] * (each.name in start.neural)
    fits += [f"a {each.kind or 'continuous'} label"] * (each.name in start.labels)
    fits += ["segments"] * (each.name in start.segments)
    return f"fits as {' or '.join(fits)}" if fits else ""


def _wrapped(text: str, indent: str = _INDENT) -> list[str]:
    """Break text into lines at its spaces; a word that is longer is cut short."""
    lines = [""]
    for word in text.split():
        short = cut_to(shown_line(word), WIDTH - len(indent))
        if lines[-1] and columns(f"{lines[-1]} {short}") > WIDTH - len(indent):
            lines.append("")
        lines[-1] += f" {short}" if lines[-1] else short
    return [indent + line for line in lines]


def _size(size: int) -> str:
    for power, unit in enumerate(("bytes", "KiB", "MiB", "GiB")):
        if size < 1024 ** (power + 1):
            return f"{size / 1024**power:.3g} {unit}"
    return f"{size / 1024**4:.3g} TiB"
