"""From scores to labels and probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import operator
from samovar.scoring.compiler.rules.onnx.flow import Cells, Chosen, Maps, Numbers, setting
from samovar.scoring.ops import Activation, Single, SingleLogistic, SingleSigmoid, SingleSoftmax

if TYPE_CHECKING:
    from samovar.contracts.spec import Scalar
    from samovar.scoring.compiler.rules.onnx.flow import Flow, Held
    from samovar.scoring.onnxfile import Node

_FLOAT, _INTEGERS, _TEXT = 1, (6, 7), 8


def transformed(flow: Flow, scores: Numbers, node: Node, *, classes: int, stepwise: bool = False) -> Numbers:
    """Return a model's scores through its ``post_transform``; ``classes`` is how many there are, 0 for numbers.

    ``stepwise``: whether the logistic function is computed as it is written, and not approximated.
    """
    match setting(node, "post_transform", "NONE"):
        case "NONE":
            return scores
        case "SOFTMAX" if classes:
            return flow.exact(SingleSoftmax((scores.number,)), scores.width)
        case "LOGISTIC":
            logistic = SingleLogistic if stepwise else SingleSigmoid
            return flow.exact(logistic((scores.number,)), scores.width)
        case other:
            raise NotLowered(f"{node.kind} has the post_transform {other}.")


@operator("Softmax")
def softmax(node: Node, flow: Flow) -> None:
    """Over the positions of a row."""
    value = flow.numbers(node)
    if setting(node, "axis", -1) not in (1, -1) or value.flat:
        raise NotLowered("Softmax goes over rows.")
    flow.give(node, flow.exact(SingleSoftmax((value.number,)), value.width))


@operator("Sigmoid")
def sigmoid(node: Node, flow: Flow) -> None:
    """The logistic function."""
    value = flow.numbers(node)
    flow.give(node, Numbers(flow.draft.add(SingleSigmoid((value.number,))), value.width, value.flat))


@operator("Tanh")
def tanh(node: Node, flow: Flow) -> None:
    """The hyperbolic tangent."""
    value = flow.numbers(node)
    flow.give(node, flow.compute(Activation((value.number,), "tanh"), value.width, flat=value.flat))


@operator("Relu")
def relu(node: Node, flow: Flow) -> None:
    """What is below zero is zero."""
    value = flow.numbers(node)
    flow.give(node, flow.exact(Activation((value.number,), "relu"), value.width, flat=value.flat))


@operator("ArgMax")
def argmax(node: Node, flow: Flow) -> None:
    """The place of the greatest number of a row, the first of equals."""
    value = flow.numbers(node)
    if setting(node, "axis", 0) not in (1, -1) or setting(node, "select_last_index", 0):
        raise NotLowered("ArgMax goes over rows, or takes the last of equals.")
    flow.give(node, Chosen(value.number, "argmax", tuple(range(value.width)), flat=not setting(node, "keepdims", 1)))


@operator("ai.onnx.ml.ArrayFeatureExtractor")
def extract(node: Node, flow: Flow) -> None:
    """Some columns of rows; or, out of a constant, the class whose place was computed."""
    place = flow.value(node, 1)
    if isinstance(place, Chosen):
        names = flow.known(node, 0).ravel().tolist()
        if not all(isinstance(each, int) and 0 <= each < len(names) for each in place.classes):
            raise NotLowered("ArrayFeatureExtractor reads beyond its classes.")
        flow.give(node, Chosen(place.number, place.rule, tuple(names[each] for each in place.classes), flat=False))  # type: ignore[index]
        return
    flow.give(node, flow.select(flow.value(node, 0), flow.known(node, 1).ravel().tolist()))


@operator("ai.onnx.ml.ZipMap")
def zipmap(node: Node, flow: Flow) -> None:
    """Probabilities by class."""
    value = flow.numbers(node)
    names = setting(node, "classlabels_strings", None) or np.asarray(setting(node, "classlabels_int64s", ())).tolist()
    if len(names) != value.width:
        raise NotLowered("ZipMap has another number of classes than of numbers.")
    flow.give(node, Maps(value.number, tuple(names)))


@operator("Identity")
def identity(node: Node, flow: Flow) -> None:
    """The same."""
    flow.give(node, flow.value(node, 0))


@operator("Cast")
def cast(node: Node, flow: Flow) -> None:
    """Numbers stay float32; classes become integers, floats or text."""
    to, value = int(setting(node, "to", 0)), flow.value(node, 0)
    if isinstance(value, Chosen):
        flow.give(node, Chosen(value.number, value.rule, tuple(_class(each, to) for each in value.classes), value.flat))
    elif to == _FLOAT and isinstance(value, Numbers):
        flow.give(node, value)
    elif to == _FLOAT and isinstance(value, Cells):
        flow.give(node, _floats(flow, value))
    elif isinstance(value, Cells) and (
        (to == 7 and set(value.frame.kinds) == {"int64"}) or (to == _TEXT and set(value.frame.kinds) == {"str"})
    ):
        flow.give(node, value)
    else:
        raise NotLowered("Cast changes numbers.")


def _floats(flow: Flow, cells: Cells) -> Held:
    if "str" in cells.frame.kinds:
        raise NotLowered("Cast reads numbers out of text.")
    return Numbers(flow.draft.add(Single((flow.draft.dense(cells.frame).number,))), cells.frame.width)


def _class(value: Scalar, to: int) -> Scalar:
    if to == _TEXT and isinstance(value, str):
        return value
    if isinstance(value, int | float) and to in _INTEGERS and float(value).is_integer():
        return int(value)
    if isinstance(value, int | float) and to == _FLOAT and abs(value) < 2**24:
        return float(value)
    raise NotLowered("Cast changes the classes.")


@operator("Reshape", "Flatten", "Squeeze")
def reshape(node: Node, flow: Flow) -> None:
    """To a matrix of the same rows, or from one of one column to none."""
    value = flow.value(node, 0)
    if isinstance(value, Cells):
        value = flow.numbers(node)
    flat = _flattens(node, flow, value)
    if isinstance(value, Chosen):
        flow.give(node, Chosen(value.number, value.rule, value.classes, flat))
    elif isinstance(value, Numbers) and (value.width == 1 or not flat):
        flow.give(node, Numbers(value.number, value.width, flat))
    else:
        raise NotLowered(f"{node.kind} changes the rows.")


def _flattens(node: Node, flow: Flow, value: Held) -> bool:
    """Return whether the result has one dimension; raises NotLowered when it is neither that nor the same rows."""
    if node.kind == "Flatten" and setting(node, "axis", 1) == 1:
        return False
    if node.kind == "Squeeze":
        axes = flow.known(node, 1).ravel().tolist() if len(node.inputs) > 1 else list(np.ravel(setting(node, "axes", (1,))))
        if axes in ([1], [-1]):
            return True
    if node.kind == "Reshape":
        shape = flow.known(node, 1).ravel().tolist()
        width = value.width if isinstance(value, Numbers) else 1
        if shape in ([-1], [-1, width], [0, width], [0, -1]):
            return len(shape) == 1
    raise NotLowered(f"{node.kind} changes the rows.")
