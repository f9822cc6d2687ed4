"""Single trees and forests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import predict
from samovar.scoring.compiler.rules import answers
from samovar.scoring.ops.base import Array
from samovar.scoring.ops.forest import LIMIT, Nodes, Whole
from samovar.scoring.ops.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.scoring.compiler.values import Dense, Draft, Value

_TREE, _FOREST = "sklearn.tree._classes", "sklearn.ensemble._forest"


@predict(f"{_TREE}.DecisionTreeClassifier", f"{_TREE}.ExtraTreeClassifier")
def tree_classifier(step: Any, value: Value, draft: Draft) -> None:
    """The shares of the classes in a leaf."""
    shares = forest(draft, value, [step], shares_of(step))
    answers.likeliest(draft, step, shares, shares)


@predict(f"{_FOREST}.RandomForestClassifier", f"{_FOREST}.ExtraTreesClassifier")
def forest_classifier(step: Any, value: Value, draft: Draft) -> None:
    """The mean of the trees' shares."""
    shares = forest(draft, value, step.estimators_, shares_of(step))
    answers.likeliest(draft, step, shares, shares)


@predict(f"{_TREE}.DecisionTreeRegressor", f"{_TREE}.ExtraTreeRegressor")
def tree_regressor(step: Any, value: Value, draft: Draft) -> None:
    """What a leaf holds, for one target or several."""
    answers.number(draft, forest(draft, value, [step], _numbers))


@predict(f"{_FOREST}.RandomForestRegressor", f"{_FOREST}.ExtraTreesRegressor")
def forest_regressor(step: Any, value: Value, draft: Draft) -> None:
    """The mean of the trees' numbers."""
    answers.number(draft, forest(draft, value, step.estimators_, _numbers))


def shares_of(step: Any) -> Callable[[Any], np.ndarray]:
    """Return what reads the leaves of a classifier's trees; raises NotLowered for several outputs."""
    count = len(answers.labels(step))
    return lambda tree: np.asarray(tree.value[:, 0, :count])


def _numbers(tree: Any) -> np.ndarray:
    return np.asarray(tree.value[:, :, 0])


def forest(
    draft: Draft,
    value: Value,
    steps: Sequence[Any],
    values: Callable[[Any], np.ndarray],
    *,
    features: Sequence[np.ndarray] | None = None,
) -> int:
    """Return the mean of trees, which read float32 numbers.

    Args:
        draft: the program.
        value: what the trees are given.
        steps: the fitted trees.
        values: from a tree to what its nodes hold, (nodes, k).
        features: for each tree the positions that it was given, if not all.
    """
    nodes = fitted_nodes([step.tree_ for step in steps], values, features)
    width = nodes.values.shape[1]
    return grow(draft, value, nodes, (0.0,) * width, divisor=float(len(steps)), gaps=takes_gaps(steps[0], draft.dense(value)))


def takes_gaps(step: Any, dense: Dense) -> bool:
    """Tell whether a fitted tree takes NaN."""
    return not dense.sparse and bool(step._support_missing_values(np.zeros((1, 1))))  # noqa: SLF001 - as predict asks


def grow(  # noqa: PLR0913 - what a model of trees consists of
    draft: Draft,
    value: Value,
    nodes: Nodes,
    base: tuple[float, ...],
    *,
    divisor: float = 1.0,
    gaps: bool = False,
    limit: float = LIMIT,
    single: bool = False,
) -> int:
    """Add trees to the program."""
    dense = draft.dense(value)
    names = tuple(map(dense.name, range(dense.width)))
    return draft.add(Trees((dense.number,), (Whole((0,), dense.width),), nodes, base, divisor, gaps, limit, names, single))


def fitted_nodes(trees: Sequence[Any], values: Callable[[Any], np.ndarray], features: Sequence[np.ndarray] | None = None) -> Nodes:
    """Return the nodes of scikit-learn's own trees, with thresholds for numbers that are not rounded yet."""
    if not trees:
        raise NotLowered("There is no tree.")
    places = [_places(tree, None if features is None else features[turn]) for turn, tree in enumerate(trees)]
    return join(
        [tree.node_count for tree in trees],
        np.concatenate(places),
        before_rounding(np.concatenate([tree.threshold for tree in trees])),
        [tree.children_left for tree in trees],
        [tree.children_right for tree in trees],
        np.concatenate([tree.missing_go_to_left for tree in trees]),
        np.concatenate([values(tree) for tree in trees]),
    )


def _places(tree: Any, positions: np.ndarray | None) -> np.ndarray:
    feature = np.where(tree.children_left < 0, -1, tree.feature)
    return feature if positions is None else np.where(feature < 0, -1, np.asarray(positions)[np.maximum(feature, 0)])


def join(  # noqa: PLR0913, PLR0917 - the arrays of nodes
    counts: Sequence[int],
    feature: np.ndarray,
    threshold: np.ndarray,
    left: Sequence[np.ndarray],
    right: Sequence[np.ndarray],
    gap_left: np.ndarray,
    values: np.ndarray,
    choice: np.ndarray | None = None,
    sets: np.ndarray | None = None,
) -> Nodes:
    """Return the nodes of trees whose children are numbered from the tree's own root."""
    starts = np.concatenate(([0], np.cumsum(counts)))
    sides = [
        np.concatenate([side.astype(np.int64) + start for side, start in zip(both, starts, strict=False)]) for both in (left, right)
    ]
    return Nodes(
        Array.of(starts[:-1], "i4"),
        Array.of(feature, "i4"),
        Array.of(np.where(feature < 0, 0.0, threshold), "f8"),
        Array.of(np.where(feature < 0, 0, sides[0]), "i4"),
        Array.of(np.where(feature < 0, 0, sides[1]), "i4"),
        Array.of(gap_left, "u1"),
        Array.of(np.where(feature[:, None] < 0, values, 0.0), "f8"),
        Array.of([] if choice is None else choice, "i4"),
        Array.of(np.zeros((0, 0)) if sets is None else sets, "u1"),
    )


def before_rounding(thresholds: np.ndarray) -> np.ndarray:
    """Return for each threshold the largest float64 number that, rounded to float32, is at most it.

    A number is rounded to the nearer of two neighbouring float32 numbers, and from the middle between them, which a float64
    holds exactly, to the even one.
    """
    with np.errstate(over="ignore"):
        low = thresholds.astype(np.float32)
        low = np.where(low > thresholds, np.nextafter(low, np.float32(-np.inf)), low)
        return _last(low)


def _last(low: np.ndarray) -> np.ndarray:
    """Return the largest float64 number that is rounded to these float32 numbers or below."""
    high = np.nextafter(low, np.float32(np.inf))
    middle = np.where(np.isinf(high), LIMIT, (low.astype(np.float64) + high.astype(np.float64)) / 2)
    middle = np.where(np.isneginf(low), -LIMIT, middle)
    even = low.view(np.int32) & 1 == 0
    last = np.where(even, middle, np.nextafter(middle, -np.inf))
    return np.where(np.isposinf(low), np.inf, last)
