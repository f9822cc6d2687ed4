"""What an ONNX file could reach beyond itself: operators of other libraries, and files of tensors.

A graph of ONNX's own operators is data: running it runs onnxruntime's code and nobody else's. Operators of another domain are code
of a shared library. Tensors outside of the file may only be in the version's own folder, where mlflow writes them.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from samovar.errors import ModelError
from samovar.scoring.onnxfile.graph import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Domains whose operators are a part of onnxruntime."""

_REFUSED = frozenset({("com.microsoft", "EPContext")})
"""Of these, an operator that names programs of accelerators, as files."""


def strangers(model: Any) -> list[str]:
    """Return a parsed file's operators that are not onnxruntime's own, sorted; the model's own functions are made of others."""
    functions = {(function.domain, function.name) for function in model.functions}
    used = {(node.domain, node.op_type) for node in _nodes(model)}
    foreign = {pair for pair in used if pair in _REFUSED or (pair[0] not in _OWN and pair not in functions)}
    return sorted(f"{domain}.{name}" for domain, name in foreign)


def external(model: Any) -> list[str]:
    """Return the names of the files beside the model's that hold tensors.

    Raises:
        ModelError: one of them is not simply a name in the model's own folder.
    """
    tensors = (tensor for tensor in _tensors(model) if tensor.external_data or tensor.data_location)
    found = {name for tensor in tensors for name in _locations(tensor)}
    for name in found:
        path = PurePosixPath(name)
        if not name or path.is_absolute() or len(path.parts) != 1 or ".." in path.parts or "\\" in name:
            raise ModelError(
                "The ONNX file reads tensors from outside of the model's folder.", remedy="Log the model with its tensors inside."
            )
    return sorted(found)


def outside(data: bytes) -> list[str]:
    """Return what `external` does, of a file's bytes; nothing for a damaged one, which is refused where it is loaded."""
    try:
        return external(parse(data))
    except ModelError:
        return []


def _locations(tensor: Any) -> list[str]:
    # All of them: of several, onnxruntime takes the last one.
    return [str(entry.value) for entry in tensor.external_data if entry.key == "location"] or [""]


def _graphs(model: Any) -> Iterator[Any]:
    """Give every graph and function: anything that has nodes."""
    ahead = [model.graph, *model.functions]
    ahead += [part for training in model.training_info for part in (training.initialization, training.algorithm)]
    while ahead:
        graph = ahead.pop()
        yield graph
        ahead += [
            inner
            for each in _attributes(graph)
            for inner in (each.g, *each.graphs)
            if len(inner.node) or len(inner.initializer) or len(inner.sparse_initializer)
        ]


def _attributes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield from node.attribute
    yield from getattr(graph, "attribute_proto", ())


def _nodes(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        yield from graph.node


def _tensors(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        sparse = list(getattr(graph, "sparse_initializer", ()))
        yield from getattr(graph, "initializer", ())
        for each in _attributes(graph):
            yield each.t
            yield from each.tensors
            sparse += [each.sparse_tensor, *each.sparse_tensors]
        for pair in sparse:
            yield pair.values
            yield pair.indices
