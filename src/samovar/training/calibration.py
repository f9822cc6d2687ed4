"""Whether a binary model's probabilities need mending: Platt's sigmoid (1999), kept only where it helps on rows not fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression

from samovar.training.metrics import value
from samovar.training.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

_CERTAIN = 1e-6


def mended(raw: Outcome, estimator: Any, folds: Sequence[tuple[np.ndarray, np.ndarray]]) -> Outcome | None:
    """Out-of-fold outcome after a sigmoid fitted on the other folds; None when it does not help.

    Judged by log loss, which forgives overconfidence about rare things least.
    """
    assert raw.positive is not None
    seen = _as_calibrator_sees(raw, estimator)
    score = np.empty(raw.truth.size)
    for others, fold in folds:
        sigmoid = LogisticRegression(C=1e6).fit(seen[others, None], raw.is_positive[others])
        score[fold] = sigmoid.predict_proba(seen[fold, None])[:, 1]
    columns = (1 - score, score) if raw.positive == 1 else (score, 1 - score)
    better = Outcome(raw.truth, np.column_stack(columns), raw.positive)
    return better if value("neg_log_loss", better) > value("neg_log_loss", raw) else None


def calibrated(estimator: Any, folds: Sequence[tuple[np.ndarray, np.ndarray]]) -> Any:
    """Wrap an unfitted estimator: the sigmoid is fitted on out-of-fold scores, the estimator on all rows."""
    return CalibratedClassifierCV(estimator, method="sigmoid", cv=list(folds), ensemble=False)


def _as_calibrator_sees(raw: Outcome, estimator: Any) -> np.ndarray:
    """scikit-learn's calibrator works on decision values where an estimator has them, else on probabilities."""
    score = np.clip(raw.score, _CERTAIN, 1 - _CERTAIN)
    return np.log(score / (1 - score)) if hasattr(estimator, "decision_function") else raw.score
