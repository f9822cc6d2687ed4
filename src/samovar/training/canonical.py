"""A fitted estimator as skops bytes that are the same whenever the estimator is the same.

skops names its arrays by memory addresses and zip entries carry the time, so two equal models differ as files. Here the addresses
become their order of appearance and the time the zip epoch: the digest of a model file says whether it is the same model.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import skops.io
from sklearn.base import BaseEstimator

from samovar.errors import ModelError

_PLAIN = "JsonNode"  # skops's word for a number, a string, a truth value or None
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
