"""How far a fit can be believed: goodness of fit, nulls, consistency; arrays in, results out."""

from grevy.fit_quality.agreement import Consistency, consistency
from grevy.fit_quality.goodness import (
    TAIL_FRACTION,
    TAIL_STEPS,
    GoodnessOfFit,
    goodness_of_fit,
    heldout_goodness_of_fit,
)
from grevy.fit_quality.null import NullTest, null_test
from grevy.fit_quality.shifts import UnmovableError

__all__ = [
    "TAIL_FRACTION",
    "TAIL_STEPS",
    "Consistency",
    "GoodnessOfFit",
    "NullTest",
    "UnmovableError",
    "consistency",
    "goodness_of_fit",
    "heldout_goodness_of_fit",
    "null_test",
]
