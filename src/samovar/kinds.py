"""Candidate specs: which model kinds a project tries. Plain data; `samovar.training` builds the estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.project import CandidateSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BUILT_IN = ("logreg", "random_forest", "hist_gradient_boosting", "mlp")


def logreg(*, trials: int = 6, **params: Any) -> CandidateSpec:
    """Logistic regression over scaled numbers and one-hot categories."""
    return CandidateSpec("logreg", "logreg", params, trials)


def random_forest(*, trials: int = 4, **params: Any) -> CandidateSpec:
    """Random forest."""
    return CandidateSpec("random_forest", "random_forest", params, trials)


def hist_gradient_boosting(*, trials: int = 6, **params: Any) -> CandidateSpec:
    """Gradient boosting over histogram bins; takes missing numbers as they are."""
    return CandidateSpec("hist_gradient_boosting", "hist_gradient_boosting", params, trials)


def mlp(*, trials: int = 3, **params: Any) -> CandidateSpec:
    """A small multi-layer perceptron."""
    return CandidateSpec("mlp", "mlp", params, trials)


def custom(
    name: str, build: Callable[..., Any], *, space: Mapping[str, Any] | None = None, trials: int = 6, **params: Any
) -> CandidateSpec:
    """A kind of one's own: ``build(contract, **params)`` returns an unfitted estimator."""
    return CandidateSpec("custom", name, params, trials, build, dict(space or {}))
