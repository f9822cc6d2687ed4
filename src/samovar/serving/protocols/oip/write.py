"""Answers of the protocol: the outputs ``labels`` and ``probabilities``, as JSON or as bytes behind it."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.errors import RequestError
from samovar.serving.protocols.oip.tensors import datatype_of, pack
from samovar.serving.wire import Response

if TYPE_CHECKING:
    from samovar.serving.protocols.answers import Scored
    from samovar.serving.protocols.oip.read import Asked

LABELS, PROBABILITIES = "labels", "probabilities"

_BINARY = "binary_data_output"


def wanted(asked: Asked, outputs: tuple[str, ...]) -> dict[str, bool]:
    """Return the outputs to answer with, and for each whether as bytes.

    Raises:
        RequestError: an output is asked for that there is none of.
    """
    default = bool((asked.parameters or {}).get(_BINARY))
    if not asked.outputs:
        return dict.fromkeys(outputs, default)
    for index, output in enumerate(asked.outputs):
        if output.name not in outputs:
            raise RequestError(f"Expected one of the outputs {' and '.join(outputs)}.", path=f"outputs[{index}].name")
    return {output.name: bool((output.parameters or {}).get("binary_data", default)) for output in asked.outputs}


def answer(scored: Scored, asked: Asked, names: dict[str, bool], head: dict[str, Any]) -> bytes | Response:
    """Return the body; with bytes behind the JSON a whole response, whose header says where they begin."""
    blobs: list[bytes] = []
    outputs = [_output(name, scored, blobs, binary=binary) for name, binary in names.items()]
    body = dict(head)
    if asked.id:
        body["id"] = asked.id
    if echoed := {name: value for name, value in (asked.parameters or {}).items() if name != _BINARY}:
        body["parameters"] = echoed
    text = msgspec.json.encode(body | {"outputs": outputs})
    if not any(names.values()):
        return text
    headers = ((b"inference-header-content-length", b"%d" % len(text)),)
    return Response(200, text + b"".join(blobs), b"application/octet-stream", headers)


def _output(name: str, scored: Scored, blobs: list[bytes], *, binary: bool) -> dict[str, Any]:
    values: list[Any] = scored.labels if name == LABELS else scored.shares or []
    shape = [len(values)]
    if values and isinstance(values[0], list):
        shape.append(len(values[0]))
        values = list(chain.from_iterable(values))
    datatype = datatype_of(values[0]) if values else "FP64"
    output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
    if not binary:
        return output | {"data": values if datatype != "BYTES" else [str(value) for value in values]}
    blobs.append(pack(values, datatype))
    return output | {"parameters": {"binary_data_size": len(blobs[-1])}}
