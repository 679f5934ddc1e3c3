"""What a run found, in one plain sentence with numbers for each label."""

from dataclasses import dataclass
from typing import Any, Literal

from grevy.evaluation import FEWEST_NULLS
from grevy.report.results import LabelResult, Null, Score, Source, held_out_words
from grevy.report.words import INTERVAL, number, plural, probability, score, short

SIGNIFICANT = 0.05

Finding = Literal[
    "better", "no different", "worse", "above chance", "chance", "untested", "none"
]  # fmt: skip

CLAIMS: dict[Finding, str] = {
    "better": "Better than chance, and than principal components of the same dimension",
    "no different": "Better than chance, no different from principal components of the same "
    "dimension",
    "worse": "Better than chance, but worse than principal components of the same dimension",
    "above chance": "Better than chance",
    "chance": "No better than chance",
    "untested": "Not shown to be better than chance",
    "none": "Nothing was held out, so nothing is shown",
}


@dataclass(frozen=True)
class Verdict:
    """A finding in words.

    Attributes
    ----------
    finding : str
        One of the keys of `CLAIMS`.
    label : str
        The name of the label, cut to a bounded length; empty if there is none.
    claim : str
        A few words.
    numbers : str
        The rest of the sentence.
    """

    finding: Finding
    label: str
    claim: str
    numbers: str


_BY_SIDE: dict[int, Finding] = {1: "better", 0: "no different", -1: "worse"}


def find(result: LabelResult) -> Finding:
    """Weigh one label's scores.

    Chance is beaten if p is below 0.05 (adjusted, where several labels were tested) and the 95 %
    interval of the held-out score (the score itself where no interval is known) lies beyond the
    score of knowing nothing. Where nulls were not asked for, the interval alone decides; where no
    p can be given, or p and interval disagree, nothing is shown either way. Components are told
    from the embedding by the interval of the paired difference alone.
    """
    own = result.held_out.get("embedding")
    if own is None:
        return "none"
    against_chance = _weigh_chance(result, own.score)
    if against_chance is not None:
        return against_chance
    components = result.held_out.get("pca")
    if components is None or components.gain is None or components.gain.interval is None:
        return "above chance"
    return _BY_SIDE[_side(components.gain)]


def _weigh_chance(result: LabelResult, own: Score) -> Finding | None:
    """Tell whether a score is at chance, or its luck untested; None if chance is beaten."""
    better = result.measure.better
    low, high = own.interval or (own.value, own.value)
    worst = low if result.measure.larger_is_better else high
    is_above, is_clearly_above = better(own.value, result.chance), better(worst, result.chance)
    null = result.null
    if null is not None and null.deciding_p >= SIGNIFICANT:
        return "untested" if _has_too_few(null) else "chance"
    if not is_above:
        return "chance"
    if null is None and (result.is_without_p or own.interval is None):
        return "untested"
    if is_clearly_above:
        return None
    return "chance" if null is None else "untested"


def _has_too_few(null: Null) -> bool:
    """Tell whether p, though no null may have done as well, could not have been below 0.05."""
    if null.p >= SIGNIFICANT:
        return len(null.values) < FEWEST_NULLS
    return len(null.values) < FEWEST_NULLS * null.n_labels


def _side(gain: Score | None) -> int:
    """Tell on which side of 0 the interval of a gain lies: 1, -1, or 0 if it covers it."""
    if gain is None or gain.low is None or gain.high is None:
        return 0
    return int(gain.low > 0) - int(gain.high < 0)


def label_verdict(result: LabelResult) -> Verdict:
    """Say what was found about one label."""
    finding = find(result)
    return Verdict(finding, short(result.name, 60), CLAIMS[finding], _numbers(result, finding))


def _numbers(result: LabelResult, finding: Finding) -> str:
    own = result.held_out.get("embedding")
    if own is None:
        return (
            "the embedding was scored only on time steps picked at random from the time it was "
            "trained on, which a label that changes slowly passes without any relation to the data."
        )
    parts = [f"{result.measure.name} {result.say_main(own.score.value)} on {result.where}"]
    if own.score.interval:
        parts[0] += f" ({INTERVAL} {result.say_interval(own.score.interval)})"
    parts.append(_beside_chance(result))
    components, raw = result.held_out.get("pca"), result.held_out.get("raw")
    if components is not None:
        parts.append(_beside_components(result, components))
    if raw is not None:
        parts.append(_beside_raw(result, own, raw, finding not in ("chance", "untested")))
    if components is None and raw is None:
        parts.append("no baseline from the neural data was computed")
    text = "; ".join(parts) + "."
    if finding == "untested":
        text += " " + _what_is_missing(result)
    return text


def _beside_chance(result: LabelResult) -> str:
    at_chance = f"chance is {result.say_main(result.chance)}"
    return at_chance if result.null is None else f"{at_chance}, and {null_sentence(result.null)}"


def _beside_components(result: LabelResult, components: Source) -> str:
    steps = result.window_steps
    seen = "one time step" if steps is None else f"the same {plural(steps, 'step')}"
    verb = "err by" if result.measure.in_unit else "reach"
    what = f"principal components of {'the same time step' if steps == 1 else seen} {verb}"
    return _beside(result, what, components)


def _beside_raw(result: LabelResult, own: Source, raw: Source, is_beyond_chance: bool) -> str:
    """Say whether the embedding's fewer numbers are as good; of nothing found, only the scores."""
    numbers = "" if raw.columns is None else f" in {plural(raw.columns, 'number')}"
    if raw.gain is None or raw.gain.interval is None or not is_beyond_chance:
        verb = "errs by" if result.measure.in_unit else "reaches"
        return _beside(result, f"raw activity{numbers} {verb}", raw)
    size, interval = gain_words(result, raw.gain)
    side = _side(raw.gain)
    by = f"by {result.say_gain(abs(raw.gain.value))} ({INTERVAL} {interval})"
    if side < 0:
        return f"raw activity{numbers} does better, {by}"
    few = f" in {plural(own.columns, 'number')}" if own.columns else ""
    if side > 0:
        return f"the embedding does better{few} than raw activity{numbers}, {by}"
    size = f"its error {size}" if result.measure.in_unit else size
    return f"the embedding is as good{few} as raw activity{numbers} ({size}; {INTERVAL} {interval})"


def _beside(result: LabelResult, reached: str, source: Source) -> str:
    """Say what a baseline reaches, and by how much the embedding differs from it."""
    text = f"{reached} {result.say_main(source.score.value)}"
    if source.gain is None:
        return text
    size, interval = gain_words(result, source.gain)
    by = "by " if result.measure.in_unit else ""
    return f"{text}, the embedding {by}{size}" + (f" ({INTERVAL} {interval})" if interval else "")


def gain_words(result: LabelResult, gain: Score) -> tuple[str, str]:
    """Say by how much the embedding differs from a baseline, and the interval of that.

    Returns
    -------
    size, interval : str
        Such as "0.031 more" and "0.012 to 0.049", or "0.010 less to 0.020 more". Of an error in
        the label's unit less is better. `interval` is empty if it is not known.
    """
    size = _more_or_less(result, gain.value)
    if gain.interval is None:
        return size, ""
    low, high = sorted(gain.interval, key=lambda end: result.measure.sign * end)
    if min(gain.value, low, high) >= 0 or max(gain.value, low, high) <= 0:
        near, far = sorted((abs(low), abs(high)))
        return size, f"{result.say_gain(near, with_unit=False)} to {result.say_gain(far)}"
    return size, f"{_more_or_less(result, low)} to {_more_or_less(result, high)}"


def _more_or_less(result: LabelResult, gain: float) -> str:
    """Say how the embedding's own score differs, where it is better by a gain."""
    if gain == 0:
        return "no more"
    is_more = (gain > 0) == result.measure.larger_is_better
    return f"{result.say_gain(abs(gain))} {'more' if is_more else 'less'}"


def null_sentence(null: Null) -> str:
    """Say how many of the nulls did as well, and p."""
    count = len(null.values)
    as_good = int((null.values >= null.observed).sum())
    text = (
        f"{as_good or 'none'} of {plural(count, 'null')} ({null.how}) did as well, "
        f"{probability(null.p)}"
    )
    if null.p_adjusted is None:
        return text
    return f"{text}, adjusted for {plural(null.n_labels, 'label')} {probability(null.p_adjusted)}"


def _what_is_missing(result: LabelResult) -> str:
    null = result.null
    if null is None and result.is_without_p:
        return "No p can be given for this label (the note says why), so luck is not ruled out."
    if null is None:
        return "Neither an interval nor nulls were computed, so luck is not ruled out."
    if null.deciding_p < SIGNIFICANT:
        return f"The {INTERVAL} reaches chance, so luck is not ruled out."
    of_several = null.p < SIGNIFICANT
    needed = FEWEST_NULLS * (null.n_labels if of_several else 1)
    return (
        f"With {plural(len(null.values), 'null')}{' of each label' if of_several else ''}, "
        f"{'an adjusted p' if of_several else 'p'} cannot be below {SIGNIFICANT:g}; at least "
        f"{needed} are needed."
    )


def unlabelled_verdict(metrics: dict[str, Any]) -> Verdict:
    """Say what there is to say about a run without labels."""
    bits = metrics.get("goodness_of_fit_heldout_bits")
    where = held_out_words(metrics)
    if not isinstance(bits, int | float):
        bits, where = metrics.get("goodness_of_fit_bits"), "the time it was trained on"
    told = "Nothing was decoded, so nothing is shown about behaviour."
    if isinstance(bits, int | float):
        told = (
            f"the encoder tells positive from negative samples by {number(float(bits))} bits more "
            f"than chance on {where}; what of behaviour the embedding holds, it cannot say."
        )
    return Verdict("none", "", "No label was given, so nothing was decoded", told)


def run_verdicts(results: list[LabelResult], metrics: dict[str, Any]) -> list[Verdict]:
    """Say what was found, the first label first; one verdict at least."""
    return [label_verdict(result) for result in results] or [unlabelled_verdict(metrics)]


def latent_sentence(metrics: dict[str, Any]) -> str:
    """Say how well the true latent is recovered, where the data is made and it is known."""
    value = metrics.get("latent_r2")
    if not isinstance(value, int | float):
        return ""
    return f"The data is made: a linear map to its true latent reaches R² {score(float(value))}."
