"""What a search may try, and how it goes about it; as the file of a sweep says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grevy.sweeps.drawing import Distribution

OWN = ("trials", "sampler", "prune")
"""What a search has beside settings and what to draw each from."""
SAMPLERS = ("tpe", "random")
MAX_TRIALS = 10_000
# Settings that change which samples the loss is made of, or on what: bits could not be compared.
INCOMPARABLE = (
    "batch_size", "conditional", "delta", "holdout", "hybrid", "num_negatives", "prior", "seed",
    "split", "time_offsets", "validation",
)  # fmt: skip


@dataclass(frozen=True)
class Search:
    """A search of settings, by the goodness of fit on validation blocks.

    Attributes
    ----------
    trials : int
    sampler : {"tpe", "random"}
    prune : bool
        Whether to give up a trial that does worse than half of those before it did by then.
    space : dict of str to Distribution
        By the name of a setting.
    """

    trials: int
    sampler: str
    prune: bool
    space: dict[str, Distribution]

    def as_mapping(self) -> dict[str, Any]:
        """Return it as it stands in the file."""
        own = {"trials": self.trials, "sampler": self.sampler, "prune": self.prune}
        return {**own, **{name: each.as_mapping() for name, each in self.space.items()}}


def make_search(own: Mapping[str, Any], space: dict[str, Distribution]) -> Search | list[str]:
    """Make a search, or say what is wrong with it.

    Parameters
    ----------
    own : mapping of str to object
        Those of `OWN` that were given.
    space : dict of str to Distribution
    """
    trials, sampler, prune = own.get("trials"), own.get("sampler", "tpe"), own.get("prune", False)
    wrong = []
    if type(trials) is not int or not 1 <= trials <= MAX_TRIALS:
        wrong.append(f"'trials' is {trials!r}: expected a whole number from 1 to {MAX_TRIALS}")
    if sampler not in SAMPLERS:
        wrong.append(f"'sampler' is {sampler!r}: expected {' or '.join(SAMPLERS)}")
    if not isinstance(prune, bool):
        wrong.append(f"'prune' is {prune!r}: expected true or false")
    if not space:
        wrong.append(
            "give names with what to draw from, as in 'learning_rate: {between: [0.0001, 0.01], "
            "scale: log}'"
        )
    return wrong or Search(int(trials or 0), str(sampler), bool(prune), space)


def space_problem(name: str) -> str | None:
    """Say why a setting cannot be searched; None if it can."""
    if name in INCOMPARABLE:
        return f"{name!r} changes what the loss is measured on, so trials could not be compared"
    return None
