"""Block bootstrap of a series in time: resampled weights, block length, intervals.

Neighbouring errors resemble each other, so resampling single steps would promise far too much.
Blocks of consecutive steps are resampled instead, which keeps what happens within them (Künsch,
Annals of Statistics 1989); the series is closed to a circle, so that every step has the same part
in it (Politis and Romano, 1992).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from grevy.data import Array, Float64Array

CONFIDENCE = 0.95

MIN_RESAMPLES = 100
"""Fewer do not make an interval."""

LENGTHENING = 3
"""How many times longer blocks are than the length that is best for a variance.

That length balances bias and spread of the estimated variance. For an interval to hold what it
promises the bias weighs more, and longer blocks do better (Sun, Phillips and Jin, Econometrica
2008); the factor was set by simulation, see `benchmarks/intervals.py`.
"""

MIN_BLOCKS = 4
"""Blocks are short enough for so many of them to fill the series."""

MAX_CELLS = 4000
"""A longer series is resampled in cells of several consecutive steps, so many at most."""

MAX_NUMBERS = 2**19
"""The most numbers that resamples hold in memory at once."""


@dataclass(frozen=True)
class Bend:
    """A scale on which a score's spread is about even and an interval stays in its range.

    Attributes
    ----------
    there, back : callable
        From the score to the scale, and back; increasing or decreasing.
    """

    there: Callable[[Float64Array], Float64Array]
    back: Callable[[Float64Array], Float64Array]


_TINY = 1e-300
R2 = Bend(lambda r2: np.log(np.maximum(1 - r2, _TINY)), lambda x: 1 - np.exp(np.minimum(x, 700)))
ERROR = Bend(lambda error: np.log(np.maximum(error, _TINY)), lambda x: np.exp(np.minimum(x, 700)))
FRACTION = Bend(
    lambda p: np.arcsin(np.sqrt(np.clip(p, 0, 1))),
    lambda x: np.sin(np.clip(x, 0, np.pi / 2)) ** 2,
)
AS_IT_IS = Bend(lambda difference: difference, lambda x: x)
CORRELATION = Bend(lambda r: np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15)), np.tanh)


def block_length(series: Array) -> float:
    r"""Estimate the block length that estimates the variance of a series' mean best.

    By Politis and White (Econometric Reviews 2004, section 3.2, circular bootstrap) as corrected
    by Patton, Politis and White (ibid. 2009):

    .. math:: b = \left(\frac{2 G^2}{D}\right)^{1/3} n^{1/3}, \quad
              G = \sum_k \lambda(k/M) |k| R(k), \quad
              D = \frac{4}{3} \left(\sum_k \lambda(k/M) R(k)\right)^2

    with the autocovariances R, the flat-top window lambda, and M twice the lag after which
    max(5, sqrt(log10 n)) correlations in a row are below 2 sqrt(log10(n) / n).

    Parameters
    ----------
    series : ndarray of shape (n,)

    Returns
    -------
    float
        In steps; from 1 to the smaller of 3 sqrt(n) and n / 3.
    """
    n = len(series)
    if n < 8:
        return 1.0
    spread = series - series.mean()
    power = np.abs(np.fft.rfft(spread, 2 * n)) ** 2
    run = max(5, int(np.ceil(np.sqrt(np.log10(n)))))
    last = min(int(np.ceil(np.sqrt(n))) + run, n - 1)
    covariance = np.fft.irfft(power)[: last + 1] / n
    if covariance[0] <= 1e-24 * float(np.square(series).mean()):
        return 1.0  # constant
    window = min(2 * max(_last_correlated(covariance / covariance[0], n, run), 1), last)
    lags = np.arange(-window, window + 1)
    weighted = np.minimum(1.0, 2 * (1 - np.abs(lags) / window)) * covariance[np.abs(lags)]
    total = float(weighted.sum())
    if total == 0:
        return 1.0
    slope = float((np.abs(lags) * weighted).sum())
    best = (1.5 * (slope / total) ** 2 * n) ** (1 / 3)
    return float(np.clip(best, 1.0, min(3 * np.sqrt(n), n / 3)))


def _last_correlated(correlation: Float64Array, n: int, run: int) -> int:
    """Find the lag after which so many in a row are within chance, or the last beyond it."""
    beyond = np.abs(correlation[1:]) >= 2 * np.sqrt(np.log10(n) / n)
    followed = np.convolve(beyond, np.ones(run), "valid")  # of those from each lag on
    quiet = np.flatnonzero(followed == 0)
    if len(quiet):
        return int(quiet[0])
    return int(np.flatnonzero(beyond)[-1]) + 1


@dataclass(frozen=True, eq=False)
class Blocks:
    """How a series of n steps is resampled.

    Attributes
    ----------
    cells : ndarray of shape (n,)
        To which cell of consecutive steps each step belongs; one step each unless n is large.
    n_cells, length : int
        How many there are, and how many make a block.
    """

    cells: npt.NDArray[np.int64]
    n_cells: int
    length: int

    @property
    def n_blocks(self) -> float:
        """How many blocks fill the series."""
        return self.n_cells / self.length

    def sums(self, summands: Any) -> Any:
        """Sum the rows of each cell: (n, M), sparse or not, to (n_cells, M)."""
        from scipy.sparse import csr_array

        n = len(self.cells)
        member = csr_array((np.ones(n), (self.cells, np.arange(n))), (self.n_cells, n))
        return member @ summands

    def weights(
        self, n_resamples: int, width: int, rng: np.random.Generator
    ) -> Iterator[Float64Array]:
        """Draw how often each cell comes in each resample: (some resamples, n_cells) at a time."""
        n_drawn = int(np.ceil(self.n_blocks))
        at_once = max(1, MAX_NUMBERS // max(self.n_cells, width))
        for first in range(0, n_resamples, at_once):
            size = min(at_once, n_resamples - first)
            starts = rng.integers(0, self.n_cells, (size, n_drawn))
            starts += self.n_cells * np.arange(size)[:, None]
            begun = np.bincount(starts.ravel(), minlength=size * self.n_cells)
            begun = begun.reshape(size, self.n_cells)
            around = np.concatenate([begun[:, self.n_cells - self.length :], begun], axis=1)
            running = np.cumsum(around, axis=1, dtype=np.float64)
            yield running[:, self.length :] - running[:, : -self.length]


def cut_blocks(series: Array) -> Blocks:
    """Decide how to resample a series, from what it depends on.

    The blocks are `LENGTHENING` times the longest `block_length` of any column.

    Parameters
    ----------
    series : ndarray of shape (n, S)
        Whatever autocorrelation matters to the scores.
    """
    n = len(series)
    longest = max(block_length(column) for column in series.T)
    cell = int(np.ceil(n / MAX_CELLS))
    n_cells = int(np.ceil(n / cell))
    length = round(LENGTHENING * longest / cell)
    length = int(np.clip(length, 1, max(1, n_cells // MIN_BLOCKS)))
    return Blocks(np.arange(n) // cell, n_cells, length)


def interval(
    estimate: float, resampled: Array, bend: Bend, n_blocks: float
) -> tuple[float, float] | None:
    """Make a confidence interval of a score's resampled values.

    On the scale of `bend`: centred on the estimate less the bootstrap's bias (its median less the
    estimate), with the bootstrap's standard deviation and the quantile of Student's t with one
    degree of freedom less than there are blocks. The sum of squares of so few blocks about their
    own mean is too small by (n_blocks - 1) / n_blocks, which is made good (as for plain resampling
    in Hesterberg, The American Statistician 2015, section 3.2).

    Parameters
    ----------
    estimate : float
    resampled : ndarray of shape (R,)
        Values that are not finite are left out.
    bend : Bend
    n_blocks : float
        How many blocks fill the series.

    Returns
    -------
    tuple of float or None
        (low, high); None if most resamples have no value.
    """
    from scipy.stats import t

    values = bend.there(resampled[np.isfinite(resampled)])
    if not np.isfinite(estimate) or len(values) < len(resampled) / 2:
        return None
    middle = bend.there(np.asarray(estimate))
    centre = 2 * middle - np.median(values)
    freedom = max(n_blocks - 1, 1.0)
    reach = t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(1 + 1 / freedom) * values.std()
    ends = bend.back(np.array([centre - reach, centre + reach]))
    return float(ends.min()), float(ends.max())
