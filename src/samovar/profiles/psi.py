"""The population stability index, with the noise that samples of this size show without any drift.

    PSI = sum over bins of (p_i - q_i) * ln(p_i / q_i),   p_i = (r_i + 1/2) / (R + B/2),   q_i = (c_i + 1/2) / (C + B/2)

with ``r`` and ``c`` the reference's and the current counts, ``R`` and ``C`` their sums, and ``B`` the bins that hold a row of
either. Half a row in each bin keeps an empty bin finite. PSI is the symmetric Kullback-Leibler divergence of the two histograms
(Jeffreys, 1946); the rule of thumb calls .1 a small and .25 a large shift.

Two samples of one distribution differ by chance: PSI is then about ``(1/R + 1/C)`` times a chi-square variable with ``B - 1``
degrees of freedom (a second-order expansion; Yurdakul, 2018), hence ``(B - 1) * (1/R + 1/C)`` on average. With 45 rows and
twelve bins that is a quarter. `excess` takes it off, so that one threshold serves small and large samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from samovar.profiles.profile import Profile

SMOOTHING = 0.5
"""Rows added to each bin."""


def psi(reference: Sequence[int], current: Sequence[int]) -> float:
    """Return the PSI of two counts over the same bins; 0 when either holds no row."""
    r, c = occupied(reference, current)
    if not r.sum() or not c.sum():
        return 0.0
    p = (r + SMOOTHING) / (r.sum() + SMOOTHING * r.size)
    q = (c + SMOOTHING) / (c.sum() + SMOOTHING * c.size)
    return float(np.sum((p - q) * np.log(p / q)))


def noise(reference: Sequence[int], current: Sequence[int]) -> float:
    """Return the PSI to expect of two samples of these sizes from one distribution; 0 when either holds no row."""
    r, c = occupied(reference, current)
    if not r.sum() or not c.sum():
        return 0.0
    return float((r.size - 1) * (1 / r.sum() + 1 / c.sum()))


def excess(reference: Sequence[int], current: Sequence[int]) -> float:
    """Return the PSI beyond its noise, at least 0: the effect that alarms and anomalies are judged by."""
    return max(0.0, psi(reference, current) - noise(reference, current))


def by_field(reference: Profile, current: Profile) -> dict[str, float]:
    """Return each feature's PSI beyond noise, between two profiles over the same bins."""
    return {old.name: excess(old.bins, new.bins) for old, new in zip(reference.fields, current.fields, strict=True)}


def occupied(reference: Sequence[int], current: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both counts without the bins that hold no row of either."""
    r, c = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    seen = (r + c) > 0
    return r[seen], c[seen]
