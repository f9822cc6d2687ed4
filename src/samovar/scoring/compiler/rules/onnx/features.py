"""What prepares features: norms, gaps, categories."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import operator
from samovar.scoring.compiler.rules.onnx.flow import Cells, Numbers, per_position, setting
from samovar.scoring.ops import Concat, Fill, OneHot, Ordinal, SingleShares
from samovar.scoring.ops.base import Array
from samovar.scoring.ops.encode import NOTHING, REFUSE

if TYPE_CHECKING:
    from samovar.scoring.compiler.rules.onnx.flow import Flow, Held
    from samovar.scoring.onnxfile import Node

_NORMS = {"L1": "l1", "L2": "l2", "MAX": "max"}


@operator("ai.onnx.ml.Normalizer")
def normalizer(node: Node, flow: Flow) -> None:
    """Rows over their norm."""
    value = flow.numbers(node)
    norm: Any = _NORMS[setting(node, "norm", "MAX")]
    flow.give(node, flow.exact(SingleShares((value.number,), norm), value.width))


@operator("ai.onnx.ml.Imputer")
def imputer(node: Node, flow: Flow) -> None:
    """Something else for NaN."""
    value = flow.numbers(node)
    if not math.isnan(setting(node, "replaced_value_float", 0.0)):
        raise NotLowered("Imputer replaces a number.")
    numbers = per_position(setting(node, "imputed_value_floats", ()), value.width, node)
    flow.give(node, flow.exact(Fill((value.number,), Array.of(numbers)), value.width))


@operator("Concat")
def concat(node: Node, flow: Flow) -> None:
    """Values side by side."""
    if setting(node, "axis", 0) not in (1, -1):
        raise NotLowered("Concat puts rows below each other.")
    parts: list[Held] = [flow.value(node, place) for place in range(len(node.inputs))]
    if all(isinstance(part, Cells) for part in parts):
        joined = flow.draft.join([cast("Cells", part).frame for part in parts])
        numbers = [flow.numbers(node, place) for place in range(len(parts))] if not hasattr(joined, "kinds") else []
        if not numbers:
            flow.give(node, Cells(cast("Any", joined)))
            return
    else:
        numbers = [flow.numbers(node, place) for place in range(len(parts))]
    if any(each.flat for each in numbers):
        raise NotLowered("Concat joins what has one dimension.")
    flow.give(node, flow.exact(Concat(tuple(each.number for each in numbers)), sum(each.width for each in numbers)))


@operator("ai.onnx.ml.OneHotEncoder")
def one_hot(node: Node, flow: Flow) -> None:
    """A position for each category; what is unknown is nowhere, or refused."""
    value = flow.value(node, 0)
    texts, integers = setting(node, "cats_strings", ()), np.asarray(setting(node, "cats_int64s", ())).tolist()
    if not isinstance(value, Cells) or value.frame.kinds != ("str" if texts else "int64",):
        raise NotLowered("OneHotEncoder reads something else than one column of text or integers.")
    keys = tuple(texts) or tuple(integers)
    unknown = NOTHING if setting(node, "zeros", 1) else REFUSE
    op = OneHot((value.frame.numbers[0],), keys, tuple(range(len(keys))), len(keys), unknown, unknown, value.frame.names[0])
    flow.give(node, Numbers(flow.draft.add(op), len(keys)))


@operator("ai.onnx.ml.LabelEncoder")
def label_encoder(node: Node, flow: Flow) -> None:
    """A number for each category."""
    value = flow.value(node, 0)
    keys = tuple(setting(node, "keys_strings", ())) or tuple(np.asarray(setting(node, "keys_int64s", ())).tolist())
    numbers = np.asarray(setting(node, "values_floats", ())).tolist()
    if not isinstance(value, Cells) or len(set(value.frame.kinds)) != 1 or len(keys) != len(numbers) or not keys:
        raise NotLowered("LabelEncoder is no lookup of floats by text or integers.")
    if value.frame.kinds[0] != ("str" if isinstance(keys[0], str) else "int64"):
        raise NotLowered("LabelEncoder reads columns of another type than its keys.")
    default = float(np.float32(setting(node, "default_float", -0.0)))
    parts = [
        flow.draft.add(Ordinal((number,), keys, tuple(numbers), default, default, name))
        for number, name in zip(value.frame.numbers, value.frame.names, strict=True)
    ]
    flow.give(node, flow.exact(Concat(tuple(parts)), len(parts)) if len(parts) > 1 else Numbers(parts[0], 1))
