"""Bootstrap intervals (percentile method; Efron & Tibshirani 1993, chapter 13), of one model or of two on the same rows.

Rows are drawn one by one, or, where they are in the order of time, in blocks of neighbours on a circle (Politis & Romano 1992).
"""

from __future__ import annotations

import functools
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from samovar.training import metrics
from samovar.training.metrics import value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.training.outcomes import Outcome

ROUNDS = 1000
_MEMORY = 200_000_000  # bytes of counts; beyond 200,000 rows an interval is so narrow that fewer rounds do
_FEWEST = 200
_CHUNK = 400_000  # weights worked on at once: 3 MB, which a processor's cache takes


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """As JSON, to six digits: more would be noise, and differ between machines."""
        return {name: round(number, 6) for name, number in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Sample:
    """A figure and what it was in every resample, shape (rounds,)."""

    value: float
    replicates: np.ndarray

    def interval(self, confidence: float) -> Estimate:
        """Return the figure with its two-sided interval."""
        return _interval(self.value, self.replicates, confidence)

    def p_value(self, bar: float) -> float:
        """Return the one-sided p-value of the figure being no higher than ``bar``: the share of resamples where it is not."""
        known = self.replicates[~np.isnan(self.replicates)]
        return float((1 + np.count_nonzero(known <= bar)) / (1 + known.size))

    def minus(self, other: Sample) -> Sample:
        """Return the difference, paired: both were drawn with the same rows."""
        return Sample(self.value - other.value, self.replicates - other.replicates)


def estimate(name: str, outcome: Outcome, *, seed: int, confidence: float = 0.95, rounds: int = ROUNDS) -> Estimate:
    """One model's score or loss, with its interval over resampled rows."""
    (found,) = samples(name, [outcome], seed=seed, rounds=rounds)
    return found.interval(confidence)


def difference(  # noqa: PLR0913 - two models, and how to compare them
    name: str, first: Outcome, second: Outcome, *, seed: int, confidence: float = 0.95, rounds: int = ROUNDS
) -> Estimate:
    """Score of ``first`` minus score of ``second``, paired: each resample draws the same rows for both.

    Raises:
        ValueError: the two are not about the same rows.
    """
    ours, theirs = samples(name, [first, second], seed=seed, rounds=rounds)
    return ours.minus(theirs).interval(confidence)


def samples(  # noqa: PLR0913 - models, rows, and how to draw them
    name: str, outcomes: Sequence[Outcome], *, seed: int, rounds: int = ROUNDS, block: int = 1, rows: np.ndarray | None = None
) -> list[Sample]:
    """Score models on the same resamples of the same rows.

    Args:
        name: a score or a loss.
        outcomes: of the models.
        seed: the same seed and number of rows, the same resamples.
        rounds: how many, fewer beyond 200,000 rows.
        block: neighbouring rows that are drawn together.
        rows: mask of a part of the rows, shape (n,), that alone is scored; the resamples are those of all.

    Raises:
        ValueError: the outcomes are not about the same rows.
    """
    if any(not np.array_equal(outcomes[0].truth, one.truth) for one in outcomes[1:]):
        raise ValueError("two outcomes are paired only over the same rows")
    score = metrics.function(name)
    size = outcomes[0].truth.size
    rounds = max(_FEWEST, min(rounds, _MEMORY // size))
    counts = _counts(size, rounds, seed, block)
    judged = list(outcomes) if rows is None else [one.only(rows) for one in outcomes]
    at_once = max(1, _CHUNK // size)
    found: list[list[np.ndarray]] = [[] for _ in outcomes]
    for start in range(0, rounds, at_once):
        part = counts[start : start + at_once]
        weights = (part if rows is None else part[:, rows]).astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):  # a resample without any row of a small part has no score
            for scores, one in zip(found, judged, strict=True):
                scores.append(score(one, weights))
    return [Sample(value(name, one), np.concatenate(scores)) for one, scores in zip(judged, found, strict=True)]


def weighted(name: str, outcome: Outcome, weights: np.ndarray, *, seed: int, rounds: int) -> Sample:
    """Score rows that stand for ``weights`` rows each, shape (n,)."""
    size = outcome.truth.size
    counts = np.vstack([np.ones(size), _counts(size, rounds, seed)])
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = metrics.function(name)(outcome, counts * weights)
    return Sample(float(scores[0]), scores[1:])


@functools.lru_cache(maxsize=3)  # of the whole, of its slices and of the rows asked about
def _counts(rows: int, rounds: int, seed: int, block: int = 1) -> np.ndarray:
    """How often each row is drawn in each resample, shape (rounds, rows); one byte each, since nobody is drawn 256 times."""
    random = np.random.default_rng(seed)
    if block > 1:
        return np.stack([_in_blocks(random, rows, block) for _ in range(rounds)])
    return np.stack([np.bincount(random.integers(0, rows, size=rows), minlength=rows).astype(np.uint8) for _ in range(rounds)])


def _in_blocks(random: np.random.Generator, rows: int, block: int) -> np.ndarray:
    """Draw blocks on a circle until there are as many rows as there were; the last block is cut."""
    starts = random.integers(0, rows, size=-(-rows // block))
    ends = starts + block
    ends[-1] -= starts.size * block - rows
    steps = np.bincount(starts, minlength=2 * rows + 1) - np.bincount(ends, minlength=2 * rows + 1)
    drawn = steps.cumsum()
    return np.asarray(drawn[:rows] + drawn[rows : 2 * rows]).astype(np.uint8)


def _interval(point: float, replicates: np.ndarray, confidence: float) -> Estimate:
    tail = (1 - confidence) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a score that no resample has: NaN says so
        low, high = np.nanquantile(replicates, [tail, 1 - tail])
    return Estimate(point, float(low), float(high))
