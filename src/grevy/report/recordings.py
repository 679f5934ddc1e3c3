"""How a label was decoded in each of several recordings, and by what the others have taught."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grevy.archive import ArchivedRun
from grevy.report.results import (
    LabelResult,
    Null,
    Score,
    mapping_of,
    null_of,
    number_of,
    score_of,
)
from grevy.report.verdict import SIGNIFICANT
from grevy.report.words import plural, short

# What a decoder was fitted on, in the order in which it is shown.
FITTED_ON = {
    "others": "The other recordings",
    "own": "Its own training steps",
    "all": "All recordings",
}
NAME_LENGTH = 40
SEEN = (
    "Each recording has an encoder of its own. {trained} On held-out steps, which nothing was "
    "fitted on, each recording is then decoded three times: by a decoder fitted on the training "
    "steps of the other recordings alone, on its own, and on those of all. The first has seen no "
    "label of the recording that it decodes; the recording's encoder has seen the labels of its "
    "training steps, without which nothing would bring recordings of other neurons into one space."
)
ADDED = (
    "That of the last was trained for this run, on its training steps and the labels there; those "
    "of the others, which it was trained to meet, are as they were before."
)
TOGETHER = (
    "All were trained together, on the training steps of every recording and the labels there."
)
ADAPTED = (
    "Only the first layer was trained; those above it are of a model of another recording. Nothing "
    "ties this embedding to that model's: scores may be compared, and the embeddings after a "
    "linear map by a label that both have, but neither coordinates nor what a decoder of the "
    "other reads from this one."
)


@dataclass(frozen=True, eq=False)
class InRecording:
    """One label in one recording.

    Attributes
    ----------
    name : str
    scores : dict of str to Score
        By what the decoder was fitted on: see `FITTED_ON`.
    decoders : dict of str to str
        The decoder, in words, by the same.
    chance : float
        What knowing nothing scores there.
    null : Null or None
        Of what the others' decoder says.
    is_without_p : bool
        Whether no p can be given; False where none was asked for.
    no_p : str
        Why not.
    """

    name: str
    scores: dict[str, Score]
    decoders: dict[str, str]
    chance: float
    null: Null | None
    no_p: str


@dataclass(frozen=True, eq=False)
class Across:
    """One label in all of several recordings.

    Attributes
    ----------
    label : LabelResult
    each : tuple of InRecording
    left_out : Score or None
        Of all recordings together, each decoded by the others' decoder.
    """

    label: LabelResult
    each: tuple[InRecording, ...]
    left_out: Score | None

    def span(self, which: str) -> str:
        """Say from where to where the scores of one kind of decoder reach."""
        values = sorted(one.scores[which].value for one in self.each if which in one.scores)
        if not values:
            return ""
        low, high = self.label.say_bare(values[0]), self.label.say_main(values[-1])
        return high if low == self.label.say_bare(values[-1]) else f"{low} to {high}"

    def beats_chance(self, one: InRecording) -> bool:
        """Tell whether the others' decoder is better than chance in a recording."""
        return (
            one.null is not None
            and one.null.deciding_p < SIGNIFICANT
            and "others" in one.scores
            and self.label.measure.better(one.scores["others"].value, one.chance)
        )


def across_recordings(run: ArchivedRun, results: list[LabelResult]) -> list[Across]:
    """Take the scores of every label in each recording out of a run's metrics."""
    each = [mapping_of(one) for one in run.metrics.get("recordings") or ()]
    if len(each) < 2:
        return []
    tests = [
        mapping_of(scores).get("null")
        for one in each
        for scores in mapping_of(one.get("scores")).values()
    ]
    n_tests = sum(test is not None for test in tests)
    found = []
    for label in results:
        inside = [_in_recording(one, label, n_tests) for one in each]
        pooled = mapping_of(mapping_of(run.metrics.get("left_out")).get(label.name))
        key = label.measure.key
        whole = score_of(pooled, key) if number_of(pooled.get(key)) is not None else None
        if any(one.scores for one in inside):
            found.append(Across(label, tuple(inside), whole))
    return found


def _in_recording(one: Mapping[str, Any], label: LabelResult, n_tests: int) -> InRecording:
    scores = mapping_of(mapping_of(one.get("scores")).get(label.name))
    key = label.measure.key
    by = {which: mapping_of(scores.get(which)) for which in FITTED_ON}
    known = {which: each for which, each in by.items() if number_of(each.get(key)) is not None}
    return InRecording(
        short(str(one.get("name", "")), NAME_LENGTH),
        {which: score_of(each, key) for which, each in known.items()},
        {which: str(each.get("decoder") or "") for which, each in known.items()},
        _chance(label, scores),
        null_of(mapping_of(scores.get("null")), n_tests),
        str(scores.get("no_p") or ""),
    )


def _chance(label: LabelResult, scores: Mapping[str, Any]) -> float:
    """Return what knowing nothing scores in a recording; of R2 no less than 0, as everywhere."""
    if label.kind == "discrete":
        found = number_of(mapping_of(scores.get("own")).get("balanced_chance"))
    else:
        found = number_of(mapping_of(scores.get("chance")).get(label.measure.key))
    return max(label.archived_chance if found is None else found, 0.0)


def across_sentence(across: Across) -> str:
    """Say how well what the others have taught holds for each recording."""
    count, better = len(across.each), sum(map(across.beats_chance, across.each))
    without = sum(bool(one.no_p) for one in across.each)
    own = across.span("own")
    text = (
        f"decoded by what the other recordings have taught, {across.label.measure.name} is "
        f"{across.span('others')} in {plural(count, 'recording')}"
        + (f", where decoders of their own reach {own}" if own else "")
    )
    if any(one.null is not None for one in across.each):
        text += f"; better than chance (adjusted p below {SIGNIFICANT:g}) in {better} of {count}"
    if without:
        text += f"; no p can be given for {without} of them"
    return text + "."


def seen_words(config: Mapping[str, Any]) -> str:
    """Say what each encoder and each decoder has seen."""
    return SEEN.format(trained=ADDED if config.get("base_model") else TOGETHER)


def adapted_words(config: Mapping[str, Any]) -> str:
    """Say what may be compared of a run whose model was made from that of another recording."""
    return ADAPTED if config.get("base_model") and not config.get("sessions") else ""
