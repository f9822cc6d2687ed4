"""What a linear text model has learned: the words with the greatest weight for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.transformers import LogCountRatio, joined_name

if TYPE_CHECKING:
    from samovar.contracts.spec import ContractSpec

_MOST = 15

Tokens = dict[str, dict[str, list[tuple[str, float]]]]
"""field -> class -> (token, weight), the greatest weight first."""


def top(estimator: Any, contract: ContractSpec) -> Tokens:
    """Return the top tokens of each text field whose content may be kept; nothing for a model that is not linear in words.

    Weights are log-odds per unit of a term's feature. A word in a report is content of the field, so its ``log`` policy counts.
    """
    steps = getattr(_unwrapped(estimator), "named_steps", {})
    prepare, model = steps.get("prepare"), steps.get("model")
    weights, classes = getattr(model, "coef_", None), getattr(model, "classes_", None)
    places = getattr(prepare, "output_indices_", None)
    if weights is None or classes is None or places is None:
        return {}
    texts = [field for field in contract.features if field.role == "text"]
    kept = [field.name for field in texts if field.log == "keep"]
    if len(kept) == len(texts):
        kept.append(joined_name(kept))
    found: Tokens = {}
    for step, field in {f"text_{name}": name for name in kept}.items():
        words = _words(getattr(prepare, "named_transformers_", {}).get(step), weights[:, places[step]]) if step in places else None
        if words is not None:
            found[field] = _by_class(*words, [str(one) for one in classes])
    return found


def _unwrapped(estimator: Any) -> Any:
    """The pipeline inside a calibrated model that was fitted once on all rows."""
    inner = getattr(estimator, "calibrated_classifiers_", None)
    return inner[0].estimator if inner is not None and len(inner) == 1 else estimator


def _words(transformer: Any, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Tokens (n,) and their weights (classes, n); what weighs terms by a factor each is linear too."""
    steps = [step for _, step in getattr(transformer, "steps", [("words", transformer)])]
    for step in steps[1:]:
        if not isinstance(step, LogCountRatio):
            return None
        weights = weights * step.weights_
    names = steps[0].get_feature_names_out()
    return (np.asarray(names), weights) if weights.shape[1] == len(names) else None


def _by_class(names: np.ndarray, weights: np.ndarray, classes: list[str]) -> dict[str, list[tuple[str, float]]]:
    rows = np.vstack([-weights, weights]) if len(weights) == 1 else weights  # binary: one row, for the second class
    return {
        label: [(str(names[at]), round(float(row[at]), 4)) for at in np.argsort(-row, kind="stable")[:_MOST]]
        for label, row in zip(classes, rows, strict=True)
    }
