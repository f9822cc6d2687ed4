"""Linear models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import predict
from samovar.scoring.compiler.rules import answers
from samovar.scoring.compiler.values import Sparse
from samovar.scoring.ops import Activation, Complement, Linear, Shares, Sigmoid, Softmax, SparseLinear
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value
    from samovar.scoring.ops.links import Function

_LINEAR = "sklearn.linear_model"


@predict(
    f"{_LINEAR}._logistic.LogisticRegression",
    f"{_LINEAR}._logistic.LogisticRegressionCV",
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
)
def logistic(step: Any, value: Value, draft: Draft) -> None:
    """One decision and a sigmoid for two classes, a softmax for more."""
    decision = decide(step, value, draft)
    link = Sigmoid((decision,)) if len(answers.labels(step)) == 2 else Softmax((decision,))
    answers.choose(draft, step, decision, draft.add(link))


@predict(
    "sklearn.svm._classes.LinearSVC",
    f"{_LINEAR}._ridge.RidgeClassifier",
    f"{_LINEAR}._ridge.RidgeClassifierCV",
    f"{_LINEAR}._perceptron.Perceptron",
    f"{_LINEAR}._passive_aggressive.PassiveAggressiveClassifier",
)
def decisions(step: Any, value: Value, draft: Draft) -> None:
    """Decisions without probabilities."""
    answers.choose(draft, step, decide(step, value, draft), None)


_LOSSES: dict[str, Function] = {"log_loss": "logistic", "modified_huber": "huber"}
"""Losses of stochastic gradient descent with probabilities."""


@predict(f"{_LINEAR}._stochastic_gradient.SGDClassifier")
def descent(step: Any, value: Value, draft: Draft) -> None:
    """Decisions; two of the losses have probabilities."""
    decision = decide(step, value, draft)
    function: Function | None = _LOSSES.get(step.loss)
    shares = None
    if function == "logistic" and len(answers.labels(step)) == 2:
        shares = draft.add(Sigmoid((decision,)))
    elif function is not None:
        shares = draft.add(Activation((decision,), function))
        shares = draft.add(Complement((shares,)) if len(answers.labels(step)) == 2 else Shares((shares,)))
    answers.choose(draft, step, decision, shares)


@predict(
    f"{_LINEAR}._base.LinearRegression",
    f"{_LINEAR}._bayes.ARDRegression",
    f"{_LINEAR}._bayes.BayesianRidge",
    f"{_LINEAR}._coordinate_descent.ElasticNet",
    f"{_LINEAR}._coordinate_descent.ElasticNetCV",
    f"{_LINEAR}._coordinate_descent.Lasso",
    f"{_LINEAR}._coordinate_descent.LassoCV",
    f"{_LINEAR}._coordinate_descent.MultiTaskElasticNet",
    f"{_LINEAR}._coordinate_descent.MultiTaskLasso",
    f"{_LINEAR}._huber.HuberRegressor",
    f"{_LINEAR}._least_angle.Lars",
    f"{_LINEAR}._least_angle.LarsCV",
    f"{_LINEAR}._least_angle.LassoLars",
    f"{_LINEAR}._least_angle.LassoLarsCV",
    f"{_LINEAR}._least_angle.LassoLarsIC",
    f"{_LINEAR}._omp.OrthogonalMatchingPursuit",
    f"{_LINEAR}._omp.OrthogonalMatchingPursuitCV",
    f"{_LINEAR}._passive_aggressive.PassiveAggressiveRegressor",
    f"{_LINEAR}._quantile.QuantileRegressor",
    f"{_LINEAR}._ridge.Ridge",
    f"{_LINEAR}._ridge.RidgeCV",
    f"{_LINEAR}._stochastic_gradient.SGDRegressor",
    f"{_LINEAR}._theil_sen.TheilSenRegressor",
    "sklearn.svm._classes.LinearSVR",
)
def regression(step: Any, value: Value, draft: Draft) -> None:
    """Numbers."""
    answers.number(draft, decide(step, value, draft))


@predict(
    f"{_LINEAR}._glm.glm.GammaRegressor",
    f"{_LINEAR}._glm.glm.PoissonRegressor",
    f"{_LINEAR}._glm.glm.TweedieRegressor",
)
def generalised(step: Any, value: Value, draft: Draft) -> None:
    """Numbers through the inverse of the link, which is the logarithm or nothing."""
    link = type(step._base_loss.link).__name__  # noqa: SLF001 - the only place where a fitted model keeps its link
    decision = decide(step, value, draft)
    match link:
        case "LogLink":
            answers.number(draft, draft.add(Activation((decision,), "exp")))
        case "IdentityLink":
            answers.number(draft, decision)
        case _:
            raise NotLowered(f"{type(step).__name__} has the link {link}.")


def decide(step: Any, value: Value, draft: Draft) -> int:
    """Return ``x @ coef_.T + intercept_``."""
    coefficients = np.atleast_2d(step.coef_).astype(np.float64)
    intercept = np.broadcast_to(np.asarray(step.intercept_, dtype=np.float64), len(coefficients))
    return linear(draft, value, coefficients, intercept, single=np.asarray(step.coef_).dtype == np.float32)


def linear(draft: Draft, value: Value, coefficients: np.ndarray, intercept: np.ndarray, *, single: bool = False) -> int:
    """Return a linear map of finite numbers; ``single``: the coefficients are float32, so the model computes such numbers in it."""
    if coefficients.shape[1] != value.width:
        raise NotLowered(f"A linear step has {coefficients.shape[1]} coefficients for {value.width} columns.")
    arrays = Array.of(coefficients), Array.of(intercept)
    if isinstance(value, Sparse):
        return draft.add(SparseLinear((value.number,), *arrays))
    dense = draft.checked(value)
    single = single and dense.single
    draft.single = draft.single or single
    return draft.add(Linear((dense.number,), *arrays, single))
