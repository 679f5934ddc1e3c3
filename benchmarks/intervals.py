"""Do the 95 % intervals of R2 hold what they promise? Simulated recordings, one after another.

Each has an embedding of slow columns and a label that depends on some of them, linearly or not,
plus slow noise of its own (Ornstein-Uhlenbeck processes). Length, time constants and strength of
the relation are drawn anew each time. The decoder of `grevy.decode` is chosen and fitted on the
training, its R2 and interval come from the held-out blocks; the truth is the R2 of the same decoder
on a stretch of 200 000 later steps that nothing else has seen.
"""

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from grevy.data import Split, blocked_split, continuous
from grevy.evaluation import prepare

LATER, EVERY = 200_000, 10
GAP = 20

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """One simulated recording: what was drawn, estimated and true."""

    length: int
    slowness: float
    estimate: float
    low: float
    high: float
    truth: float

    @property
    def covered(self) -> bool:
        """Whether the interval holds the true value."""
        return self.low <= self.truth <= self.high


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
    embedding = columns.astype(np.float32)

    split = blocked_split(np.array([[0, length]]), 0.2, GAP)
    # The same training, so the same decoder, tested on the later steps.
    later = Split(split.train, np.arange(length + 1000, total, EVERY))
    found = prepare(embedding, split, gap=GAP).decode(label, n_bootstrap)
    again = prepare(embedding, later, gap=GAP).decode(label, 0)
    assert found.decoder == again.decoder
    low, high = found.intervals["test_r2"]
    slowness = max(of_columns, of_noise)
    return Trial(length, slowness, found.statistic, low, high, again.statistic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="seed of the first simulation")
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--verbose", action="store_true", help="print every simulation")
    options = parser.parse_args()
    trials = []
    for seed in range(options.first, options.first + options.number):
        trial = simulate(seed)
        trials.append(trial)
        if options.verbose:
            print(seed, trial, trial.covered, flush=True)
    covered = np.mean([trial.covered for trial in trials])
    error = np.sqrt(covered * (1 - covered) / len(trials))
    width = np.median([trial.high - trial.low for trial in trials])
    above = np.mean([trial.truth > trial.high for trial in trials])
    print(
        f"{len(trials)} simulations: the 95 % interval holds the R2 of the later steps in "
        f"{covered:.1%} (standard error {error:.1%}); it lies above in {above:.1%}. Median width "
        f"{width:.2f}."
    )


if __name__ == "__main__":
    main()
