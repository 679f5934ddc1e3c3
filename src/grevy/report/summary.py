"""A run in words: what was loaded, and how it scored."""

from collections.abc import Mapping, Sequence
from typing import Any

from grevy.data import Recording
from grevy.errors import shown_line
from grevy.evaluation import MEASURES, Measure
from grevy.report.recordings import adapted_words
from grevy.report.results import in_order
from grevy.report.words import SPACE, probability

# What the three names are, and why they are not the scores of the lines that follow.
_OF_THE_MANUAL = (
    "the manual's scores: one ridge regression to all continuous labels; prediction R2 is test R2, "
    "by the manual's definition; the scores below are by decoders chosen for each label"
)


def describe_data(recordings: Sequence[Recording]) -> str:
    """Say in a line or two what was loaded, and what is unusual about it."""
    lines = []
    for recording in recordings:
        labels = ", ".join(
            f"{label.name} ({label.kind}{f', {label.unit}' if label.unit else ''})"
            for label in recording.labels
        )
        segments = len(recording.segments)
        named = f"{recording.name}, " if recording.name else ""
        line = (
            f"{named}{recording.source}: {len(recording)} time steps x {recording.n_neurons} "
            f"neurons, "
            f"{segments} segment{'s' * (segments != 1)}, labels: {labels or 'none'}"
        )
        lines.append(shown_line(line))
    return "\n".join(lines)


def summarise(
    config: dict[str, Any], metrics: dict[str, Any], shape: Sequence[int], source: str
) -> str:
    """Write the text of ``logs/summary.txt``."""
    lines = ["Grevy run", "", f"Data: {source}", f"Embedding shape: {tuple(shape)}", "", "Metrics"]
    lines += [f"  {line}" for line in describe_metrics(metrics)]
    if said := adapted_words(config):
        lines.append(f"  note: {said}")
    lines += ["", "Configuration"]
    lines += [f"  {name}: {value}" for name, value in config.items() if name != "sessions"]
    lines += [f"  session: {said_settings(each)}" for each in config.get("sessions") or ()]
    return "\n".join(map(shown_line, lines)) + "\n"


def said_settings(settings: Mapping[str, Any]) -> str:
    """Say what one of several recordings has of its own."""
    parts = {
        name: " ".join(map(str, value)) if isinstance(value, list | tuple) else value
        for name, value in settings.items()
    }
    return ", ".join(f"{name} {value}" for name, value in parts.items())


def describe_metrics(metrics: dict[str, Any]) -> list[str]:
    """Say the metrics in lines: the honest figure next to the leaky one, never that alone."""
    lines = []
    where = f"held-out {(metrics.get('holdout') or {}).get('split', 'blocks')}"
    if "goodness_of_fit_bits" in metrics:
        lines.append(f"goodness of fit: {metrics['goodness_of_fit_bits']:.3f} bits (0 is chance)")
    if "goodness_of_fit_heldout_bits" in metrics:
        bits = metrics["goodness_of_fit_heldout_bits"]
        lines.append(f"goodness of fit, {where}: {bits:.3f} bits")
    if "train_r2" in metrics:
        lines.append(
            f"train R2 {_number(metrics['train_r2'])}, test R2 {_number(metrics['test_r2'])}, "
            f"prediction R2 {_number(metrics['prediction_r2'])} (random split: leaky if the label "
            f"changes slowly)"
        )
        lines.append(f"  {_OF_THE_MANUAL}")
    if "window_steps" in metrics:
        lines.append(f"time steps that the baselines see at once: {metrics['window_steps']}")
    if "latent_r2" in metrics:
        lines.append(f"linear R2 to the true latent: {metrics['latent_r2']:.3f}")
    for name, scores in metrics.get("scores", {}).items():
        lines.append(f"{name} ({scores['kind']})")
        lines.append(f"  random split: {_line(scores['random'])}")
        blocked = scores.get("blocked", {})
        for what in in_order(blocked):
            said = _source_lines(f"{where}, {what}", blocked[what], metrics.get("window_steps"))
            lines += [f"  {line}" for line in said]
        gains = {what: blocked[what].get("gain") for what in in_order(blocked)}
        lines += [f"  {_gain_line(gain, what)}" for what, gain in gains.items() if gain]
        if name in metrics.get("folds", {}):
            lines.append(f"  {_fold_line(metrics['folds'][name])}")
        if scores.get("null"):
            lines.append(f"  {_null_line(scores['null'])}")
    lines += _recording_lines(metrics)
    if metrics.get("consistency"):
        found = metrics["consistency"]
        lines.append(f"consistency of {len(found['names'])} seeds: mean R2 {found['mean']:.3f}")
    if "note" in metrics:
        lines.append(f"note: {metrics['note']}")
    return [shown_line(line) for line in lines]


def _recording_lines(metrics: dict[str, Any]) -> list[str]:
    """Say how each of several recordings scored, and how well they agree."""
    lines = []
    for one in metrics.get("recordings", []):
        lines.append(f"recording {one['name']}: {one['test_steps']} of its steps held out")
        for name, scores in one["scores"].items():
            measure = MEASURES[scores["kind"]][0]
            said = ", ".join(
                f"on {words} {_number(scores[which][measure.key], measure.in_unit)}"
                for which, words in _FITTED_ON.items()
            )
            null = f"; {_null_line(scores['null'])}" if "null" in scores else ""
            lines.append(f"  {name}, {_name(measure)} by a decoder fitted {said}{null}")
    for name, found in metrics.get("agreement", {}).items():
        if "mean" in found:
            lines.append(
                f"agreement of the recordings by {name}: mean R2 {found['mean']:.3f}, with labels "
                f"moved {found['chance']:.3f}"
            )
    return lines


_FITTED_ON = {"others": "the other recordings", "own": "its own steps", "all": "all"}
_MEASURES = {each.key: each for measures in MEASURES.values() for each in measures}


def _name(measure: Measure) -> str:
    """Name a score for any terminal, so in ASCII."""
    return measure.name.replace("²", "2")


def _number(value: float, unit: bool = False) -> str:
    """Write a number for any terminal, so in ASCII; a small one counts if it has a unit."""
    small = unit and 0 < abs(value) < 1e-3
    return f"{value:.2e}" if small or abs(value) >= 1e6 else f"{value:.3f}"


def _line(scores: dict[str, Any]) -> str:
    intervals = scores.get("intervals", {})
    parts = []
    for key, each in _MEASURES.items():
        if key in scores and each.in_brief:
            low_high = ", ".join(_number(bound, each.in_unit) for bound in intervals.get(key, ()))
            said = f"{_name(each)} {_number(scores[key], each.in_unit)}"
            parts.append(said + (f" [{low_high}]" if low_high else ""))
            if each.at_chance in scores and scores.get("decoder") != "constant":
                parts[-1] += f" (chance {scores[each.at_chance]:.3f})"
    return ", ".join(parts)


def _source_lines(what: str, values: dict[str, Any], steps: int | None) -> list[str]:
    """Say the scores of what was decoded from, and of each way to put its steps together."""
    read = _reading(values, steps)
    lines = [f"{what}{f' ({read})' if read else ''}: {_line(values)}"]
    for window, each in values.get("by_window", {}).items():
        lines.append(f"  {_reading({**each, 'window': window}, steps)}: {_line(each)}")
    return lines


def _reading(values: dict[str, Any], steps: int | None) -> str:
    """Say how many steps a baseline sees, how they were put together, and in how many numbers."""
    window, columns = values.get("window", ""), values.get("columns")
    if steps is not None and window not in ("", "one step"):
        window = f"{steps} steps {window}"
    count = "" if columns is None else f"{columns} number{'s' * (columns != 1)}"
    return ", ".join(part for part in (window, count) if part)


def _fold_line(found: dict[str, Any]) -> str:
    measure = _MEASURES[found["score"]]
    each = ", ".join(_number(value, measure.in_unit) for value in found["values"])
    return (
        f"{len(found['values'])} folds, an encoder each: {_name(measure)} {each}; mean "
        f"{_number(found['mean'], measure.in_unit)}; all together {_line(found['pooled'])}"
    )


def _gain_line(gain: dict[str, Any], source: str) -> str:
    measure = _MEASURES[gain["score"]]
    low_high = ", ".join(_number(end, measure.in_unit) for end in gain.get("interval") or ())
    return f"gain over {source}: {_name(measure)} {_number(gain['value'], measure.in_unit)}" + (
        f" [{low_high}]" if low_high else ""
    )


def _null_line(null: dict[str, Any]) -> str:
    how = null["how"]
    if "method" in null:
        folds = f"{null['folds']} " if "folds" in null else ""
        how += f"; {folds}{null['method']}"
    line = f"{null['n']} nulls ({how}): {_p(null['p'])}"
    if "p_adjusted" in null:
        line += f", adjusted (Holm) {_p(null['p_adjusted'])}"
    return line


def _p(value: float) -> str:
    return probability(value).replace(SPACE, " ")
