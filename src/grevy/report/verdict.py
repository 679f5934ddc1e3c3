"""What a run found, in one plain sentence with numbers for each label."""

from dataclasses import dataclass
from typing import Any, Literal

from grevy.evaluation import FEWEST_NULLS
from grevy.report.results import LabelResult, Null, held_out_words
from grevy.report.words import INTERVAL, number, plural, probability, score, short

SIGNIFICANT = 0.05

Finding = Literal["better", "unclear", "no better than PCA", "chance", "untested", "none"]

CLAIMS: dict[Finding, str] = {
    "better": "Better than chance and than PCA",
    "unclear": "Better than chance, but not clearly better than PCA",
    "no better than PCA": "Better than chance, but no better than PCA",
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


def find(result: LabelResult) -> Finding:
    """Weigh one label's scores.

    Chance is not beaten if p is 0.05 or more, or if the 95 % interval of the held-out score (the
    score itself where no interval is known) reaches the score of knowing nothing. Where p speaks
    for the label and only its interval does not, or p is not to be trusted, nothing is shown either
    way. PCA is beaten clearly only if its score lies beyond that interval.
    """
    own = result.held_out.get("embedding")
    if own is None:
        return "none"
    better = result.measure.better
    interval = own.interval or (own.value, own.value)
    worst = interval[0] if result.measure.larger_is_better else interval[1]
    if _is_untested(result, better(own.value, result.chance), better(worst, result.chance)):
        return "untested"
    null = result.null
    if (null is not None and null.p >= SIGNIFICANT) or not better(worst, result.chance):
        return "chance"
    pca = result.held_out.get("pca")
    if pca is None:
        return "better"
    if not better(own.value, pca.value):
        return "no better than PCA"
    return "better" if better(worst, pca.value) else "unclear"


def _is_untested(result: LabelResult, is_above: bool, is_clearly_above: bool) -> bool:
    """Tell whether p cannot tell, is missing with the interval, or disagrees with the interval."""
    null = result.null
    if null is None:
        return is_clearly_above and result.held_out["embedding"].interval is None
    if null.note:
        return True
    if null.p >= SIGNIFICANT:
        return len(null.values) < FEWEST_NULLS
    return is_above and not is_clearly_above


def label_verdict(result: LabelResult) -> Verdict:
    """Say what was found about one label."""
    finding = find(result)
    claim = CLAIMS[finding]
    if finding == "better" and "pca" not in result.held_out:
        claim = "Better than chance"
    return Verdict(finding, short(result.name, 60), claim, _numbers(result, finding))


def _numbers(result: LabelResult, finding: Finding) -> str:
    own = result.held_out.get("embedding")
    if own is None:
        return (
            "the embedding was scored only on time steps picked at random from the time it was "
            "trained on, which a label that changes slowly passes without any relation to the data."
        )
    parts = [f"{result.measure.name} {result.say_main(own.value)} on {result.where}"]
    if own.interval:
        parts[0] += f" ({INTERVAL} {result.say_interval(own.interval)})"
    parts.append(_against_chance(result))
    pca = result.held_out.get("pca")
    if pca is not None:
        parts.append(f"PCA with as many dimensions reaches {result.say_main(pca.value)}")
    else:
        parts.append("no baseline from the neural data was computed")
    text = "; ".join(parts) + "."
    if finding == "untested":
        text += " " + _what_is_missing(result.null)
    return text


def _against_chance(result: LabelResult) -> str:
    null = result.null
    at_chance = f"chance is {result.say_main(result.chance)}"
    if null is None:
        return at_chance
    return f"{at_chance}, and {null_sentence(null)}"


def null_sentence(null: Null) -> str:
    """Say how many of the nulls did as well, and p."""
    count = len(null.values)
    as_good = int((null.values >= null.observed).sum())
    how = f"{null.how}; the encoder kept" if null.is_of_seen_label else null.how
    return (
        f"{as_good or 'none'} of {plural(count, 'null')} ({how}) did as well, {probability(null.p)}"
    )


def _what_is_missing(null: Null | None) -> str:
    if null is None:
        return "Neither an interval nor nulls were computed, so luck is not ruled out."
    if null.note:
        return null.note
    if null.p < SIGNIFICANT:
        return f"The {INTERVAL} reaches chance, so luck is not ruled out."
    return (
        f"With {plural(len(null.values), 'null')}, p cannot be below {SIGNIFICANT:g}; "
        f"at least {FEWEST_NULLS} are needed."
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
