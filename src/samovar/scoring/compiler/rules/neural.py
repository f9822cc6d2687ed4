"""Multi-layer perceptrons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import predict
from samovar.scoring.compiler.rules import answers
from samovar.scoring.compiler.rules.linear import linear
from samovar.scoring.compiler.values import Dense, Sparse
from samovar.scoring.ops import Activation, Sigmoid, Softmax

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value

_NN = "sklearn.neural_network._multilayer_perceptron"


@predict(f"{_NN}.MLPClassifier")
def classifier(step: Any, value: Value, draft: Draft) -> None:
    """Layers, then a sigmoid for two classes or a softmax for more."""
    if step._label_binarizer.y_type_ not in ("binary", "multiclass"):  # noqa: SLF001 - as predict reads it
        raise NotLowered("MLPClassifier was fitted on several labels a row.")
    decision = _layers(step, value, draft)
    shares = draft.add(Sigmoid((decision,)) if step.out_activation_ == "logistic" else Softmax((decision,)))
    answers.likeliest(draft, step, shares, shares)


@predict(f"{_NN}.MLPRegressor")
def regressor(step: Any, value: Value, draft: Draft) -> None:
    """Layers."""
    numbers = _layers(step, value, draft)
    if step.out_activation_ != "identity":
        numbers = draft.add(Activation((numbers,), step.out_activation_))
    answers.number(draft, numbers)


def _layers(step: Any, value: Value, draft: Draft) -> int:
    """Return the last layer before its activation."""
    last = len(step.coefs_) - 1
    value = value if isinstance(value, Sparse) else draft.checked(value)
    single = isinstance(value, Dense) and value.single
    for index, (weights, intercept) in enumerate(zip(step.coefs_, step.intercepts_, strict=True)):
        halves = weights.T.astype(np.float64), intercept.astype(np.float64)
        number = linear(draft, value, *halves, single=weights.dtype == np.float32)
        if index == last:
            return number
        if step.activation != "identity":
            number = draft.add(Activation((number,), step.activation))
        value = Dense(number, weights.shape[1], single, finite=True)
    raise NotLowered("MLP without layers.")
