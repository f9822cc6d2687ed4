"""Candidate specs: which model kinds a project tries. Plain data; `samovar.training` builds the estimators.

``params`` are the estimator's own, fixed and not searched, such as ``class_weight="balanced"`` or ``early_stopping=True``.
``calibration`` says how probabilities of a binary target are mended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.project import CandidateSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from samovar.project import Calibration

BUILT_IN = ("logreg", "nb_logreg", "random_forest", "hist_gradient_boosting", "mlp", "minilm", "distilbert")


def logreg(*, trials: int = 6, calibration: Calibration = "auto", **params: Any) -> CandidateSpec:
    """Logistic regression over scaled numbers, one-hot categories, and TF-IDF of words and pairs of words.

    ``pieces=True`` adds pieces of words, which helps where texts are few or short, and takes minutes where they are many and long;
    other parameters are the regression's.
    """
    return CandidateSpec("logreg", "logreg", params, trials, calibration=calibration)


def nb_logreg(*, trials: int = 6, calibration: Calibration = "auto", **params: Any) -> CandidateSpec:
    """Logistic regression over phrases of texts, each weighed by how one-sided it is; for many long texts."""
    return CandidateSpec("nb_logreg", "nb_logreg", params, trials, calibration=calibration)


def random_forest(*, trials: int = 4, calibration: Calibration = "auto", **params: Any) -> CandidateSpec:
    """Random forest."""
    return CandidateSpec("random_forest", "random_forest", params, trials, calibration=calibration)


def hist_gradient_boosting(*, trials: int = 6, calibration: Calibration = "auto", **params: Any) -> CandidateSpec:
    """Gradient boosting over histogram bins; takes missing numbers as they are."""
    return CandidateSpec("hist_gradient_boosting", "hist_gradient_boosting", params, trials, calibration=calibration)


def mlp(*, trials: int = 3, calibration: Calibration = "auto", **params: Any) -> CandidateSpec:
    """A small multi-layer perceptron."""
    return CandidateSpec("mlp", "mlp", params, trials, calibration=calibration)


def minilm(*, trials: int = 3, **params: Any) -> CandidateSpec:
    """Logistic regression over a frozen sentence encoder's vectors and the other columns; needs the extra ``encoder``.

    ``max_tokens`` (default 128) is how much of a text is read; other parameters are the regression's.
    """
    return CandidateSpec("minilm", "minilm", params, trials)


def distilbert(**params: Any) -> CandidateSpec:
    """A transformer fine-tuned on the text fields; needs the extra ``transformers``, and weights by path or hub name.

    Parameters are those of `samovar.encoders.finetuned.FineTunedClassifier`: ``weights``, ``epochs``, ``patience``,
    ``class_weight``, ``max_tokens``, ``learning_rate``, ``batch_size``.
    """
    return CandidateSpec("distilbert", "distilbert", params, trials=0)


def custom(
    name: str,
    build: Callable[..., Any],
    *,
    space: Mapping[str, Any] | None = None,
    trials: int = 6,
    calibration: Calibration = "auto",
    **params: Any,
) -> CandidateSpec:
    """A kind of one's own: ``build(contract, **params)`` returns an unfitted estimator."""
    return CandidateSpec("custom", name, params, trials, build, dict(space or {}), calibration)
