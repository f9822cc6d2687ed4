"""Tensors of the protocol: from JSON or bytes into flat lists of builtin values, and back."""

from __future__ import annotations

import math
import struct
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from samovar.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

_RANK = 8  # dimensions of a tensor
_LONGEST = 2**31

DTYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""The protocol's names of numbers, as numpy writes them; BYTES is text here."""

_LENGTH = struct.Struct("<I")


class Tensor(msgspec.Struct):
    """An input as it was sent; ``data`` is absent when its bytes follow the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: Any = None

    @property
    def size(self) -> int | None:
        """How many bytes it has behind the JSON; None when its data are in the JSON."""
        size = (self.parameters or {}).get("binary_data_size")
        return size if type(size) is int and size >= 0 else None


def flat(tensor: Tensor, blob: memoryview | None, path: str) -> list[Any]:
    """Return a tensor's values in row-major order.

    Args:
        tensor: the input.
        blob: its bytes, None when the data are in the JSON.
        path: what a refusal calls it.

    Raises:
        RequestError: shape, datatype and data do not fit.
    """
    # Before they are multiplied: a long list of lengths, or long ones, would take minutes of one C call.
    if len(tensor.shape) > _RANK or not all(0 <= length < _LONGEST for length in tensor.shape):
        raise RequestError(f"Expected a shape of at most {_RANK} lengths.", path=f"{path}.shape")
    count = math.prod(tensor.shape)
    if tensor.datatype != "BYTES" and tensor.datatype not in DTYPES:
        raise RequestError("Expected a datatype of the protocol, for example FP64, INT64, BOOL or BYTES.", path=f"{path}.datatype")
    values = _unpacked(blob, tensor.datatype, path) if blob is not None else _flattened(tensor.data, len(tensor.shape), path)
    if len(values) != count:
        raise RequestError("Expected as many values as the shape says.", path=f"{path}.data")
    if tensor.datatype == "BOOL":
        return [bool(value) if type(value) is int and value in (0, 1) else value for value in values]
    return values


def _flattened(data: Any, depth: int, path: str) -> list[Any]:
    if not isinstance(data, list):
        raise RequestError("Expected a list of values.", path=f"{path}.data")
    for _ in range(depth - 1):
        if not data or not isinstance(data[0], list):
            break
        if not all(isinstance(part, list) for part in data):
            raise RequestError("Expected lists of one depth.", path=f"{path}.data")
        data = list(chain.from_iterable(data))
    values: list[Any] = data
    return values


def _unpacked(blob: memoryview, datatype: str, path: str) -> list[Any]:
    try:
        if datatype == "BYTES":
            return _texts(blob)
        numbers: list[Any] = np.frombuffer(blob, DTYPES[datatype]).tolist()
    except (ValueError, struct.error):  # UnicodeDecodeError is a ValueError
        words = "UTF-8 text with its length before it" if datatype == "BYTES" else f"whole numbers of bytes of {datatype}"
        raise RequestError(f"Expected {words}.", path=f"{path}.data") from None
    return numbers


def _texts(blob: memoryview) -> list[str]:
    texts: list[str] = []
    start = 0
    while start < len(blob):
        (length,) = _LENGTH.unpack_from(blob, start)
        stop = start + _LENGTH.size + length
        if stop > len(blob):
            raise ValueError
        texts.append(str(blob[start + _LENGTH.size : stop], "utf-8"))
        start = stop
    return texts


def pack(values: Sequence[Any], datatype: str) -> bytes:
    """Return flat values as the extension writes them."""
    if datatype != "BYTES":
        return np.array(values, dtype=DTYPES[datatype]).tobytes()
    encoded = [str(value).encode() for value in values]
    return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)


def datatype_of(value: Any) -> str:
    """Return the datatype that holds a builtin value."""
    return {bool: "BOOL", int: "INT64", float: "FP64"}.get(type(value), "BYTES")
