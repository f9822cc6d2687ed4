"""Who is better online? A test of two groups of rows that may be looked at as often as one likes, and stopped at any look.

Every figure is a mean over rows: the share of right answers, of right alarms among the alarms, of found among the positives, or the
mean log-probability of what came true. Rows of one entity are no independent draws, so that the variance is that of entities' sums
(Liang & Zeger, Biometrika 73, 1986).

The difference of the two means, times the information I = 1 / variance, behaves as a Brownian motion with a drift in I, however the
shares of the traffic change, as long as they do not follow the answers (Jennison & Turnbull, JASA 92, 1997). Mixing its likelihood
ratio over a normal prior (Robbins, Annals of Mathematical Statistics 41, 1970) gives an interval that holds at all looks at once;
with an estimated variance it does so for many rows (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Annals of Statistics 52, 2024).
Few rows are therefore told to be too early.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from samovar.statistics import mixture_p, mixture_radius

ALPHA = 0.05
_LEAST_ROWS = 100  # of each group
_LEAST_EVENTS = 10  # hits, and misses: of fewer, nobody knows the spread
_WIDTH = 250.0  # rows: the test is sharpest at eight times as many, which are 4,000 of each group

Verdict = Literal["challenger", "champion", "undecided", "too early"]


@dataclass(frozen=True, slots=True)
class Sums:
    """One group of rows.

    Attributes:
        rows: n.
        total: sum of their values.
        squares: sum over entities of their sums squared.
        products: sum over entities of their sums times their rows.
        sizes: sum over entities of their rows squared.
        entities: how many there are.
    """

    rows: int
    total: float
    squares: float
    products: float
    sizes: float
    entities: int

    @property
    def mean(self) -> float:
        """Mean value of a row."""
        return self.total / self.rows if self.rows else math.nan

    @property
    def variance(self) -> float:
        """Variance of the mean, of entities that are drawn at random."""
        if self.entities < 2:
            return math.inf
        mean = self.mean
        spread = self.squares - 2 * mean * self.products + mean * mean * self.sizes
        return max(spread, 0.0) / (self.rows * self.rows) * self.entities / (self.entities - 1)


def of_shares(hits: int, rows: int) -> Sums:
    """Make the sums of n rows of an entity each, of which some are hits."""
    return Sums(rows, hits, hits, hits, rows, rows)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Challenger minus champion.

    Attributes:
        challenger: mean of its rows.
        champion: mean of its rows.
        difference: of the two.
        low: lower end of the anytime-valid interval.
        high: upper end.
        p: always-valid p-value of the two being equal.
        rows: of the challenger and of the champion.
        verdict: who is better; ``too early`` with few rows.
    """

    challenger: float
    champion: float
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    rows: tuple[int, int]
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """As JSON, figures to six digits; what is not known is null."""
        told = {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in told.items()}


def compare(  # noqa: PLR0913 - two groups, and how to compare them
    challenger: Sums, champion: Sums, *, alpha: float = ALPHA, margin: float = 0.0, comparisons: int = 1, binary: bool = True
) -> Comparison:
    """Compare two groups at any look.

    Args:
        challenger: its rows.
        champion: its rows.
        alpha: chance that the interval ever misses the truth, of all looks together.
        margin: the challenger is better when it is so by more than this.
        binary: whether a row's value is 0 or 1.
        comparisons: how many challengers are compared: each gets its share of alpha (Bonferroni).
    """
    counts = (challenger.rows, champion.rows)
    known = (challenger.mean, champion.mean)
    if min(counts) < _LEAST_ROWS or min(_events(one, binary=binary) for one in (challenger, champion)) < _LEAST_EVENTS:
        return Comparison(*known, None, None, None, None, counts, "too early")
    difference = known[0] - known[1]
    # In units of the spread of a row, information is a number of rows: that of two groups, one half of their harmonic mean.
    rows = counts[0] * counts[1] / (counts[0] + counts[1])
    spread = math.sqrt(rows * (challenger.variance + champion.variance))
    p = min(1.0, comparisons * mixture_p(difference / spread * rows, rows, _WIDTH))
    radius = mixture_radius(rows, _WIDTH, alpha / comparisons) / rows * spread
    low, high = difference - radius, difference + radius
    verdict: Verdict = "challenger" if low > margin else "champion" if high < margin and high < 0 else "undecided"
    return Comparison(*known, difference, low, high, p, counts, verdict)


def compare_paired(
    differences: Sums, challenger: float, champion: float, *, alpha: float = ALPHA, margin: float = 0.0
) -> Comparison:
    """Compare two versions that answered the same rows at any look.

    Args:
        differences: what the challenger is worth on each row, less what the champion is.
        challenger: mean of its rows.
        champion: mean of its rows.
        alpha: chance that the interval ever misses the truth, of all looks together.
        margin: the challenger is better when it is so by more than this.
    """
    rows = differences.rows
    counts = (rows, rows)
    if rows < _LEAST_ROWS or _differing(differences) < _LEAST_EVENTS:
        return Comparison(challenger, champion, None, None, None, None, counts, "too early")
    spread = math.sqrt(rows * differences.variance)
    difference = differences.mean
    radius = mixture_radius(rows, _WIDTH, alpha) / rows * spread
    low, high = difference - radius, difference + radius
    verdict: Verdict = "challenger" if low > margin else "champion" if high < margin and high < 0 else "undecided"
    return Comparison(
        challenger, champion, difference, low, high, mixture_p(difference / spread * rows, rows, _WIDTH), counts, verdict
    )


def _differing(differences: Sums) -> float:
    """Return how many rows, at least, the two differ on: a difference is one at most where values are 0 or 1."""
    return differences.squares if differences.variance > 0 else 0.0


def _events(group: Sums, *, binary: bool) -> float:
    """Return what a mean rests on: the fewer of hits and misses, where values are 0 or 1; else entities that differ at all."""
    if group.entities < 2 or group.variance <= 0:
        return 0.0
    return min(group.total, group.rows - group.total) if binary else float(group.entities)


__all__ = ["ALPHA", "Comparison", "Sums", "Verdict", "compare", "of_shares"]
