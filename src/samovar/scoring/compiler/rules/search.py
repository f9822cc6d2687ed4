"""Wrappers that hand on what they are given: searches, and regressors whose target was transformed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import lower_predict, lower_transform, predict, transform
from samovar.scoring.compiler.rules import answers
from samovar.scoring.ops import Activation, Scale
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value
    from samovar.scoring.ops.links import Function

_SEARCHES = (
    "sklearn.model_selection._search.GridSearchCV",
    "sklearn.model_selection._search.RandomizedSearchCV",
    "sklearn.model_selection._search_successive_halving.HalvingGridSearchCV",
    "sklearn.model_selection._search_successive_halving.HalvingRandomSearchCV",
)
_INVERSES: dict[Any, Function] = {np.exp: "exp", np.expm1: "expm1"}


@transform(*_SEARCHES)
def transforms(step: Any, value: Value, draft: Draft) -> Value:
    """Lower the best transformer."""
    return lower_transform(_best(step), value, draft)


@predict(*_SEARCHES)
def predicts(step: Any, value: Value, draft: Draft) -> None:
    """Lower the best predictor."""
    lower_predict(_best(step), value, draft)


def _best(step: Any) -> Any:
    if not hasattr(step, "best_estimator_"):
        raise NotLowered(f"{type(step).__name__} was not fitted again on all rows.")
    return step.best_estimator_


@predict("sklearn.compose._target.TransformedTargetRegressor")
def target(step: Any, value: Value, draft: Draft) -> None:
    """The regressor's numbers, transformed back."""
    if step._training_dim != 1:  # noqa: SLF001 - decides the shape of the answer
        raise NotLowered("TransformedTargetRegressor was fitted on several targets.")
    lower_predict(step.regressor_, value, draft)
    assert draft.answer is not None
    back = step.transformer_
    match f"{type(back).__module__}.{type(back).__qualname__}":
        case "sklearn.preprocessing._function_transformer.FunctionTransformer":
            _function(back, draft.answer.label, draft)
        case "sklearn.preprocessing._data.StandardScaler":
            scale = back.scale_ if back.with_std and back.scale_ is not None else np.ones(1)
            mean = back.mean_ if back.with_mean else np.zeros(1)
            answers.number(draft, draft.add(Scale((draft.answer.label,), Array.of(scale, "f8"), Array.of(mean, "f8"))))
        case _:
            raise NotLowered(f"There is no rule for {type(back).__name__} of the target.")


def _function(back: Any, label: int, draft: Draft) -> None:
    if back.inv_kw_args or not (back.inverse_func is None or back.inverse_func in _INVERSES):
        raise NotLowered("The target is transformed back by a function of its own.")
    if back.inverse_func is not None:
        answers.number(draft, draft.add(Activation((label,), _INVERSES[back.inverse_func])))
