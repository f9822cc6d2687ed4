"""A fitted estimator as skops bytes that are the same whenever the estimator is the same.

skops names its arrays by memory addresses and zip entries carry the time, so two equal models differ as files. Here the addresses
become their order of appearance and the time the zip epoch: the digest of a model file says whether it is the same model.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import numpy as np
import skops.io
from sklearn.base import BaseEstimator

from samovar.errors import ModelError

_PLAIN = "JsonNode"  # skops's word for a number, a string, a truth value or None
_NPY = b"\x93NUMPY"
_MARKS = frozenset({"__id__", "__class__", "__module__", "__loader__"})
_WRITERS = frozenset({"_skops_version", "_sklearn_version", "protocol"})
"""Which versions wrote the file: no part of what was fitted."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def dumps(estimator: Any) -> bytes:
    """Serialise an estimator, and see that it comes back.

    Raises:
        ModelError: skops cannot store it (a function defined inside another one, a lambda, an open handle).
    """
    _lighten(estimator)
    try:
        data = canonical(skops.io.dumps(estimator))
        skops.io.loads(data, trusted=untrusted_types(data))
    except Exception as error:  # skops raises what the object's own state makes it raise
        raise ModelError(
            f"The model cannot be stored by skops ({type(error).__name__}).",
            remedy="Use classes and functions defined at the top level of an installed module.",
        ) from error
    return data


def _lighten(part: Any) -> None:
    """Let the vocabularies of fitted vectorizers hold builtin integers: skops would write an array file for each number."""
    if isinstance(part, list | tuple):
        for item in part:
            _lighten(item)
    if not isinstance(part, BaseEstimator):
        return
    for name, value in vars(part).items():
        if name == "vocabulary_" and isinstance(value, dict):
            part.vocabulary_ = {term: int(position) for term, position in value.items()}
        else:
            _lighten(value)


def untrusted_types(data: bytes) -> list[str]:
    """Types that skops itself does not vouch for, which MLflow wants listed when it loads the model."""
    return list(skops.io.get_untrusted_types(data=data))


def canonical(data: bytes) -> bytes:
    """Rewrite a skops file so that equal content gives equal bytes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read("schema.json"))
        contents = {name: archive.read(name) for name in archive.namelist() if name != "schema.json"}
    numbers: dict[int | str, int] = {}
    files: dict[str, str] = {}
    _renumber(schema, numbers, files)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for old, new in sorted(files.items(), key=lambda pair: pair[1]):
            _store(archive, new, contents[old])
        _store(archive, "schema.json", json.dumps(schema, indent=1).encode())
    return target.getvalue()


def digest(data: bytes) -> str:
    """Return the SHA-256 of what was fitted: of content, whatever compressed it.

    Which equal numbers and texts are one object in memory is no part of it: that depends on where a parameter was read from.
    """
    total = hashlib.sha256()
    for path, leaf in leaves(data).items():
        total.update(hashlib.sha256(path.encode()).digest() + hashlib.sha256(leaf).digest())
    return total.hexdigest()


def differences(then: bytes, now: bytes, most: int = 10) -> list[str]:
    """Say what differs between two stored models, in the order of the model: at most so many lines."""
    old, new = leaves(then), leaves(now)
    found = [f"{path}: {_difference(old.get(path), new.get(path))}" for path in old | new if old.get(path) != new.get(path)]
    return [*found[:most], *([f"and {len(found) - most} more"] if len(found) > most else [])]


def leaves(data: bytes) -> dict[str, bytes]:
    """Everything a model holds by its path: arrays as ``.npy``, numbers and texts as JSON, and the types of what holds them."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found: dict[str, bytes] = {}
        _collect(json.loads(archive.read("schema.json")), "model", archive, found)
    return found


def _collect(node: Any, path: str, archive: zipfile.ZipFile, found: dict[str, bytes]) -> None:
    if isinstance(node, list):
        for place, item in enumerate(node):
            _collect(item, f"{path}[{place}]", archive, found)
    elif isinstance(node, dict) and node.get("__loader__") == "JsonNode":
        found[path] = str(node["content"]).encode()
    elif isinstance(node, dict) and "__loader__" in node:
        kind = f"{node.get('__module__')}.{node.get('__class__')}"  # an object and its dictionary have one path
        found[f"{path}:type"] = found.get(f"{path}:type", b"") + f"{kind};".encode()
        for key, value in node.items():
            if key == "file" and isinstance(value, str):
                found[path] = archive.read(value)
            elif key not in _MARKS | _WRITERS:
                _collect(value, path if key == "content" else f"{path}.{key}", archive, found)
    elif isinstance(node, dict):
        for key, value in node.items():
            _collect(value, f"{path}.{key}", archive, found)
    else:
        found[path] = json.dumps(node).encode()


def _difference(then: bytes | None, now: bytes | None) -> str:
    if then is None or now is None:
        return "only in the recorded model" if now is None else "only in the new model"
    if not then.startswith(_NPY) or not now.startswith(_NPY):
        return f"{then[:60].decode(errors='replace')} was recorded, {now[:60].decode(errors='replace')} was fitted"
    old, new = (np.load(io.BytesIO(one), allow_pickle=False) for one in (then, now))
    if old.shape != new.shape or old.dtype != new.dtype:
        return f"shape {old.shape} of {old.dtype} was recorded, {new.shape} of {new.dtype} was fitted"
    if old.dtype.kind not in "iuf":
        return f"{int((old != new).sum())} of {old.size} entries differ"
    return f"the greatest difference is {np.abs(old.astype(float) - new.astype(float)).max():.3g}"


def _renumber(node: Any, numbers: dict[int | str, int], files: dict[str, str]) -> None:
    if isinstance(node, list):
        for item in node:
            _renumber(item, numbers, files)
    if not isinstance(node, dict):
        return
    if node.get("__loader__") == _PLAIN:
        # Whether two equal numbers or strings are one object is chance: it depends on whether a part was pickled on its way.
        content = json.dumps({key: value for key, value in node.items() if key != "__id__"}, sort_keys=True)
        node["__id__"] = numbers.setdefault(content, len(numbers) + 1)
        return
    for key, value in node.items():
        if key == "__id__":
            node[key] = numbers.setdefault(value, len(numbers) + 1)
        elif key == "file" and isinstance(value, str) and "__loader__" in node:
            node[key] = files.setdefault(value, f"{len(files) + 1:06d}.{value.rpartition('.')[2]}")
        else:
            _renumber(value, numbers, files)


def _store(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)
