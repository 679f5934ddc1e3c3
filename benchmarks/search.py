"""What a search finds: its trials beside draws from the same ranges, on made data.

The response is the linear R^2 of the true latent from the embedding of held-out time, which no
trial is told. Trials know their validation blocks alone: the label decoded there, or the goodness
of fit there (`--by bits`). For each repeat (its own data and draws) three searches of equally many
trials: random, TPE, and TPE that gives up bad trials. The better half is what lies above the median
response of all random trials of the repeat. The first trials are the same draws in all three.

    python benchmarks/search.py --trials 30 --repeats 5
    python benchmarks/search.py --trials 30 --repeats 5 --by bits
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import grevy
from grevy.data import Recording, blocked_split, cut_validation, generate, training_segments
from grevy.evaluation import linear_map_r2, prepare
from grevy.sweeps.drawing import Distribution
from grevy.sweeps.searching import FIRST, STEPS, make_study, suggested, watcher
from grevy.sweeps.space import Search
from grevy.sweeps.working import GivenUpError

SPACE = {
    "learning_rate": Distribution(low=1e-5, high=1e-1, log=True),
    "temperature": Distribution(low=0.05, high=5.0, log=True),
    "output_dimension": Distribution(low=2, high=8, whole=True),
}
KINDS = {"random": ("random", False), "TPE": ("tpe", False), "TPE, giving up": ("tpe", True)}
GAP = 20
EVERY = 50


@dataclass(frozen=True)
class Trial:
    """What became of one trial; of one that was given up nothing but its steps is known."""

    steps: int
    seconds: float
    bits: float = -np.inf
    decoded: float = -np.inf
    response: float | None = None


@dataclass(frozen=True)
class Found:
    """What a search of one repeat has found."""

    chosen: float  # the response of the trial that was chosen
    better: float  # the share of the trials after the first ones in the better half
    saved: float  # the share of training steps that were not done
    seconds: float


def trained(
    recording: Recording,
    latent: Any,
    settings: dict[str, Any],
    steps: int,
    seen: Callable[[int, float], None],
) -> tuple[float, float, float]:
    """Train; return bits and R^2 of the label on validation blocks, and the response."""
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
    label = recording.labels[0]
    segments = recording.segments
    ready = prepare(embedding, inner, gap=GAP, metric="cosine", segments=segments)
    response = linear_map_r2(embedding, latent, split.train, split.test)
    return last[0], ready.statistic(label), response


def searched(
    recording: Recording, latent: Any, search: Search, seed: int, steps: int, by: str
) -> list[Trial]:
    """Do a search."""
    from optuna.trial import TrialState

    study, found = make_study(search, seed), []
    for _ in range(search.trials):
        trial = study.ask()
        settings, began = suggested(trial, SPACE), time.process_time()
        try:
            bits, decoded, response = trained(recording, latent, settings, steps, watcher(trial))
        except GivenUpError:
            study.tell(trial, state=TrialState.PRUNED)
            taken = int(trial.user_attrs[STEPS])
            found.append(Trial(taken, time.process_time() - began))
            continue
        study.tell(trial, bits if by == "bits" else decoded)
        found.append(Trial(steps, time.process_time() - began, bits, decoded, response))
    return found


def summed_up(trials: Sequence[Trial], median: float, steps: int, by: str) -> Found:
    """Say in numbers what a search has found."""
    chosen = max(trials, key=lambda each: getattr(each, by))
    late = [each.response for each in trials[FIRST:] if each.response is not None]
    assert chosen.response is not None
    return Found(
        chosen.response,
        float(np.mean([each > median for each in late])) if late else np.nan,
        1 - sum(each.steps for each in trials) / (steps * len(trials)),
        sum(each.seconds for each in trials),
    )


def correlations(trials: Sequence[Trial]) -> str:
    """Say how well the scores inside the training order the trials as the response does."""
    from scipy.stats import spearmanr

    responses = [each.response for each in trials]
    found = {
        by: spearmanr([getattr(each, by) for each in trials], responses).statistic
        for by in ("bits", "decoded")
    }
    return ", ".join(f"{by} {value:+.2f}" for by, value in found.items())


def paired(name: str, found: Sequence[Found], random: Sequence[Found]) -> str:
    """Compare a search with random over the repeats, pair by pair."""

    def difference(key: str) -> str:
        each = [getattr(a, key) - getattr(b, key) for a, b in zip(found, random, strict=True)]
        error = np.std(each, ddof=1) / len(each) ** 0.5 if len(each) > 1 else np.nan
        wins = sum(value > 0 for value in each)
        return f"{np.mean(each):+.3f} (s.e. {error:.3f}, above in {wins} of {len(each)})"

    return (
        f"{name} - random: share in the better half {difference('better')}; response of the "
        f"chosen {difference('chosen')}; {np.mean([each.saved for each in found]):.0%} of the "
        f"steps saved, {1 - sum(e.seconds for e in found) / sum(e.seconds for e in random):.0%} "
        f"of random's processor time"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--length", type=int, default=3000)
    parser.add_argument("--by", choices=["decoded", "bits"], default="decoded")
    given = parser.parse_args()
    every: dict[str, list[Found]] = {name: [] for name in KINDS}
    for repeat in range(given.repeats):
        made = generate("poisson", seed=repeat, length=given.length, n_neurons=20)
        recording = grevy.make_recording(made.x, labels=[grevy.continuous(made.u, "u")])
        median = 0.0
        for name, (sampler, prune) in KINDS.items():
            search = Search(given.trials, sampler, prune, SPACE)
            trials = searched(recording, made.z, search, repeat, given.steps, given.by)
            if name == "random":
                responses = [each.response for each in trials if each.response is not None]
                median = float(np.median(responses))
                print(
                    f"repeat {repeat}: response {min(responses):.3f} to {max(responses):.3f}, "
                    f"median {median:.3f}; rank correlation with it: {correlations(trials)}"
                )
            found = summed_up(trials, median, given.steps, given.by)
            every[name].append(found)
            print(
                f"  {name:15} chosen {found.chosen:.3f}; {found.better:.0%} of those after {FIRST} "
                f"in the better half; {found.saved:.0%} of steps saved; {found.seconds:.0f} s",
                flush=True,
            )
    for name in list(KINDS)[1:]:
        print(paired(name, every[name], every["random"]))


if __name__ == "__main__":
    main()
