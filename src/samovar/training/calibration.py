"""Mending a binary model's probabilities on rows not fitted on: Platt's sigmoid (1999), or a rising curve of steps (isotonic).

The steps fit any bend, and need thousands of rows to (Niculescu-Mizil & Caruana 2005); the sigmoid does with a few hundred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from samovar.training.metrics import value
from samovar.training.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.project import Calibration

Method = Literal["sigmoid", "isotonic"]

_CERTAIN = 1e-6


def mended(
    raw: Outcome, estimator: Any, folds: Sequence[tuple[np.ndarray, np.ndarray]], wanted: Calibration = "auto"
) -> tuple[Outcome, Method | None]:
    """Out-of-fold outcome after a curve fitted on the other folds, and which curve; the raw one and None where it stays as it is.

    A curve that was asked for is always taken; by itself a sigmoid, if it helps. That is judged by log loss, which forgives
    overconfidence about rare things least.
    """
    if raw.positive is None or wanted == "none":
        return raw, None
    if wanted != "auto":
        return _mended(raw, estimator, folds, wanted), wanted
    better = _mended(raw, estimator, folds, "sigmoid")
    return (better, "sigmoid") if value("neg_log_loss", better) > value("neg_log_loss", raw) else (raw, None)


def _mended(raw: Outcome, estimator: Any, folds: Sequence[tuple[np.ndarray, np.ndarray]], method: Method) -> Outcome:
    assert raw.positive is not None
    seen = _as_calibrator_sees(raw, estimator)
    score = np.empty(raw.truth.size)
    for others, fold in folds:
        score[fold] = _CURVES[method](seen[others], raw.is_positive[others], seen[fold])
    columns = (1 - score, score) if raw.positive == 1 else (score, 1 - score)
    return Outcome(raw.truth, np.column_stack(columns), raw.positive)


def calibrated(estimator: Any, folds: Sequence[tuple[np.ndarray, np.ndarray]], method: Method) -> Any:
    """Wrap an unfitted estimator: the curve is fitted on out-of-fold scores, the estimator on all rows."""
    return CalibratedClassifierCV(estimator, method=method, cv=list(folds), ensemble=False)


def _sigmoid(score: np.ndarray, truth: np.ndarray, others: np.ndarray) -> np.ndarray:
    found: np.ndarray = LogisticRegression(C=1e6).fit(score[:, None], truth).predict_proba(others[:, None])[:, 1]
    return found


def _isotonic(score: np.ndarray, truth: np.ndarray, others: np.ndarray) -> np.ndarray:
    found: np.ndarray = IsotonicRegression(out_of_bounds="clip").fit(score, truth.astype(float)).predict(others)
    return found


_CURVES = {"sigmoid": _sigmoid, "isotonic": _isotonic}


def _as_calibrator_sees(raw: Outcome, estimator: Any) -> np.ndarray:
    """scikit-learn's calibrator works on decision values where an estimator has them, else on probabilities."""
    score = np.clip(raw.score, _CERTAIN, 1 - _CERTAIN)
    return np.log(score / (1 - score)) if hasattr(estimator, "decision_function") else raw.score
