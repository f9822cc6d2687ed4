"""Boosted trees of scikit-learn."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import lower_transform, predict
from samovar.scoring.compiler.rules import answers
from samovar.scoring.compiler.rules.compose import take
from samovar.scoring.compiler.rules.trees import fitted_nodes, grow, join
from samovar.scoring.ops import Activation, Scale, Sigmoid, Softmax
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Dense, Draft, Value
    from samovar.scoring.ops.forest import Nodes

_HISTOGRAM = "sklearn.ensemble._hist_gradient_boosting.gradient_boosting"
_CODES = 256  # of a categorical feature


@predict(f"{_HISTOGRAM}.HistGradientBoostingClassifier")
def histogram_classifier(step: Any, value: Value, draft: Draft) -> None:
    """One decision for two classes, one each for more."""
    classify(draft, step, _histogram(step, value, draft))


@predict(f"{_HISTOGRAM}.HistGradientBoostingRegressor")
def histogram_regressor(step: Any, value: Value, draft: Draft) -> None:
    """Numbers, through the inverse of the loss's link."""
    decision = _histogram(step, value, draft)
    link = type(step._loss.link).__name__  # noqa: SLF001 - the only place where a fitted model keeps its link
    match link:
        case "IdentityLink":
            answers.number(draft, decision)
        case "LogLink":
            answers.number(draft, draft.add(Activation((decision,), "exp")))
        case _:
            raise NotLowered(f"{type(step).__name__} has the link {link}.")


def classify(draft: Draft, step: Any, decision: int) -> None:
    """Answer decisions by the logistic function or the softmax."""
    link = Sigmoid((decision,)) if len(answers.labels(step)) == 2 else Softmax((decision,))
    answers.choose(draft, step, decision, draft.add(link))


def _histogram(step: Any, value: Value, draft: Draft) -> int:
    base = tuple(np.ravel(step._baseline_prediction).tolist())  # noqa: SLF001 - as predict reads it
    dense = _read(step, value, draft)
    if dense.sparse:
        raise NotLowered(f"{type(step).__name__} takes no sparse matrix.")
    return grow(draft, dense, _histogram_nodes(step), base, gaps=True, limit=inf)


def _read(step: Any, value: Value, draft: Draft) -> Dense:
    """Return what the trees read: categorical columns, as codes, before the others."""
    preparation = step._preprocessor  # noqa: SLF001 - as predict reads it
    if preparation is None:
        return draft.dense(value)
    encoder = preparation.named_transformers_["encoder"]
    parts = []
    for name, inner, _ in preparation.transformers_:
        positions = preparation._transformer_to_input_indices[name]  # noqa: SLF001 - as transform reads it
        if len(positions):
            part = take(draft, value, [int(position) for position in positions])
            parts.append(lower_transform(encoder, part, draft) if inner is encoder else draft.dense(part))
    return draft.dense(draft.join(parts))


def _histogram_nodes(step: Any) -> Nodes:
    predictors = [predictor for turn in step._predictors for predictor in turn]  # noqa: SLF001 - the fitted trees
    nodes = np.concatenate([predictor.nodes for predictor in predictors])
    choice, sets = None, None
    if nodes["is_categorical"].any():
        offsets = np.cumsum([0, *(len(predictor.raw_left_cat_bitsets) for predictor in predictors)])
        shift = np.repeat(offsets[:-1], [len(predictor.nodes) for predictor in predictors])
        choice = np.where(nodes["is_categorical"] == 1, nodes["bitset_idx"] + shift, -1)
        words = np.concatenate([predictor.raw_left_cat_bitsets for predictor in predictors])
        sets = np.unpackbits(words.astype("<u4").view(np.uint8), axis=1, bitorder="little")
    return join(
        [len(predictor.nodes) for predictor in predictors],
        np.where(nodes["is_leaf"] == 1, -1, nodes["feature_idx"]),
        nodes["num_threshold"],
        [predictor.nodes["left"] for predictor in predictors],
        [predictor.nodes["right"] for predictor in predictors],
        nodes["missing_go_to_left"],
        nodes["value"][:, None],
        choice,
        sets,
    )


@predict("sklearn.ensemble._gb.GradientBoostingClassifier")
def gradient_classifier(step: Any, value: Value, draft: Draft) -> None:
    """One decision for two classes, one each for more; the exponential loss counts a decision twice."""
    decision = _gradient(step, value, draft)
    if step.loss == "exponential":
        twice = draft.add(Scale((decision,), Array.of([2.0]), Array.of([0.0])))
        answers.choose(draft, step, decision, draft.add(Sigmoid((twice,))))
    else:
        classify(draft, step, decision)


@predict("sklearn.ensemble._gb.GradientBoostingRegressor")
def gradient_regressor(step: Any, value: Value, draft: Draft) -> None:
    """Numbers."""
    answers.number(draft, _gradient(step, value, draft))


def _gradient(step: Any, value: Value, draft: Draft) -> int:
    start = step.init_
    if not isinstance(start, str) and type(start).__name__ not in {"DummyClassifier", "DummyRegressor"}:
        raise NotLowered(f"{type(step).__name__} starts from a {type(start).__name__}.")
    base = step._raw_predict_init(np.zeros((1, step.n_features_in_), dtype=np.float32))  # noqa: SLF001 - the same for every row
    trees = [tree.tree_ for tree in step.estimators_.ravel()]
    nodes = fitted_nodes(trees, lambda tree: step.learning_rate * tree.value[:, 0, :1])
    return grow(draft, value, nodes, tuple(np.ravel(base).tolist()))
