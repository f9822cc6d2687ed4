"""Block lengths: how many neighbouring rows of a time series a resample has to draw together.

Rows of neighbouring times fail together (an outage, a campaign, a fraudster), so that resampling them one by one makes intervals
too narrow. Blocks of rows that follow each other keep what belongs together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from samovar.training.metrics import OF_LABELS

if TYPE_CHECKING:
    from samovar.training.outcomes import Outcome

_BOUND = 2.0  # correlations under this many standard errors are none


def block_length(metric: str, first: Outcome, second: Outcome) -> int:
    """Return the block length for the difference of two models in a metric; rows are in the order of time.

    The rule is `automatic` on the rows' differences: of right and wrong for metrics of predicted labels, of the probability that
    was given to the true class for the others. It is never under the cube root of the rows, the order that is right for weak
    dependence (Künsch 1989), since correlations too weak to be seen still count.
    """
    apart = _credit(metric, first) - _credit(metric, second)
    return max(automatic(apart), math.ceil(math.cbrt(apart.size)))


def automatic(series: np.ndarray) -> int:
    """Block length of a circular block bootstrap of the mean of n values, shape (n,): 1 where they are not correlated.

    Politis & White, "Automatic block-length selection for the dependent bootstrap", Econometric Reviews 23 (2004), with the
    correction of Patton, Politis & White, Econometric Reviews 28 (2009): ``(2 G^2 / D)^(1/3) n^(1/3)`` with ``D = 4/3 g(0)^2``,
    flat-top weights, at most ``min(3 sqrt(n), n / 3)``.
    """
    rows = series.size
    longest = max(1, math.floor(min(3 * math.sqrt(rows), rows / 3)))
    quiet = max(5, math.ceil(math.sqrt(math.log10(max(rows, 10)))))
    lags = min(rows - 1, math.ceil(math.sqrt(rows)) + quiet)
    covariance = _autocovariance(series, lags)
    if lags < 1 or covariance[0] <= 0:
        return 1
    width = min(2 * _last_lag(covariance / covariance[0], quiet, rows), lags)
    lag = np.arange(-width, width + 1)
    weights = np.clip(2 * (1 - np.abs(lag) / max(width, 1)), 0, 1)
    terms = weights * covariance[np.abs(lag)]
    slope, level = float((terms * np.abs(lag)).sum()), float(terms.sum())
    if level <= 0:
        return 1
    found = math.cbrt(2 * slope**2 / (4 / 3 * level**2) * rows)
    return int(min(max(1, math.ceil(found)), longest))


def _credit(metric: str, outcome: Outcome) -> np.ndarray:
    if metric in OF_LABELS:
        return np.asarray(outcome.predicted == outcome.truth, dtype=float)
    return np.asarray(outcome.probabilities[np.arange(outcome.truth.size), outcome.truth])


def _autocovariance(series: np.ndarray, lags: int) -> np.ndarray:
    """Return the autocovariance at lags 0 to ``lags``."""
    apart = series - series.mean()
    return np.asarray([apart[: apart.size - lag] @ apart[lag:] / apart.size for lag in range(lags + 1)])


def _last_lag(correlation: np.ndarray, quiet: int, rows: int) -> int:
    """Return the lag after which the next ``quiet`` correlations are all insignificant."""
    loud = np.flatnonzero(np.abs(correlation[1:]) >= _BOUND * math.sqrt(math.log10(max(rows, 10)) / rows)) + 1
    last = 0
    for lag in loud:
        if lag > last + quiet:
            break
        last = int(lag)
    return last


__all__ = ["automatic", "block_length"]
