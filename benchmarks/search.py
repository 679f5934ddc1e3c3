"""What a search finds: its trials beside draws from the same ranges, on made data.

The response is the linear R^2 of the true latent from the embedding of held-out time, which no
trial is told. Trials know the goodness of fit on validation blocks alone. For each repeat (its own
data and draws) three searches of equally many trials: random, TPE, and TPE that gives up bad
trials. The better half is what lies above the median response of the random trials of the repeat.

    python benchmarks/search.py --trials 30 --repeats 5
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import grevy
from grevy.data import Recording, blocked_split, cut_validation, generate, training_segments
from grevy.evaluation import linear_map_r2
from grevy.sweeps.drawing import Distribution
from grevy.sweeps.searching import FIRST, make_study, suggested, watcher
from grevy.sweeps.space import Search
from grevy.sweeps.working import GivenUpError

SPACE = {
    "learning_rate": Distribution(low=1e-5, high=1e-1, log=True),
    "temperature": Distribution(low=0.05, high=5.0, log=True),
    "output_dimension": Distribution(low=2, high=8, whole=True),
}
GAP = 20
EVERY = 50


@dataclass(frozen=True)
class Trial:
    """What became of one trial; the response of one that was given up is not known."""

    bits: float
    response: float | None
    steps: int
    seconds: float


def trained(
    recording: Recording,
    latent: Any,
    settings: dict[str, Any],
    steps: int,
    seen: Callable[[int, float], None],
) -> tuple[float, float]:
    """Train with validation; return the goodness of fit there, in bits, and the response."""
    split = blocked_split(recording.segments, 0.2, GAP)
    runs = training_segments(recording.segments, split.train)
    inner = cut_validation(runs, 0.2, GAP)
    last = [0.0]

    def look(step: int, bits: float) -> None:
        last[0] = bits
        seen(step, bits)

    validation = grevy.Validation(training_segments(runs, inner.test), every=EVERY, seen=look)
    model = grevy.CEBRA(
        model_architecture="offset1-model", batch_size=128, max_iterations=steps, seed=0,
        conditional="time_delta", time_offsets=2, device="cpu", **settings,
    )  # fmt: skip
    model.fit(
        recording.neural, recording.labels[0],
        segments=training_segments(runs, inner.train), validation=validation,
    )  # fmt: skip
    embedding = model.transform(recording.neural)
    return last[0], linear_map_r2(embedding, latent, split.train, split.test)


def searched(
    recording: Recording, latent: Any, search: Search, seed: int, steps: int
) -> list[Trial]:
    """Do a search."""
    study, found = make_study(search, seed), []
    for _ in range(search.trials):
        trial = study.ask()
        settings, began = suggested(trial, SPACE), time.process_time()
        try:
            bits, response = trained(recording, latent, settings, steps, watcher(trial))
        except GivenUpError:
            import optuna

            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            taken = int(trial.user_attrs["steps"])
            found.append(Trial(-np.inf, None, taken, time.process_time() - began))
            continue
        study.tell(trial, bits)
        found.append(Trial(bits, response, steps, time.process_time() - began))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--length", type=int, default=3000)
    given = parser.parse_args()
    kinds = {"random": ("random", False), "TPE": ("tpe", False), "TPE, giving up": ("tpe", True)}
    for repeat in range(given.repeats):
        made = generate("poisson", seed=repeat, length=given.length, n_neurons=20)
        recording = grevy.make_recording(made.x, labels=[grevy.continuous(made.u, "u")])
        print(f"repeat {repeat}")
        median = 0.0
        for name, (sampler, prune) in kinds.items():
            search = Search(given.trials, sampler, prune, SPACE)
            found = searched(recording, made.z, search, repeat, given.steps)
            if name == "random":
                median = float(np.median([each.response for each in found]))
            print(describe(name, found, median, given.steps), flush=True)


def describe(name: str, found: list[Trial], median: float, steps: int) -> str:
    """Say what a search has found."""
    known = [each for each in found if each.response is not None]
    chosen = max(known, key=lambda each: each.bits)
    late = [each for each in found[FIRST:] if each.response is not None]
    better = sum(each.response > median for each in late if each.response is not None)
    saved = 1 - sum(each.steps for each in found) / (steps * len(found))
    return (
        f"  {name:15} chosen {chosen.bits:.3f} bits, response {chosen.response:.3f} (median "
        f"{median:.3f}); after {FIRST} trials {better} of {len(late)} finished in the better half; "
        f"{len(found) - len(known)} given up, {saved:.0%} of the steps saved; "
        f"{sum(each.seconds for each in found):.0f} s"
    )


if __name__ == "__main__":
    main()
