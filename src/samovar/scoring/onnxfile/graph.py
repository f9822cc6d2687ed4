"""The graph of an ONNX file: nodes, constants, what goes in and what comes out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.errors import ModelError
from samovar.scoring.onnxfile.schema import model_class

if TYPE_CHECKING:
    from collections.abc import Mapping

_DTYPES = {1: "<f4", 2: "u1", 3: "i1", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8"}
_STRING = 8
_FIELDS = {1: "float_data", 7: "int64_data", 11: "double_data", 12: "uint64_data", 13: "uint64_data"}
_EXTERNAL = 1
KINDS = {1: "float", 6: "int32", 7: "int64", 8: "string", 9: "bool", 11: "double"}
"""ONNX's element types by number, as far as a program has them."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the graph: its name, the kind of its elements (empty when it is another), its shape (None: unknown)."""

    name: str
    kind: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class Known:
    """A constant."""

    array: np.ndarray


@dataclass(frozen=True, slots=True)
class Node:
    """One operator.

    Attributes:
        kind: its name, with the domain in front unless that is ONNX's own: ``Gemm``, ``ai.onnx.ml.Scaler``.
        inputs: names of values; an empty one is left out.
        outputs: names of values.
        settings: attributes: numbers, text, lists of both, constants.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph, its nodes in an order in which they can be run."""

    nodes: tuple[Node, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    known: dict[str, Known] = field(default_factory=dict)


def parse(data: bytes) -> Any:
    """Return the file as a protobuf message.

    Raises:
        ModelError: the bytes are no ONNX file.
    """
    model = model_class()()
    try:
        model.ParseFromString(data)
    except Exception:  # noqa: BLE001 - protobuf's errors are of several kinds
        raise ModelError("The ONNX file is damaged.", remedy="Log the model again.") from None
    if not model.graph.output:
        raise ModelError("The ONNX file has no graph with outputs.", remedy="Log the model again.")
    return model


def read(data: bytes, files: Mapping[str, bytes] | None = None) -> Graph:
    """Read a file.

    Args:
        data: its bytes.
        files: what tensors outside of it are read from, by location.

    Raises:
        ModelError: it is damaged, or a tensor's data are missing.
    """
    graph = parse(data).graph
    try:
        known = {tensor.name: Known(_array(tensor, files or {})) for tensor in graph.initializer if _is_read(tensor)}
        return Graph(
            tuple(_node(node, files or {}) for node in graph.node),
            tuple(_port(each) for each in graph.input if each.name not in known),
            tuple(map(_port, graph.output)),
            known,
        )
    except (KeyError, ValueError, TypeError, UnicodeDecodeError):
        raise ModelError("A tensor of the ONNX file is damaged or missing.", remedy="Log the model again.") from None


def _port(info: Any) -> Port:
    held = info.type.tensor_type
    shape = tuple(each.dim_value if each.HasField("dim_value") else None for each in held.shape.dim)
    return Port(info.name, KINDS.get(held.elem_type, ""), shape if held.HasField("shape") else None)


def _node(node: Any, files: Mapping[str, bytes]) -> Node:
    domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
    settings = {each.name: _setting(each, files) for each in node.attribute}
    return Node(f"{domain}{node.op_type}", tuple(node.input), tuple(node.output), settings)


def _setting(attribute: Any, files: Mapping[str, bytes]) -> Any:  # noqa: PLR0911 - one line for each type
    match attribute.type:
        case 1:
            return attribute.f
        case 2:
            return attribute.i
        case 3:
            return attribute.s.decode()
        case 4:
            return Known(_array(attribute.t, files)) if _is_read(attribute.t) else None
        case 6:
            return np.array(attribute.floats, dtype=np.float32)
        case 7:
            return np.array(attribute.ints, dtype=np.int64)
        case 8:
            return [each.decode() for each in attribute.strings]
        case _:
            return None  # graphs and what else no rule reads


def _is_read(tensor: Any) -> bool:
    """Whether numpy has such elements; onnxruntime knows more, and what is left out here is merely not lowered."""
    return tensor.data_type in _DTYPES or tensor.data_type == _STRING


def _array(tensor: Any, files: Mapping[str, bytes]) -> np.ndarray:
    shape = tuple(tensor.dims)
    if tensor.data_type == _STRING:
        return np.array([each.decode() for each in tensor.string_data], dtype=object).reshape(shape)
    dtype = np.dtype(_DTYPES[tensor.data_type])
    if tensor.data_location == _EXTERNAL:
        return np.frombuffer(_outside(tensor, files), dtype, count=math.prod(shape)).reshape(shape)
    if tensor.raw_data:
        return np.frombuffer(tensor.raw_data, dtype).reshape(shape)
    if tensor.data_type == 10:  # half precision as bits in 32-bit integers
        return np.array(tensor.int32_data, dtype=np.uint16).view(np.float16).reshape(shape)
    return np.array(getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data")), dtype=dtype).reshape(shape)


def _outside(tensor: Any, files: Mapping[str, bytes]) -> bytes:
    where = {entry.key: entry.value for entry in tensor.external_data}
    held, offset = files[where["location"]], int(where.get("offset", "0"))
    return held[offset : offset + int(where["length"])] if "length" in where else held[offset:]
