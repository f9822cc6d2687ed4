"""A request of the protocol into columns: one input for each column of the signature, or one matrix."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.errors import RequestError
from samovar.scoring.forms.layout import Raw
from samovar.serving.protocols.oip.tensors import Tensor, flat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from samovar.scoring.forms.layout import Layout

LENGTH = b"inference-header-content-length"
"""The header that says how many bytes of the body are JSON; the tensors' bytes follow."""

_SHAPE = 'Expected {"inputs": [{"name": ..., "shape": [...], "datatype": ..., "data": [...]}, ...]}.'


class Wanted(msgspec.Struct):
    """An output that the client asks for."""

    name: str
    parameters: dict[str, Any] | None = None


class Asked(msgspec.Struct):
    """The JSON of a request."""

    inputs: list[Tensor]
    id: str = ""
    parameters: dict[str, Any] | None = None
    outputs: list[Wanted] | None = None


_DECODER = msgspec.json.Decoder(Asked)


def read(body: bytes, headers: Mapping[bytes, bytes], layout: Layout) -> tuple[Asked, list[list[Any]]]:
    """Return the request and its typed columns.

    Raises:
        RequestError: the body is no such request, or a value breaks the signature.
    """
    split = _split(body, headers)
    asked = _decode(body[:split])
    blobs = memoryview(body)[split:]
    columns: list[tuple[Tensor, list[Any], str]] = []
    for index, tensor in enumerate(asked.inputs):
        path = f"inputs[{index}]"
        size = tensor.size
        if size is not None and size > len(blobs):
            raise RequestError("Expected as many bytes as binary_data_size says.", path=path)
        columns.append((tensor, flat(tensor, None if size is None else blobs[:size], path), path))
        blobs = blobs[size or 0 :]
    if len(blobs):
        raise RequestError("More bytes follow the JSON than the inputs have.")
    return asked, layout.typed(_raw(columns, layout))


def _split(body: bytes, headers: Mapping[bytes, bytes]) -> int:
    value = headers.get(LENGTH)
    if value is None:
        return len(body)
    if not value.isdigit() or len(value) > 18 or int(value) > len(body):
        raise RequestError("Expected the length of the JSON in Inference-Header-Content-Length.")
    return int(value)


def _decode(body: bytes) -> Asked:
    try:
        return _DECODER.decode(body)
    except msgspec.ValidationError:
        raise RequestError(_SHAPE, path="inputs") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    except RecursionError:
        raise RequestError("The body is nested too deeply.") from None
    try:  # Python clients write NaN and Infinity
        asked = msgspec.convert(json.loads(body), Asked)
        msgspec.json.encode((asked.id, asked.parameters))  # they come back in the answer: half characters would not
    except msgspec.ValidationError:
        raise RequestError(_SHAPE, path="inputs") from None
    except (ValueError, RecursionError):
        raise RequestError("The body is not valid JSON.", remedy="Send one UTF-8 JSON document.") from None
    return asked


def _raw(columns: list[tuple[Tensor, list[Any], str]], layout: Layout) -> Raw:
    if len(columns) == 1 and (not layout.named or (len(columns[0][0].shape) == 2 and columns[0][0].name not in layout.names)):
        return _matrix(*columns[0], len(layout.columns))
    names, values, rows = [], [], -1
    for tensor, own, path in columns:
        if len(tensor.shape) not in (1, 2) or (len(tensor.shape) == 2 and tensor.shape[1] != 1):
            raise RequestError("Expected a column: the shape [n] or [n, 1].", path=f"{path}.shape")
        if rows not in (-1, len(own)):
            raise RequestError("The inputs differ in length.", path=f"{path}.shape")
        rows = len(own)
        names.append(tensor.name)
        values.append(own)
    return Raw(names, values, max(rows, 0))


def _matrix(tensor: Tensor, values: list[Any], path: str, width: int) -> Raw:
    if width == 1 and len(tensor.shape) == 1:  # texts, one a row
        return Raw((0,), [values], len(values), placed=True)
    if len(tensor.shape) != 2 or tensor.shape[1] != width:
        raise RequestError(f"Expected a matrix of the shape [n, {width}].", path=f"{path}.shape")
    return Raw(range(width), [values[k::width] for k in range(width)], len(values) // width, placed=True)
