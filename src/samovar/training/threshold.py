"""The decision threshold of a binary model, chosen on probabilities of rows that the model was not fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from samovar.training.outcomes import Outcome

Policy = Literal["half", "max_f1"]


def choose(policy: Policy, outcome: Outcome) -> float:
    """Return the threshold: 0.5, or the one whose F1 of the positive class is largest.

    Halfway between two neighbouring probabilities, so that rounding moves no row across it.
    """
    return 0.5 if policy == "half" else _max_f1(outcome)


def report(outcome: Outcome) -> dict[str, float]:
    """Precision, recall and F1 of the positive class at the outcome's threshold."""
    said, true = outcome.score >= outcome.threshold, outcome.is_positive
    hits = float((said & true).sum())
    precision, recall = hits / max(float(said.sum()), 1.0), hits / max(float(true.sum()), 1.0)
    f1 = 2 * hits / max(float(said.sum() + true.sum()), 1.0)
    return {"precision": round(precision, 6), "recall": round(recall, 6), "f1": round(f1, 6)}


def _max_f1(outcome: Outcome) -> float:
    order = np.argsort(-outcome.score, kind="stable")
    score = outcome.score[order]
    hits = outcome.is_positive[order].cumsum()
    f1 = 2 * hits / (np.arange(1, score.size + 1) + max(int(hits[-1]), 1))
    last_of_its_score = np.r_[score[1:] != score[:-1], True]
    best = int(np.argmax(np.where(last_of_its_score, f1, -1.0)))
    below = score[best + 1] if best + 1 < score.size else 0.0
    return float((score[best] + below) / 2)
