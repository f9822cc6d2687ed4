"""Could this difference be chance? A chi-square test of two histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import chdtrc

from samovar.profiles.psi import occupied

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST_EXPECTED = 3.0
"""Bins in which fewer rows than this are expected, judged by the reference alone, are pooled.

The chi-square distribution is wrong for rare bins. Pooling by the current counts as well would pick the bins that look odd, and
alarm by itself: with 105 and 45 rows that gave 6 false rejections in 100 at alpha = .01, this rule 0.3.
"""


class Test(NamedTuple):
    """Result of one test: Pearson's statistic, its degrees of freedom and the chance of one as large without drift."""

    statistic: float
    degrees: int
    p_value: float


def homogeneity(reference: Sequence[int], current: Sequence[int]) -> Test:
    """Test whether two counts over the same bins come from one distribution (Pearson's chi-square of a 2 x B table)."""
    r, c = occupied(reference, current)
    if not r.sum() or not c.sum():
        return Test(0.0, 0, 1.0)
    table = np.stack(_pooled(r, c))
    degrees = table.shape[1] - 1
    if degrees < 1:
        return Test(0.0, 0, 1.0)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return Test(statistic, degrees, float(chdtrc(degrees, statistic)))


def _pooled(r: NDArray[np.float64], c: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pool the bins that are rare in the reference; if they are rare even together, the next larger bin joins them."""
    order = np.argsort(r, kind="stable")
    r, c = r[order], c[order]
    expected = r * min(1.0, c.sum() / r.sum())
    rare = int((expected < LEAST_EXPECTED).sum())
    if 0 < rare < r.size and expected[:rare].sum() < LEAST_EXPECTED:
        rare += 1
    if rare < 2:
        return r, c
    return np.append(r[:rare].sum(), r[rare:]), np.append(c[:rare].sum(), c[rare:])
