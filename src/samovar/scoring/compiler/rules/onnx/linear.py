"""Matrix products and linear models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import operator
from samovar.scoring.compiler.rules.onnx.answers import transformed
from samovar.scoring.compiler.rules.onnx.flow import Chosen, setting
from samovar.scoring.ops import SingleLinear, SingleOrder
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.scoring.compiler.rules.onnx.flow import Flow, Numbers
    from samovar.scoring.onnxfile import Node

_PACKED = 256  # rows of a constant matrix that onnxruntime packs, and sums, together


@operator("MatMul")
def matmul(node: Node, flow: Flow) -> None:
    """``x @ w``."""
    weights = flow.known(node, 1)
    flow.give(node, _linear(flow, node, weights.T, np.zeros(weights.shape[-1]), _PACKED))


@operator("Gemm")
def gemm(node: Node, flow: Flow) -> None:
    """``x @ w + c``."""
    if setting(node, "alpha", 1.0) != 1.0 or setting(node, "beta", 1.0) != 1.0 or setting(node, "transA", 0):
        raise NotLowered("Gemm scales or transposes its input.")
    weights = flow.known(node, 1)
    weights = weights if setting(node, "transB", 0) else weights.T
    constant = flow.known(node, 2).ravel() if len(node.inputs) > 2 else np.zeros(len(weights))
    if constant.size not in (1, len(weights)):
        raise NotLowered("Gemm adds a constant that is no row.")
    flow.give(node, _linear(flow, node, weights, np.broadcast_to(constant, len(weights)), _PACKED))


@operator("ai.onnx.ml.LinearRegressor")
def regressor(node: Node, flow: Flow) -> None:
    """One number for each target."""
    count = int(setting(node, "targets", 1))
    flow.give(node, transformed(flow, _model(flow, node, count), node, classes=0))


@operator("ai.onnx.ml.LinearClassifier")
def classifier(node: Node, flow: Flow) -> None:
    """The class of the greatest score, and the scores through a function."""
    classes = labels(node, "classlabels_ints")
    count = len(setting(node, "intercepts", ()))
    if count != len(classes):
        raise NotLowered("LinearClassifier has another number of scores than of classes.")
    scores = _model(flow, node, count)
    order = flow.draft.add(SingleOrder((scores.number,)))
    flow.give(node, Chosen(order, "argmax", classes), transformed(flow, scores, node, classes=count))


def labels(node: Node, integers: str) -> tuple[Any, ...]:
    """Return a classifier's classes; raises NotLowered for less than two."""
    found = tuple(setting(node, "classlabels_strings", ())) or tuple(np.asarray(setting(node, integers, ())).tolist())
    if len(found) < 2:
        raise NotLowered(f"{node.kind} has one class only, or none.")
    return found


def _model(flow: Flow, node: Node, count: int) -> Numbers:
    weights = np.reshape(setting(node, "coefficients", ()), (count, -1))
    constants = setting(node, "intercepts", None)
    return _linear(flow, node, weights, np.zeros(count) if constants is None else constants, 0)


def _linear(flow: Flow, node: Node, weights: Any, constants: Any, block: int) -> Numbers:
    value = flow.numbers(node)
    if weights.ndim != 2 or weights.shape[1] != value.width or value.flat:
        raise NotLowered(f"{node.kind} multiplies matrices of other shapes.")
    block = block if weights.shape[1] > block else 0
    op = SingleLinear((value.number,), Array.of(weights, "f4"), Array.of(constants, "f4"), block)
    return flow.exact(op, len(weights))
