"""Is a split what it was set to be? A test that may be looked at whenever one likes.

Rows of one customer are no independent draws, so rows are counted in groups of customers, each customer in one of them whatever the
split (`samovar.serving.traffic.assignment`); the spread between groups says how far chance can go. The p-value is of a normal
mixture (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
Annals of Statistics 2021): that it is below ``ALPHA`` at any look at all has that probability where everything is well.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import msgspec

from samovar.statistics import mixture_p

if TYPE_CHECKING:
    from collections.abc import Sequence

ALPHA = 0.001
"""An alarm that says an experiment is broken must be right: the level that experiments' own checks commonly use."""

_EARLY = 50
"""Fewest groups with rows: below, one odd customer decides."""

_HORIZON = 600.0  # rows, over 16: the test is sharpest around ten thousand
_SPREAD = 1.1  # 2,048 groups know their spread to 3 %: three of those for safety

Verdict = Literal["as set", "mismatch", "too early"]


class Ratio(msgspec.Struct, frozen=True):
    """The share of one alias.

    Attributes:
        rows: rows that it answered.
        total: rows of the split.
        expected: share that is set, 0 to 1.
        p: the always-valid p-value; None while it is too early.
        verdict: see ``Verdict``.
    """

    rows: int
    total: int
    expected: float
    p: float | None
    verdict: Verdict


def check(answered: Sequence[float], total: Sequence[float], expected: float, comparisons: int = 1) -> Ratio:
    """Compare an alias's rows with its share.

    Args:
        answered: rows that it answered, of each group of entities.
        total: all rows of the split, of each group.
        expected: its share, 0 to 1.
        comparisons: how many aliases are compared: the p-value is Bonferroni's.
    """
    rows, seen = sum(answered), sum(1 for count in total if count)
    counted = (int(rows), int(sum(total)), expected)
    if seen < min(_EARLY, len(total)):
        return Ratio(*counted, None, "too early")
    apart = [mine - expected * count for mine, count in zip(answered, total, strict=True)]
    chance = expected * (1.0 - expected)
    # What chance does at least: few rows of a small share say little about their own spread.
    entities = -len(total) * math.log(max(1.0 - seen / len(total), 1.0 / len(total)))
    least = chance * sum(count * count for count in total) * seen / max(entities, seen)
    spread = max(_SPREAD * sum(value * value for value in apart), least)
    sum_ = _unskewed(sum(apart), sum(value * value * value for value in apart), spread)
    p = min(1.0, comparisons * mixture_p(sum_, spread, max(chance, 1e-6) * _HORIZON))
    return Ratio(*counted, p, "mismatch" if p < ALPHA else "as set")


def _unskewed(total: float, cubes: float, spread: float) -> float:
    """Return a sum as if its terms were not skewed (Hall 1992, JRSS B 54): a small share is missed more often than exceeded."""
    if spread <= 0:
        return total
    deviations, skew = total / math.sqrt(spread), cubes / (spread * math.sqrt(spread))
    bent = skew * deviations
    mended = deviations * (1.0 + bent / 3 + bent * bent / 27) + skew / 6
    return mended * math.sqrt(spread)


def wilson(part: float, whole: float, deviations: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval of a share (95 % by default); (0, 1) when nothing was counted. Wilson 1927, JASA 22."""
    if whole <= 0:
        return 0.0, 1.0
    share, square = part / whole, deviations * deviations
    middle = share + square / (2 * whole)
    half = deviations * math.sqrt(share * (1 - share) / whole + square / (4 * whole * whole))
    return max(0.0, (middle - half) / (1 + square / whole)), min(1.0, (middle + half) / (1 + square / whole))
