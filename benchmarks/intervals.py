"""Do the 95 % intervals hold what they promise? Simulated recordings, one after another.

Each has an embedding of slow columns and a label that depends on some of them, linearly or not,
plus slow noise of its own (Ornstein-Uhlenbeck processes). Length, time constants and strength of
the relation are drawn anew each time. The decoder of `grevy.decode` is chosen and fitted on the
training, its R2 and interval come from the held-out blocks; the truth is the R2 of the same decoder
on a stretch of 200 000 later steps that nothing else has seen.

With the difference of two embeddings it is the same: the second holds the same columns with slow
noise of its own on top, from none worth mentioning to more than there is signal.
"""

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from grevy.data import Split, blocked_split, continuous
from grevy.evaluation import gain, prepare

LATER, EVERY = 200_000, 10
GAP = 20

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """One interval, and what is true."""

    value: float
    low: float
    high: float
    truth: float

    @property
    def covered(self) -> bool:
        """Whether the interval holds the true value."""
        return self.low <= self.truth <= self.high


@dataclass(frozen=True)
class Trial:
    """One simulated recording: what was drawn, estimated and true."""

    length: int
    slowness: float
    r2: Estimate
    gain: Estimate


def ornstein_uhlenbeck(
    rng: np.random.Generator, length: int, width: int, time_constant: float
) -> Floats:
    """Draw stationary columns of variance 1 whose autocorrelation is exp(-lag / time_constant)."""
    decay = np.exp(-1 / time_constant)
    drive = np.sqrt(1 - decay**2) * rng.normal(size=(length, width))
    drive[0] /= np.sqrt(1 - decay**2)
    return np.asarray(lfilter([1.0], [1.0, -decay], drive, axis=0))


def simulate(seed: int, n_bootstrap: int = 1000) -> Trial:
    rng = np.random.default_rng(seed)
    length = int(np.exp(rng.uniform(np.log(2000), np.log(10_000))))
    of_columns, of_noise = np.exp(rng.uniform(np.log(2), np.log(40), size=2))
    explained, n_dimensions = rng.uniform(0.1, 0.85), int(rng.integers(1, 3))
    total = length + LATER
    columns = ornstein_uhlenbeck(rng, total, 5, of_columns)
    signal = columns[:, :3] @ rng.normal(size=(3, n_dimensions))
    if rng.random() < 0.5:
        signal = np.sin(1.5 * signal)
    signal /= signal.std(axis=0)
    noise = ornstein_uhlenbeck(rng, total, n_dimensions, of_noise)
    label = continuous(np.sqrt(explained) * signal + np.sqrt(1 - explained) * noise)
    of_other, amount = np.exp(rng.uniform(np.log(2), np.log(40))), rng.uniform(0.05, 1.2)
    other = columns + amount * ornstein_uhlenbeck(rng, total, 5, of_other)

    split = blocked_split(np.array([[0, length]]), 0.2, GAP)
    # The same training, so the same decoder, tested on the later steps.
    later = Split(split.train, np.arange(length + 1000, total, EVERY))
    first, second = (
        [prepare(each.astype(np.float32), at, gap=GAP) for at in (split, later)]
        for each in (columns, other)
    )
    found = first[0].decode(label, n_bootstrap)
    assert found.decoder == first[1].decode(label, 0).decoder
    r2 = Estimate(found.statistic, *found.intervals["test_r2"], first[1].statistic(label))
    paired = gain(
        label, label.values[split.test], first[0].read(label).decoded,
        second[0].read(label).decoded, n_bootstrap, 0,
    )  # fmt: skip
    assert paired.interval is not None
    truth = first[1].statistic(label) - second[1].statistic(label)
    slowness = max(of_columns, of_noise)
    return Trial(length, slowness, r2, Estimate(paired.value, *paired.interval, truth))


def coverage(estimates: list[Estimate], what: str) -> str:
    covered = np.mean([each.covered for each in estimates])
    error = np.sqrt(covered * (1 - covered) / len(estimates))
    width = np.median([each.high - each.low for each in estimates])
    above = np.mean([each.truth > each.high for each in estimates])
    return (
        f"{len(estimates)} simulations: the 95 % interval holds {what} of the later steps in "
        f"{covered:.1%} (standard error {error:.1%}); it lies above in {above:.1%}. Median width "
        f"{width:.2f}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="seed of the first simulation")
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--verbose", action="store_true", help="print every simulation")
    options = parser.parse_args()
    trials = []
    for seed in range(options.first, options.first + options.number):
        trials.append(simulate(seed))
        if options.verbose:
            print(seed, trials[-1], flush=True)
    print(coverage([trial.r2 for trial in trials], "the R2"))
    print(coverage([trial.gain for trial in trials], "the difference of two R2"))


if __name__ == "__main__":
    main()
