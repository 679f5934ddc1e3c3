"""What is drawn, where the parameters leave it to the labels."""

from collections.abc import Sequence

from grevy.data import Recording
from grevy.engine import Conditional, SamplingPlan
from grevy.errors import GrevyError, SessionError
from grevy.model.parameters import Parameters


def sampling_plan(parameters: Parameters, recordings: Sequence[Recording]) -> SamplingPlan:
    """Decide what is drawn from the parameters and the kinds of labels at hand.

    Raises
    ------
    GrevyError
        If the parameters ask for a label that is not there, or make no sense with these.
    """
    kinds = {label.kind for label in recordings[0].labels}
    has_classes, has_numbers = "discrete" in kinds, bool(kinds - {"discrete"})
    asked = parameters.conditional
    if not kinds and len(recordings) > 1:
        raise SessionError(
            "No label was given, and several recordings are aligned through their labels. Give "
            "labels, or fit each recording alone."
        )
    if not kinds and asked not in (None, "time"):
        raise GrevyError(
            f"conditional={asked!r} needs a label, and none was given. Give one, or use "
            f"conditional='time'."
        )
    if not kinds and parameters.hybrid:
        raise GrevyError("hybrid training joins a label with time, and no label was given.")
    if asked == "delta_normal" and not has_numbers:
        raise GrevyError(
            "conditional='delta_normal' needs a continuous or circular label; discrete ones have "
            "no nearness. Drop it: positives then share the class."
        )
    conditional: Conditional = asked or ("time_delta" if kinds else "time")
    if conditional == "time_delta" and not has_numbers:
        conditional = "discrete"
    if len(recordings) > 1 and conditional == "time":
        raise SessionError(
            "several recordings are aligned through their labels; conditional='time' would leave "
            "their embeddings unrelated. Use conditional='time_delta', or fit each recording alone."
        )
    if parameters.batch_size is None and parameters.prior == "uniform":
        raise GrevyError(
            "prior='uniform' draws classes equally often, but batch_size=None takes every time "
            "step once. Give a batch size, or drop the prior."
        )
    if parameters.prior == "uniform" and not has_classes:
        raise GrevyError(
            "prior='uniform' draws classes equally often, but there is no discrete label. Give "
            "one, or drop the prior."
        )
    mixed = has_classes and has_numbers and parameters.batch_size is not None
    return SamplingPlan(
        conditional=conditional,
        time_offsets=parameters.time_offsets,
        delta=parameters.delta,
        prior=parameters.prior or ("uniform" if mixed else "empirical"),
        batch_size=parameters.batch_size,
        num_negatives=parameters.num_negatives,
        hybrid=bool(parameters.hybrid),
        pad_short=bool(parameters.pad_short),
    )
