"""Bootstrap intervals (percentile method; Efron & Tibshirani 1993, chapter 13), of one model or of two on the same rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from samovar.training.metrics import LOSSES, SCORES, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samovar.training.outcomes import Outcome

ROUNDS = 1000
_CHUNK = 4_000_000  # weights held at once: 32 MB


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
    function = SCORES.get(name) or LOSSES[name]
    replicates = [function(outcome, weights) for weights in _weights(outcome.truth.size, rounds, seed)]
    return _interval(value(name, outcome), np.concatenate(replicates), confidence)


def difference(  # noqa: PLR0913 - two models, and how to compare them
    name: str, first: Outcome, second: Outcome, *, seed: int, confidence: float = 0.95, rounds: int = ROUNDS
) -> Estimate:
    """Score of ``first`` minus score of ``second``, paired: each resample draws the same rows for both.

    Raises:
        ValueError: the two are not about the same rows.
    """
    if not np.array_equal(first.truth, second.truth):
        raise ValueError("two outcomes are paired only over the same rows")
    function = SCORES.get(name) or LOSSES[name]
    replicates = [function(first, weights) - function(second, weights) for weights in _weights(first.truth.size, rounds, seed)]
    return _interval(value(name, first) - value(name, second), np.concatenate(replicates), confidence)


def _weights(rows: int, rounds: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row is drawn: (some rounds, rows) at a time, so that memory stays bounded."""
    random = np.random.default_rng(seed)
    at_once = max(1, _CHUNK // rows)
    for start in range(0, rounds, at_once):
        count = min(at_once, rounds - start)
        drawn = random.integers(0, rows, size=(count, rows)) + np.arange(count)[:, None] * rows
        yield np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows).astype(float)


def _interval(point: float, replicates: np.ndarray, confidence: float) -> Estimate:
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(replicates, [tail, 1 - tail])
    return Estimate(point, float(low), float(high))
