"""Linear models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.registry import predict
from samovar.scoring.ops import Linear, Sigmoid, Softmax
from samovar.scoring.ops.base import Array
from samovar.scoring.program import Answer

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value


@predict("sklearn.linear_model._logistic.LogisticRegression", "sklearn.linear_model._logistic.LogisticRegressionCV")
def logistic(step: Any, value: Value, draft: Draft) -> None:
    """One decision and a sigmoid for two classes, a softmax for more."""
    decision = _decision(step, value, draft)
    classes = tuple(step.classes_.tolist())
    if len(classes) == 2:
        draft.answer = Answer(decision, "sign", classes, draft.add(Sigmoid((decision,))))
    else:
        draft.answer = Answer(decision, "argmax", classes, draft.add(Softmax((decision,))))


def _decision(step: Any, value: Value, draft: Draft) -> int:
    dense = draft.dense(value)
    coefficients = np.atleast_2d(step.coef_).astype(np.float64)
    intercept = np.broadcast_to(np.asarray(step.intercept_, dtype=np.float64), len(coefficients))
    return draft.add(Linear((dense.number,), Array.of(coefficients), Array.of(intercept)))
