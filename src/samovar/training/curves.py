"""ROC and precision-recall curves of the held-out rows, thinned so that a document holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from samovar.contracts.spec import Scalar
    from samovar.training.outcomes import Outcome

_POINTS = 120

Curve = dict[str, list[float]]


def curves(outcome: Outcome, classes: tuple[Scalar, ...]) -> dict[str, dict[str, Curve]]:
    """Both curves: of the positive class, or of each class against the rest.

    Returns:
        class -> ``roc`` (``false_positive_rate``, ``true_positive_rate``) and ``precision_recall`` (``recall``, ``precision``). A
        class without a row, or without a row of another class, has none.
    """
    shown = range(len(classes)) if outcome.positive is None else (outcome.positive,)
    found = {}
    for one in shown:
        truth = outcome.truth == one
        if 0 < truth.sum() < truth.size:
            found[str(classes[one])] = _both(outcome.probabilities[:, one], truth)
    return found


def _both(score: np.ndarray, truth: np.ndarray) -> dict[str, Curve]:
    order = np.argsort(-score, kind="stable")
    last = np.r_[score[order][1:] != score[order][:-1], True]  # rows of one score are said positive together
    hits, said = truth[order].cumsum()[last], np.flatnonzero(last) + 1
    recall, false_rate = hits / hits[-1], (said - hits) / (truth.size - hits[-1])
    roc = _thin(np.r_[0.0, false_rate], np.r_[0.0, recall])
    precise = _thin(recall, hits / said)
    return {
        "roc": {"false_positive_rate": roc[0], "true_positive_rate": roc[1]},
        "precision_recall": {"recall": precise[0], "precision": precise[1]},
    }


def _thin(x: np.ndarray, y: np.ndarray) -> tuple[list[float], list[float]]:
    """Keep points at even steps along the curve, its ends among them."""
    if x.size > _POINTS:
        way = np.r_[0.0, (np.abs(np.diff(x)) + np.abs(np.diff(y))).cumsum()]
        kept = np.unique(np.r_[0, np.searchsorted(way, np.linspace(0, way[-1], _POINTS)), x.size - 1])
        x, y = x[kept], y[kept]
    return x.round(5).tolist(), y.round(5).tolist()
