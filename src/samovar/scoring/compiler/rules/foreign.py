"""Boosted trees of XGBoost and LightGBM, from the models' own JSON."""

from __future__ import annotations

import json
from math import copysign, inf, nextafter
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import predict
from samovar.scoring.compiler.rules import answers
from samovar.scoring.compiler.rules.trees import before_rounding, grow, join
from samovar.scoring.compiler.values import Frame
from samovar.scoring.ops import Activation, Complement, Scale, Softmax
from samovar.scoring.ops.base import Array
from samovar.scoring.ops.forest import LIMIT
from samovar.scoring.program import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.scoring.compiler.values import Draft, Value
    from samovar.scoring.ops.forest import Nodes

_XGB_NUMBERS = {
    "reg:squarederror": "",
    "reg:absoluteerror": "",
    "reg:pseudohubererror": "",
    "reg:quantileerror": "",
    "reg:squaredlogerror": "",
    "binary:logitraw": "",
    "rank:ndcg": "",
    "rank:pairwise": "",
    "rank:map": "",
    "binary:logistic": "logistic",
    "reg:logistic": "logistic",
    "count:poisson": "exp",
    "reg:gamma": "exp",
    "reg:tweedie": "exp",
}
_LGB_NUMBERS = {
    "regression": "",
    "regression_l1": "",
    "huber": "",
    "fair": "",
    "quantile": "",
    "mape": "",
    "lambdarank": "",
    "rank_xendcg": "",
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
    "binary": "logistic",
    "cross_entropy": "logistic",
    "multiclass": "softmax",
    "multiclassova": "logistic",
}
"""What objectives make of the sum of leaves."""

_Node = tuple[int, float, int, int, int, float, tuple[int, ...] | None]
"""Feature (-1: a leaf), threshold, left, right, whether NaN goes left, what a leaf holds, the codes that go left."""


@predict("xgboost.sklearn.XGBClassifier", "xgboost.sklearn.XGBRFClassifier")
def xgb_classifier(step: Any, value: Value, draft: Draft) -> None:
    """The logistic function or the softmax of float32 sums."""
    _plain_gaps(step)
    model = _xgb(step.get_booster())
    classes = answers.labels(step)
    objective = model["objective"]["name"]
    if objective not in {"binary:logistic", "multi:softprob", "multi:softmax"}:
        raise NotLowered(f"XGBClassifier has the objective {objective}.")
    decision = _xgb_sums(model, value, draft, _xgb_last(step), inf)
    if len(classes) == 2:
        shares = draft.add(Complement((draft.add(Activation((decision,), "logistic")),)))
        draft.answer = Answer(decision, "sign", classes, shares)
    else:
        draft.answer = Answer(decision, "argmax", classes, draft.add(Softmax((decision,))))


@predict("xgboost.sklearn.XGBRegressor", "xgboost.sklearn.XGBRFRegressor", "xgboost.sklearn.XGBRanker")
def xgb_regressor(step: Any, value: Value, draft: Draft) -> None:
    """Float32 sums, through the objective's function."""
    _plain_gaps(step)
    _xgb_numbers(_xgb(step.get_booster()), value, draft, _xgb_last(step), inf)


@predict("xgboost.core.Booster")
def xgb_booster(step: Any, value: Value, draft: Draft) -> None:
    """What a bare booster predicts: numbers, or probabilities."""
    names = step.feature_names
    if names and isinstance(value, Frame) and tuple(names) != value.names:
        raise NotLowered("The booster was trained on other column names, or in another order, than the signature's.")
    _xgb_numbers(_xgb(step), value, draft, None, LIMIT)  # DMatrix refuses what is infinite, unlike an estimator's predict


def _plain_gaps(step: Any) -> None:
    """Refuse an estimator that takes a number for a gap."""
    if not np.isnan(step.missing):
        raise NotLowered(f"{type(step).__name__} takes a number for a missing value.")


def _xgb(booster: Any) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(booster.save_raw("json"))["learner"]
    return model


def _xgb_last(step: Any) -> int | None:
    """Return after how many turns the model stops, None for all."""
    try:
        return int(step.best_iteration) + 1
    except AttributeError:
        return None


def _xgb_numbers(model: dict[str, Any], value: Value, draft: Draft, last: int | None, limit: float) -> None:
    objective = model["objective"]["name"]
    if objective not in _XGB_NUMBERS and objective != "multi:softprob":
        raise NotLowered(f"The booster has the objective {objective}.")
    answers.number(draft, _link(draft, _xgb_sums(model, value, draft, last, limit), _XGB_NUMBERS.get(objective, "softmax")))


def _link(draft: Draft, sums: int, function: str) -> int:
    match function:
        case "":
            return sums
        case "softmax":
            return draft.add(Softmax((sums,)))
        case "exp":
            return draft.add(Activation((sums,), "exp"))
        case _:
            return draft.add(Activation((sums,), "logistic"))


def _xgb_sums(model: dict[str, Any], value: Value, draft: Draft, last: int | None, limit: float) -> int:
    if model["gradient_booster"]["name"] != "gbtree":
        raise NotLowered(f"The booster is a {model['gradient_booster']['name']}.")
    held = model["gradient_booster"]["model"]
    count = held["iteration_indptr"][last] if last is not None else len(held["trees"])
    base = _xgb_base(model)
    order = _in_turn(held["tree_info"][:count], len(base))
    draft.single = True
    nodes = _nodes([_numbered(0, _xgb_reader(held["trees"][tree])) for tree in order])
    return grow(draft, value, nodes, base, gaps=True, limit=limit, single=True)


def _xgb_base(model: dict[str, Any]) -> tuple[float, ...]:
    """Return what sums start from: the base score before the objective's function, in float32."""
    parameters = model["learner_model_param"]
    base = np.array(json.loads(parameters["base_score"]), dtype=np.float32).ravel()
    match _XGB_NUMBERS.get(model["objective"]["name"]):
        case "logistic":
            base = -np.log(np.float32(1.0) / base - np.float32(1.0))
        case "exp":
            base = np.log(base)
    outputs = max(int(parameters["num_class"]), int(parameters["num_target"]))
    return tuple(np.broadcast_to(base, outputs).tolist())


def _in_turn(groups: Sequence[int], outputs: int) -> list[int]:
    """Return the trees so that they add to the outputs in turn, those of one output in their own order."""
    own = [[tree for tree, group in enumerate(groups) if group == output] for output in range(outputs)]
    if len({len(trees) for trees in own}) != 1 or not own[0]:
        raise NotLowered("The booster's outputs have different numbers of trees.")
    return [tree for turn in zip(*own, strict=True) for tree in turn]


def _xgb_reader(tree: dict[str, Any]) -> Callable[[int], _Node]:
    if int(tree["tree_param"]["size_leaf_vector"] or 1) > 1:
        raise NotLowered("The booster's leaves hold vectors.")
    if any(tree["split_type"]):
        raise NotLowered("The booster splits by categories, which need a frame of categorical columns.")
    conditions = np.array(tree["split_conditions"], dtype=np.float32)
    # Less than a float32 number is at most the one before it.
    thresholds = before_rounding(np.nextafter(conditions, np.float32(-inf)).astype(np.float64)).tolist()

    def read(node: int) -> _Node:
        left, right = tree["left_children"][node], tree["right_children"][node]
        if left < 0:
            return -1, 0.0, 0, 0, 0, float(conditions[node]), None
        return tree["split_indices"][node], thresholds[node], left, right, tree["default_left"][node], 0.0, None

    return read


@predict("lightgbm.sklearn.LGBMClassifier")
def lgb_classifier(step: Any, value: Value, draft: Draft) -> None:
    """The objective's function of the sums."""
    classes = answers.labels(step)
    shares = _lgb(step.booster_, value, draft)
    shares = draft.add(Complement((shares,))) if len(classes) == 2 else shares
    answers.likeliest(draft, step, shares, shares)


@predict("lightgbm.sklearn.LGBMRegressor", "lightgbm.sklearn.LGBMRanker", "lightgbm.sklearn.LGBMModel")
def lgb_regressor(step: Any, value: Value, draft: Draft) -> None:
    """Numbers."""
    answers.number(draft, _lgb(step.booster_, value, draft))


@predict("lightgbm.basic.Booster")
def lgb_booster(step: Any, value: Value, draft: Draft) -> None:
    """What a bare booster predicts: numbers, or probabilities."""
    answers.number(draft, _lgb(step, value, draft))


def _lgb(booster: Any, value: Value, draft: Draft) -> int:
    model = booster.dump_model()
    name, *settings = (model.get("objective") or "none").split(" ")
    if name not in _LGB_NUMBERS or "sqrt" in settings:
        raise NotLowered(f"The booster has the objective {' '.join([name, *settings])}.")
    if model.get("pandas_categorical"):
        raise NotLowered("The booster was trained on a frame with categorical columns.")
    outputs = model["num_tree_per_iteration"]
    turns = len(model["tree_info"]) // outputs
    nodes = _nodes([_lgb_tree(tree["tree_structure"]) for tree in model["tree_info"]])
    divisor = float(turns) if model["average_output"] else 1.0
    sums = grow(draft, value, nodes, (0.0,) * outputs, divisor=divisor, gaps=True, limit=inf)
    steep = next((float(each.partition(":")[2]) for each in settings if each.startswith("sigmoid:")), 1.0)
    if steep != 1.0:
        sums = draft.add(Scale((sums,), Array.of([steep] * outputs), Array.of([0.0] * outputs)))
    return _link(draft, sums, _LGB_NUMBERS[name])


def _lgb_tree(root: dict[str, Any]) -> list[_Node]:
    found: list[dict[str, Any]] = [root]

    def read(node: int) -> _Node:
        held = found[node]
        if "leaf_const" in held or "leaf_coeff" in held:
            raise NotLowered("The booster's leaves hold linear models.")
        if "leaf_value" in held:
            return -1, 0.0, 0, 0, 0, float(held["leaf_value"]), None
        left = len(found)
        found.extend((held["left_child"], held["right_child"]))
        feature = int(held["split_feature"])
        if held["decision_type"] == "==":
            codes = tuple(int(code) for code in str(held["threshold"]).split("||"))
            return feature, 0.0, left, left + 1, 0, 0.0, codes
        return feature, _lgb_threshold(held), left, left + 1, _lgb_gap(held), 0.0, None

    return _numbered(0, read)


def _lgb_threshold(held: dict[str, Any]) -> float:
    """Return a node's threshold; numbers as small as _ZERO are zeros to LightGBM, and all on one side."""
    threshold = float(held["threshold"])
    if held["missing_type"] == "Zero" and held["default_left"] != (threshold >= 0.0):
        raise NotLowered("The booster takes zero for missing.")
    if abs(threshold) >= _ENDLESS:
        return copysign(inf, threshold)
    if abs(threshold) > _ZERO:
        return threshold
    return _ZERO if threshold >= 0.0 else nextafter(-_ZERO, -inf)


def _lgb_gap(held: dict[str, Any]) -> int:
    """Return whether NaN goes left: it is a zero to a node that knows no missing values."""
    return int(held["default_left"] if held["missing_type"] == "NaN" else float(held["threshold"]) >= 0.0)


_ZERO = float(np.float32(1e-35))
"""LightGBM takes numbers of this size and smaller for zero."""

_ENDLESS = 1e300
"""LightGBM writes infinite thresholds so."""


def _numbered(root: int, read: Callable[[int], _Node]) -> list[_Node]:
    """Return a tree's nodes, parents before children, numbered anew."""
    nodes: list[_Node] = []
    ahead = [(root, -1, False)]
    while ahead:
        old, parent, is_right = ahead.pop()
        feature, threshold, left, right, gap, held, codes = read(old)
        if parent >= 0:
            before = list(nodes[parent])
            before[3 if is_right else 2] = len(nodes)
            nodes[parent] = tuple(before)  # type: ignore[assignment]
        nodes.append((feature, threshold, 0, 0, gap, held, codes))
        if feature >= 0:
            here = len(nodes) - 1
            ahead += [(right, here, True), (left, here, False)]
    return nodes


def _nodes(trees: Sequence[list[_Node]]) -> Nodes:
    feature, threshold, left, right, gap, held, codes = zip(*(node for tree in trees for node in tree), strict=True)
    counts = [len(tree) for tree in trees]
    starts = np.cumsum([0, *counts])
    chosen = [each for each in codes if each is not None]
    choice = sets = None
    if chosen:
        sets = np.zeros((len(chosen), 1 + max(map(max, chosen))), dtype=np.uint8)
        for row, each in enumerate(chosen):
            sets[row, list(each)] = 1
        turns = iter(range(len(chosen)))
        choice = np.array([-1 if each is None else next(turns) for each in codes])
    parts = [slice(start, start + count) for start, count in zip(starts.tolist(), counts, strict=False)]
    return join(
        counts,
        np.array(feature),
        np.array(threshold, dtype=np.float64),
        [np.array(left[part]) for part in parts],
        [np.array(right[part]) for part in parts],
        np.array(gap),
        np.array(held, dtype=np.float64)[:, None],
        choice,
        sets,
    )
