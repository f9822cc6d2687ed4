"""Bootstrap intervals (percentile method; Efron & Tibshirani 1993, chapter 13), of one model or of two on the same rows."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from samovar.training.metrics import LOSSES, SCORES, value

if TYPE_CHECKING:
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


def estimate(name: str, outcome: Outcome, *, seed: int, confidence: float = 0.95, rounds: int = ROUNDS) -> Estimate:
    """One model's score or loss, with its interval over resampled rows."""
    return _interval(value(name, outcome), _replicates(name, outcome, rounds, seed), confidence)


def difference(  # noqa: PLR0913 - two models, and how to compare them
    name: str, first: Outcome, second: Outcome, *, seed: int, confidence: float = 0.95, rounds: int = ROUNDS
) -> Estimate:
    """Score of ``first`` minus score of ``second``, paired: each resample draws the same rows for both.

    Raises:
        ValueError: the two are not about the same rows.
    """
    if not np.array_equal(first.truth, second.truth):
        raise ValueError("two outcomes are paired only over the same rows")
    gained = _replicates(name, first, rounds, seed) - _replicates(name, second, rounds, seed)
    return _interval(value(name, first) - value(name, second), gained, confidence)


def _replicates(name: str, outcome: Outcome, rounds: int, seed: int) -> np.ndarray:
    """The score in every resample, shape (rounds,)."""
    function = SCORES.get(name) or LOSSES[name]
    rounds = max(_FEWEST, min(rounds, _MEMORY // outcome.truth.size))
    counts = _counts(outcome.truth.size, rounds, seed)
    at_once = max(1, _CHUNK // outcome.truth.size)
    parts = (counts[start : start + at_once].astype(float) for start in range(0, rounds, at_once))
    return np.concatenate([function(outcome, weights) for weights in parts])


@functools.lru_cache(maxsize=2)
def _counts(rows: int, rounds: int, seed: int) -> np.ndarray:
    """How often each row is drawn in each resample, shape (rounds, rows); one byte each, since nobody is drawn 256 times."""
    random = np.random.default_rng(seed)
    return np.stack([np.bincount(random.integers(0, rows, size=rows), minlength=rows).astype(np.uint8) for _ in range(rounds)])


def _interval(point: float, replicates: np.ndarray, confidence: float) -> Estimate:
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(replicates, [tail, 1 - tail])
    return Estimate(point, float(low), float(high))
