"""What a search finds: its trials beside draws from the same ranges, on made data.

There are two responses on held-out time, of which no trial is told: how well the label is decoded
there, and the linear R^2 of the true latent. Trials know their validation blocks alone: the label
decoded there, or the goodness of fit there (`--by bits`). For each repeat (its own data and draws)
three searches of equally many trials: random, TPE, and TPE that gives up bad trials. The better
half is what lies above the median response of all random trials of the repeat. The first trials
are the same draws in all three.

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

RESPONSES = ("label", "latent")
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
    responses: dict[str, float] | None = None


@dataclass(frozen=True)
class Found:
    """What a search of one repeat has found."""

    chosen: dict[str, float]  # the responses of the trial that was chosen
    better: dict[str, float]  # the shares of the trials after the first ones in the better half
    saved: float  # the share of training steps that were not done
    seconds: float


def trained(
    recording: Recording,
    latent: Any,
    settings: dict[str, Any],
    steps: int,
    seen: Callable[[int, float], None],
) -> tuple[float, float, dict[str, float]]:
    """Train; return bits and R^2 of the label on validation blocks, and the responses."""
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
    inside, outside = (
        prepare(embedding, each, gap=GAP, metric="cosine", segments=recording.segments)
        for each in (inner, split)
    )
    responses = {
        "label": outside.statistic(label),
        "latent": linear_map_r2(embedding, latent, split.train, split.test),
    }
    return last[0], inside.statistic(label), responses


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
            bits, decoded, responses = trained(recording, latent, settings, steps, watcher(trial))
        except GivenUpError:
            study.tell(trial, state=TrialState.PRUNED)
            taken = int(trial.user_attrs[STEPS])
            found.append(Trial(taken, time.process_time() - began))
            continue
        study.tell(trial, bits if by == "bits" else decoded)
        found.append(Trial(steps, time.process_time() - began, bits, decoded, responses))
    return found


def of(trials: Sequence[Trial], response: str) -> list[float]:
    """List a response of the trials that were finished."""
    return [each.responses[response] for each in trials if each.responses is not None]


def summed_up(trials: Sequence[Trial], medians: dict[str, float], steps: int, by: str) -> Found:
    """Say in numbers what a search has found."""
    chosen = max(trials, key=lambda each: getattr(each, by))
    assert chosen.responses is not None
    late = trials[FIRST:]
    return Found(
        chosen.responses,
        {
            name: float(np.mean(np.array(of(late, name)) > median)) if of(late, name) else np.nan
            for name, median in medians.items()
        },
        1 - sum(each.steps for each in trials) / (steps * len(trials)),
        sum(each.seconds for each in trials),
    )


def correlations(trials: Sequence[Trial], response: str) -> str:
    """Say how well the scores inside the training order the trials as a response does."""
    from scipy.stats import spearmanr

    known = of(trials, response)
    found = {
        by: spearmanr([getattr(each, by) for each in trials], known).statistic
        for by in ("bits", "decoded")
    }
    return ", ".join(f"{by} {value:+.2f}" for by, value in found.items())


def paired(name: str, found: Sequence[Found], random: Sequence[Found]) -> str:
    """Compare a search with random over the repeats, pair by pair."""

    def difference(key: str, response: str) -> str:
        pairs = zip(found, random, strict=True)
        each = [getattr(a, key)[response] - getattr(b, key)[response] for a, b in pairs]
        error = np.std(each, ddof=1) / len(each) ** 0.5 if len(each) > 1 else np.nan
        wins = sum(value > 0 for value in each)
        return f"{np.mean(each):+.3f} (s.e. {error:.3f}, above in {wins} of {len(each)})"

    time_saved = 1 - sum(each.seconds for each in found) / sum(each.seconds for each in random)
    lines = [
        f"{name} - random: {np.mean([each.saved for each in found]):.0%} of the steps saved, "
        f"{time_saved:.0%} of random's processor time"
    ]
    lines += [
        f"  {response}: share in the better half {difference('better', response)}; of the chosen "
        f"{difference('chosen', response)}"
        for response in RESPONSES
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="number of the first repeat")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--length", type=int, default=3000)
    parser.add_argument("--by", choices=["decoded", "bits"], default="decoded")
    given = parser.parse_args()
    every: dict[str, list[Found]] = {name: [] for name in KINDS}
    for repeat in range(given.first, given.first + given.repeats):
        made = generate("poisson", seed=repeat, length=given.length, n_neurons=20)
        recording = grevy.make_recording(made.x, labels=[grevy.continuous(made.u, "u")])
        medians: dict[str, float] = {}
        print(f"repeat {repeat}")
        for name, (sampler, prune) in KINDS.items():
            search = Search(given.trials, sampler, prune, SPACE)
            trials = searched(recording, made.z, search, repeat, given.steps, given.by)
            if name == "random":
                for each in RESPONSES:
                    known = of(trials, each)
                    medians[each] = float(np.median(known))
                    print(
                        f"  {each}: {min(known):.3f} to {max(known):.3f}, median "
                        f"{medians[each]:.3f}; rank correlations {correlations(trials, each)}"
                    )
            found = summed_up(trials, medians, given.steps, given.by)
            every[name].append(found)
            said = ", ".join(
                f"{each}: chosen {found.chosen[each]:.3f}, {found.better[each]:.0%} of those after "
                f"{FIRST} in the better half"
                for each in RESPONSES
            )
            print(f"  {name:15} {said}; {found.saved:.0%} of steps saved", flush=True)
    for name in list(KINDS)[1:]:
        print(paired(name, every[name], every["random"]))


if __name__ == "__main__":
    main()
