"""Numbers with constants, position by position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import operator
from samovar.scoring.compiler.rules.onnx.flow import per_position
from samovar.scoring.onnxfile import Known
from samovar.scoring.ops import Affine, Scale
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.scoring.compiler.rules.onnx.flow import Flow
    from samovar.scoring.onnxfile import Node
    from samovar.scoring.ops import AnyOp


@operator("Add", "Mul", "Sub", "Div")
def arithmetic(node: Node, flow: Flow) -> None:
    """A row and a constant; nothing is divided by a row."""
    known = 0 if isinstance(flow.value(node, 0), Known) else 1
    if known == 0 and node.kind == "Div":
        raise NotLowered("Div begins with a constant.")
    value = flow.numbers(node, 1 - known)
    constant = per_position(flow.known(node, known), value.width, node)
    if value.flat and flow.known(node, known).ndim > 1:
        raise NotLowered(f"{node.kind} makes a matrix of what has one dimension.")
    kind = "From" if known == 0 and node.kind == "Sub" else node.kind
    flow.give(node, flow.compute(_op(kind, value.number, constant), value.width, flat=value.flat))


def _op(kind: str, number: int, constant: np.ndarray) -> AnyOp:
    ones, zeros = Array.of(np.ones(len(constant))), Array.of(np.zeros(len(constant)))
    match kind:
        case "Add":
            return Scale((number,), ones, Array.of(constant))
        case "Sub":
            return Scale((number,), ones, Array.of(-constant))
        case "From":
            return Scale((number,), Array.of(-np.ones(len(constant))), Array.of(constant))
        case "Mul":
            return Scale((number,), Array.of(constant), zeros)
        case _:
            return Affine((number,), zeros, Array.of(constant))


@operator("ai.onnx.ml.Scaler")
def scaler(node: Node, flow: Flow) -> None:
    """``(x - offset) * scale``, rounded in between."""
    value = flow.numbers(node)
    offset = per_position(node.settings.get("offset", [0.0]), value.width, node)
    scale = per_position(node.settings.get("scale", [1.0]), value.width, node)
    shifted = flow.compute(_op("Sub", value.number, offset), value.width)
    flow.give(node, flow.compute(_op("Mul", shifted.number, scale), value.width))
