"""Scores, each as one function of an outcome and of row weights, so that a bootstrap is one more axis and not a loop.

Every function takes weights of shape (rounds, n) and gives (rounds,) values. With weights of one each they equal scikit-learn's
``accuracy_score``, ``f1_score(average="macro")``, ``average_precision_score``, ``roc_auc_score`` (one against the rest, macro, for
more than two classes), ``-log_loss``, ``cohen_kappa_score(weights="quadratic")`` and ``brier_score_loss``. A resample without any
positive row gives NaN where the score is undefined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.training.outcomes import Outcome

CALIBRATION_BINS = 10
_SMALLEST = np.finfo(np.float64).eps


def accuracy(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Share of rows whose predicted class is right."""
    return _mean(outcome.predicted == outcome.truth, weights)


def f1_macro(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """F1 of each class that occurs in the labels or the predictions, averaged without weights."""
    predicted = outcome.predicted
    scores = []
    for one in np.union1d(predicted, outcome.truth):
        said, true = predicted == one, outcome.truth == one
        hits = weights @ (said & true)
        total = weights @ said + weights @ true
        scores.append(np.divide(2 * hits, total, out=np.zeros_like(total), where=total > 0))
    return np.asarray(np.mean(scores, axis=0))


def average_precision(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Area under the precision-recall steps: the sum over distinct scores of precision times the gain in recall."""
    hits, rows = _falling(outcome.score, outcome.is_positive, weights)
    cumulative_hits, cumulative_rows = hits.cumsum(axis=1), rows.cumsum(axis=1)
    precision = np.divide(cumulative_hits, cumulative_rows, out=np.zeros_like(cumulative_rows), where=cumulative_rows > 0)
    return _divide((precision * hits).sum(axis=1), hits.sum(axis=1))


def roc_auc(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Chance that a positive row scores higher than a negative one, ties counting half."""
    if outcome.positive is not None:
        return _auc(outcome.score, outcome.is_positive, weights)
    each = [_auc(outcome.probabilities[:, one], outcome.truth == one, weights) for one in range(outcome.probabilities.shape[1])]
    return np.asarray(np.mean(each, axis=0))


def neg_log_loss(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Mean log-probability given to the true class."""
    given = outcome.probabilities[np.arange(outcome.truth.size), outcome.truth]
    return _mean(np.log(np.clip(given, _SMALLEST, 1.0)), weights)


def quadratic_kappa(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Cohen's kappa with squared distances (Cohen, 1968): 1 is perfect, 0 what chance gives. For classes that have an order."""
    said, true = outcome.predicted.astype(float), outcome.truth.astype(float)
    squares, rows = weights @ (said**2 + true**2), weights.sum(axis=1)
    by_chance = squares - 2 * (weights @ said) * (weights @ true) / rows
    return np.asarray(1 - _divide(weights @ (said - true) ** 2, by_chance))


def neg_mean_absolute_error(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Mean distance of the predicted from the true class, in classes, negated. For classes that have an order."""
    return -_mean(np.abs(outcome.predicted - outcome.truth), weights)


def adjacent_accuracy(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Share of rows whose predicted class is the true one or next to it. For classes that have an order."""
    return _mean(np.abs(outcome.predicted - outcome.truth) <= 1, weights)


def precision(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Share of true positives among the rows said to be positive; binary models, at their threshold."""
    said = outcome.score >= outcome.threshold
    return _divide(weights @ (said & outcome.is_positive), weights @ said)


def recall(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Share of the positive rows that are said to be positive; binary models, at their threshold."""
    said = outcome.score >= outcome.threshold
    return _divide(weights @ (said & outcome.is_positive), weights @ outcome.is_positive)


def f1(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall of the positive class; binary models, at their threshold."""
    said = outcome.score >= outcome.threshold
    return _divide(2 * (weights @ (said & outcome.is_positive)), weights @ said + weights @ outcome.is_positive)


def brier(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Mean squared error of the probabilities: of the positive class, or summed over more than two classes. Smaller is better."""
    if outcome.positive is not None:
        return _mean((outcome.score - outcome.is_positive) ** 2, weights)
    truth = np.eye(outcome.probabilities.shape[1])[outcome.truth]
    return _mean(((outcome.probabilities - truth) ** 2).sum(axis=1), weights)


def ece(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error: mean distance of stated from observed frequency over bins of equally many rows.

    Of the positive class's probability, or of the predicted class's with more than two classes. Smaller is better. Chance alone
    gives about ``sqrt(2 p (1 - p) bins / (pi n))``, so it is never zero on few rows.
    """
    stated, observed = stated_and_observed(outcome)
    bins = equal_mass_bins(stated)
    rows = np.stack([weights[:, bins == one].sum(axis=1) for one in np.unique(bins)])
    gaps = np.stack([np.abs(weights[:, bins == one] @ (stated - observed)[bins == one]) for one in np.unique(bins)])
    return np.asarray(gaps.sum(axis=0) / rows.sum(axis=0))


def ece_by_chance(outcome: Outcome, seed: int, rounds: int = 400) -> float:
    """Calibration error that a perfectly calibrated model stays under on these rows in 95 of 100 cases.

    Found by drawing what is observed from what was stated. An `ece` below it is no sign of miscalibration.
    """
    stated, _ = stated_and_observed(outcome)
    bins = equal_mass_bins(stated)
    random = np.random.default_rng(seed)
    gaps = [np.abs(np.bincount(bins, (random.random(stated.size) < stated) - stated)).sum() for _ in range(rounds)]
    return float(np.quantile(gaps, 0.95) / stated.size)


def stated_and_observed(outcome: Outcome) -> tuple[np.ndarray, np.ndarray]:
    """What the model is held to: the probability it stated, and whether the stated thing was true (0 or 1); both (n,)."""
    if outcome.positive is not None:
        return outcome.score, outcome.is_positive.astype(float)
    return outcome.probabilities.max(axis=1), (outcome.probabilities.argmax(axis=1) == outcome.truth).astype(float)


def equal_mass_bins(stated: np.ndarray, bins: int = CALIBRATION_BINS) -> np.ndarray:
    """Bin index of each row; equal probabilities never part, so there may be fewer bins than asked for."""
    edges = np.unique(np.quantile(stated, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, stated, side="right")


SCORES: dict[str, Callable[[Outcome, np.ndarray], np.ndarray]] = {
    "accuracy": accuracy,
    "f1_macro": f1_macro,
    "average_precision": average_precision,
    "roc_auc": roc_auc,
    "neg_log_loss": neg_log_loss,
    "quadratic_kappa": quadratic_kappa,
    "neg_mean_absolute_error": neg_mean_absolute_error,
    "adjacent_accuracy": adjacent_accuracy,
}
"""A project's metric by name; larger is better in all of them."""

OF_LABELS = frozenset({"accuracy", "f1_macro"})
"""Scores of the predicted labels alone."""

ORDINAL = frozenset({"quadratic_kappa", "neg_mean_absolute_error", "adjacent_accuracy"})
"""Scores that take the classes for steps of a scale."""

LOSSES: dict[str, Callable[[Outcome, np.ndarray], np.ndarray]] = {"brier": brier, "ece": ece}
"""Calibration; smaller is better."""

DECISIONS: dict[str, Callable[[Outcome, np.ndarray], np.ndarray]] = {"precision": precision, "recall": recall, "f1": f1}
"""What comes of a binary model's threshold; larger is better."""


def function(name: str) -> Callable[[Outcome, np.ndarray], np.ndarray]:
    """A figure's function by name; raises KeyError."""
    return (SCORES | LOSSES | DECISIONS)[name]


def applicable(outcome: Outcome) -> list[str]:
    """Names of the scores that mean something for the outcome's classes."""
    left_out = frozenset() if outcome.ordinal else ORDINAL
    if outcome.positive is None:
        left_out |= {"average_precision"}
    return [name for name in SCORES if name not in left_out]


def value(name: str, outcome: Outcome) -> float:
    """One score or loss over all rows, each counted once."""
    return float(function(name)(outcome, np.ones((1, outcome.truth.size)))[0])


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray((weights @ values) / weights.sum(axis=1))


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0))


def _falling(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of positives and of all rows at each distinct score, from the highest down; both (rounds, steps).

    Neighbouring scores without a positive are one step: no score looks inside, and frauds are few.
    """
    order = np.argsort(-score, kind="stable")
    ordered, hits = score[order], positive[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    has_hits = np.logical_or.reduceat(hits, starts)
    starts = starts[has_hits | np.r_[True, has_hits[:-1]]]
    rows = weights[:, order]
    return _hits(rows, np.flatnonzero(hits), starts), np.add.reduceat(rows, starts, axis=1)


def _hits(rows: np.ndarray, positives: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Add up the weight of the positives in each step, shape (rounds, steps); only their columns are read, for they are few."""
    sums = np.zeros((len(rows), len(starts)))
    if len(positives):
        steps, firsts = np.unique(np.searchsorted(starts, positives, side="right") - 1, return_index=True)
        sums[:, steps] = np.add.reduceat(rows[:, positives], firsts, axis=1)
    return sums


def _auc(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    hits, rows = _falling(score, positive, weights)
    misses = rows - hits
    above = misses.sum(axis=1, keepdims=True) - misses.cumsum(axis=1)  # negatives that score lower
    return _divide((hits * (above + misses / 2)).sum(axis=1), hits.sum(axis=1) * misses.sum(axis=1))
