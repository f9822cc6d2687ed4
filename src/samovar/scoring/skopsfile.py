"""A skops file before skops reads it: what it says of itself, and the same file with large vocabularies written shorter.

skops keeps every number of a fitted vocabulary as an array file of its own, twenty thousand of them for a usual text model, and
takes seconds to read them. As one document of plain numbers they mean the same to a vectorizer and cost a tenth.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCHEMA = "schema.json"
_SCHEMA_LIMIT = 512 * 2**20  # bytes; a forest of a thousand deep trees has a schema of some ten megabytes
_MANY = 200  # entries from which on rewriting a dictionary pays
_LOCAL_HEADER = 30  # bytes of a zip member's own header, before its name

Node = dict[str, Any]


class SkopsFile:
    """A skops file that nothing was built from yet.

    Args:
        data: the file.

    Attributes:
        nodes: every part of the schema that says how it is loaded.
        kinds: loader, module and class of them, each kind once: of a large vocabulary thousands of parts are alike.

    Raises:
        ModelError: the bytes are no skops file.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
            if self._archive.getinfo(_SCHEMA).file_size > _SCHEMA_LIMIT:
                raise ModelError("The skops file's schema is larger than any model needs.")
            self._tree = json.loads(self._archive.read(_SCHEMA))
        except (zipfile.BadZipFile, KeyError, ValueError, RecursionError) as error:
            raise ModelError(f"The model file is no skops file ({type(error).__name__}).", remedy="Log the model again.") from None
        self.nodes: list[Node] = list(_nodes(self._tree))
        self.kinds = {(str(node["__loader__"]), str(node.get("__module__")), str(node.get("__class__"))) for node in self.nodes}

    def lightened(self) -> bytes:
        """Return a file of the same objects with its large vocabularies as plain numbers; do not use this one any more.

        What is not of the usual form stays as it is, for skops to judge.
        """
        large = [node for node in self.nodes if node["__loader__"] == "DictNode" and _is_vocabulary(node)]
        cached = {node.get("__id__") for node in self.nodes if node["__loader__"] == "CachedNode"} if large else set()
        gone: set[str] = set()
        for node in large:
            inside = list(node["content"].values())
            if cached.isdisjoint(value.get("__id__") for value in inside) and (numbers := self._numbers(inside)):
                gone |= {value["file"] for value in inside}
                _replace(node, numbers)
        return self._without(gone) if gone else self._data

    def _numbers(self, values: list[Node]) -> list[int]:
        """Read array files that each hold one integer; nothing when one of them is of another form."""
        model = io.BytesIO()
        np.save(model, np.int64(0))
        head = model.getvalue()[:-8]
        found = []
        for value in values:
            content = self._content(str(value.get("file")))
            if len(content) != len(head) + 8 or not content.startswith(head):
                return []
            found.append(int.from_bytes(content[-8:], "little", signed=True))
        return found

    def _content(self, name: str) -> bytes:
        """Return a member that is stored as it is, else nothing; zipfile's own way takes ten times as long."""
        member = self._archive.NameToInfo.get(name)
        if member is None or member.compress_type != zipfile.ZIP_STORED:
            return b""
        start = member.header_offset + _LOCAL_HEADER
        lengths = self._data[start - 4 : start]
        start += int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        content = self._data[start : start + member.file_size]
        return content if zlib.crc32(content) == member.CRC else b""

    def _without(self, gone: set[str]) -> bytes:
        left = {str(node.get("file")) for node in _nodes(self._tree)}  # what something else reads too stays
        output = io.BytesIO()
        with zipfile.ZipFile(output, "w") as written:
            for name in self._archive.namelist():
                if name != _SCHEMA and (name not in gone or name in left):
                    written.writestr(name, self._archive.read(name))
            written.writestr(_SCHEMA, json.dumps(self._tree))
        return output.getvalue()


def _nodes(tree: Any) -> Iterator[Node]:
    pending: list[Any] = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            if "__loader__" in part:
                yield part
            part = part.values()
        pending.extend([inner for inner in part if isinstance(inner, dict | list)])


def _is_vocabulary(node: Node) -> bool:
    content, kinds = node.get("content"), node.get("key_types")
    if not isinstance(content, dict) or len(content) < _MANY or not isinstance(kinds, dict) or node.get("__class__") != "dict":
        return False
    types = kinds.get("content")
    texts = isinstance(types, list) and len(types) == len(content) and all(_is(kind, "TypeNode", "str") for kind in types)
    return texts and all(_is(value, "NdArrayNode", "int64") and value.get("type") == "numpy" for value in content.values())


def _is(node: Any, loader: str, name: str) -> bool:
    return isinstance(node, dict) and node.get("__loader__") == loader and node.get("__class__") == name


def _replace(node: Node, numbers: list[int]) -> None:
    content = json.dumps(dict(zip(node["content"], numbers, strict=True)))
    node.pop("key_types")
    node.update({"__class__": "str", "__loader__": "JsonNode", "content": content, "is_json": True})
