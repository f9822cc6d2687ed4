"""Ensembles of trees."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import operator
from samovar.scoring.compiler.rules.onnx.answers import transformed
from samovar.scoring.compiler.rules.onnx.flow import Cells, Chosen, Numbers, dense, setting
from samovar.scoring.compiler.rules.onnx.linear import labels
from samovar.scoring.compiler.rules.trees import before_rounding, grow, join
from samovar.scoring.ops import Complement, Concat, Scale, Single
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.scoring.compiler.rules.onnx.flow import Flow
    from samovar.scoring.onnxfile import Node
    from samovar.scoring.ops.forest import Nodes

_MODES = {"BRANCH_LEQ": 0, "BRANCH_LT": 1, "LEAF": 2}


@operator("ai.onnx.ml.TreeEnsembleRegressor")
def regressor(node: Node, flow: Flow) -> None:
    """The sum of the leaves, or their mean."""
    count = int(setting(node, "n_targets", 1))
    weights, owners = setting(node, "target_weights", ()), _owners(node, "target", count)
    match setting(node, "aggregate_function", "SUM"):
        case "SUM":
            divisor = 1.0
        case "AVERAGE":
            divisor = float(len(np.unique(setting(node, "nodes_treeids", ()))))
        case other:
            raise NotLowered(f"TreeEnsembleRegressor aggregates by {other}.")
    sums = _grown(flow, node, weights, owners, count, divisor)
    flow.give(node, transformed(flow, sums, node, classes=0, stepwise=True))


@operator("ai.onnx.ml.TreeEnsembleClassifier")
def classifier(node: Node, flow: Flow) -> None:
    """The class of the greatest sum; of two classes one may have all the leaves."""
    classes = labels(node, "classlabels_int64s")
    weights = np.asarray(setting(node, "class_weights", ()))
    if len(classes) == 2 and len(np.unique(setting(node, "class_ids", ()))) == 1:
        _two(node, flow, classes, weights)
        return
    sums = _grown(flow, node, weights, _owners(node, "class", len(classes)), len(classes), 1.0)
    flow.give(node, Chosen(sums.number, "argmax", classes), transformed(flow, sums, node, classes=len(classes), stepwise=True))


def _two(node: Node, flow: Flow, classes: tuple[Any, ...], weights: np.ndarray) -> None:
    """One sum for two classes: a share where no leaf is negative, else a score."""
    owners = _owners(node, "class", 2)
    base = np.asarray(setting(node, "base_values", ()))
    if len(base) > 1:
        raise NotLowered("TreeEnsembleClassifier has one sum and several base values.")
    total = _grown(flow, node, weights, dict.fromkeys(owners, 0), 1, 1.0, base)
    post = setting(node, "post_transform", "NONE")
    positive = bool(np.all(weights >= 0))
    one = np.ones(1)
    if positive and post == "NONE":
        score = flow.compute(Scale((total.number,), Array.of(one), Array.of(-0.5 * one)), 1)
        shares = flow.compute(Complement((total.number,)), 2)
    elif not positive and post in ("NONE", "LOGISTIC"):
        score = total
        other = flow.draft.add(Scale((total.number,), Array.of(-one), Array.of(0 * one)))
        both = Numbers(flow.draft.add(Concat((other, total.number))), 2)
        shares = transformed(flow, both, node, classes=2, stepwise=True)
    else:
        raise NotLowered(f"TreeEnsembleClassifier has one sum for two classes, and the post_transform {post}.")
    flow.give(node, Chosen(score.number, "sign", classes), shares)


def _owners(node: Node, prefix: str, count: int) -> dict[tuple[int, int, int], int]:
    """Return which weight belongs to which tree, leaf and output."""
    names = (f"{prefix}_treeids", f"{prefix}_nodeids", f"{prefix}_ids")
    keys = list(zip(*(np.asarray(setting(node, name, ())).tolist() for name in names), strict=True))
    if any(not 0 <= key[2] < count for key in keys) or len(set(keys)) != len(keys):
        raise NotLowered(f"{node.kind} has leaves of outputs that are not there, or twice.")
    return {key: key[2] for key in keys}


def _grown(  # noqa: PLR0913, PLR0917 - what an ensemble consists of
    flow: Flow,
    node: Node,
    weights: Any,
    owners: dict[tuple[int, int, int], int],
    count: int,
    divisor: float,
    base: Any = None,
) -> Numbers:
    value = flow.value(node, 0)
    if isinstance(value, Cells) and set(value.frame.kinds) <= {"float64", "float32"}:
        whole: Any = value.frame  # thresholds are for the numbers before they are rounded
    else:
        whole = dense(flow.numbers(node))
    base = np.asarray(setting(node, "base_values", ()) if base is None else base)
    if len(base) not in (0, count):
        raise NotLowered(f"{node.kind} has another number of base values than of outputs.")
    nodes, zeros = _nodes(node, weights, owners, count), (0.0,) * count
    number = grow(flow.draft, whole, nodes, zeros, divisor=divisor, gaps=True, limit=inf, single=True)
    sums = Numbers(flow.draft.add(Single((number,))), count)
    if not base.any():
        return sums
    return flow.compute(Scale((sums.number,), Array.of(np.ones(count)), Array.of(base, "f8")), count)  # last, as onnxruntime does


def _nodes(node: Node, weights: Any, owners: dict[tuple[int, int, int], int], count: int) -> Nodes:
    """Return the nodes, each tree's in a row, as the file has them."""
    trees, ids = np.asarray(setting(node, "nodes_treeids", ())), np.asarray(setting(node, "nodes_nodeids", ()))
    try:
        modes = np.array([_MODES[mode] for mode in setting(node, "nodes_modes", ())])
    except KeyError as error:
        raise NotLowered(f"{node.kind} has nodes of the mode {error.args[0]}.") from None
    starts = np.flatnonzero(np.diff(trees, prepend=trees[:1] - 1)).tolist()
    counts = np.diff([*starts, len(trees)]).tolist()
    if len(np.unique(trees)) != len(starts) or any(
        ids[start] != ids[start : start + size].min() for start, size in zip(starts, counts, strict=True)
    ):
        raise NotLowered(f"{node.kind} does not have its trees one after the other, roots first.")
    places = {(int(tree), int(each)): index for index, (tree, each) in enumerate(zip(trees, ids, strict=True))}
    values = np.zeros((len(trees), count))
    for (tree, each, _), output, weight in zip(owners, owners.values(), np.asarray(weights, dtype=np.float64), strict=True):
        values[places[tree, each], output] = weight
    gaps = np.asarray(setting(node, "nodes_missing_value_tracks_true", np.zeros(len(trees))))
    return join(
        counts,
        np.where(modes == _MODES["LEAF"], -1, setting(node, "nodes_featureids", ())),
        _thresholds(np.asarray(setting(node, "nodes_values", ()), dtype=np.float32), modes),
        [_children(node, "true", trees, places, start, size) for start, size in zip(starts, counts, strict=True)],
        [_children(node, "false", trees, places, start, size) for start, size in zip(starts, counts, strict=True)],
        gaps if len(gaps) else np.zeros(len(trees)),
        values,
    )


def _thresholds(values: np.ndarray, modes: np.ndarray) -> np.ndarray:
    # Less than a float32 number is at most the one before it.
    values = np.where(modes == _MODES["BRANCH_LT"], np.nextafter(values, np.float32(-inf)), values)
    return before_rounding(values.astype(np.float64))


def _children(node: Node, side: str, trees: np.ndarray, places: dict[tuple[int, int], int], start: int, size: int) -> np.ndarray:  # noqa: PLR0913, PLR0917
    children = setting(node, f"nodes_{side}nodeids", ())[start : start + size].tolist()
    tree = int(trees[start])
    return np.array([places.get((tree, child), start) - start for child in children])
