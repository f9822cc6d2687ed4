"""Statistics that several parts share: many tests at once, and tests that may be looked at as often as one likes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values of one family, so that the chance of any false rejection stays under alpha (Holm, 1979)."""
    corrected = [0.0] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = worst
    return corrected


def mixture_p(apart: float, spread: float, width: float) -> float:
    """Return the always-valid p-value of a sum ``apart`` with mean zero and variance ``spread``.

    The likelihood ratio is mixed over a normal prior of the drift (Robbins 1970); its inverse is a p-value at every look at once,
    by Ville's inequality. The test is sharpest where the variance is about eight times ``width``.
    """
    return min(1.0, math.sqrt((spread + width) / width) * math.exp(-apart * apart / (2.0 * (spread + width))))


def mixture_radius(spread: float, width: float, alpha: float) -> float:
    """Return how far such a sum may be from its mean at any look, but for a chance of ``alpha``: where `mixture_p` equals it."""
    return math.sqrt((spread + width) * (math.log((spread + width) / width) - 2.0 * math.log(alpha)))


__all__ = ["holm", "mixture_p", "mixture_radius"]
