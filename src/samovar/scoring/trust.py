"""Which model files run no code: our own allow-list of exact types, audited type by type.

A skops file names the types it wants to build. ``skops_trusted_types`` in an ``MLmodel`` file is written by the model's author and
therefore ignored. A type is on the list (`samovar.scoring.allowed`) when building it from any content runs nothing of the
author's choice: no functions but numpy's elementwise ones, no methods, partials, ``operator`` callers or ``__reduce__`` of a
free constructor. What a type's *content* could do (indices into memory) is checked after the load: `samovar.scoring.contents`.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from samovar.errors import ModelError
from samovar.scoring.allowed import ALLOWED, names

_SCHEMA_LIMIT = 512 * 2**20  # bytes; a forest of a thousand deep trees has a schema of some ten megabytes


def untrusted(data: bytes) -> list[str]:
    """Return the types of a skops file that are not on the allow-list, sorted; empty means safe to load.

    A type in an unexpected role (a function where an object belongs, or a loader that is not on the list) is named as
    ``Loader:type``.

    Raises:
        ModelError: the bytes are no skops file.
    """
    found: set[str] = set()
    pending: list[Any] = [_schema(data)]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if "__loader__" in node and (stranger := _stranger(node)):
                found.add(stranger)
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    return sorted(found)


def allowed_types() -> list[str]:
    """Return every type name on the list, as skops wants them."""
    return sorted(names())


def _stranger(node: dict[str, Any]) -> str:
    loader = str(node["__loader__"])
    if loader == "CachedNode":  # a reference to a node that is judged where it stands
        return ""
    name = f"{node.get('__module__')}.{node.get('__class__')}"
    if name in ALLOWED.get(loader, frozenset()):
        return ""
    return name if loader in ("ObjectNode", "FunctionNode", "TypeNode") and name not in names() else f"{loader}:{name}"


def _schema(data: bytes) -> Any:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if archive.getinfo("schema.json").file_size > _SCHEMA_LIMIT:
                raise ModelError("The skops file's schema is larger than any model needs.")
            return json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError) as error:
        raise ModelError(f"The model file is no skops file ({type(error).__name__}).", remedy="Log the model again.") from None


def sentence(strangers: list[str]) -> str:
    """Say why a model needs trust, in one sentence."""
    if strangers == ["pickle"]:
        return "The model is stored as a pickle, which can run any code when it loads."
    shown = ", ".join(strangers[:5]) + (f" and {len(strangers) - 5} more" if len(strangers) > 5 else "")
    return f"The model holds types that are not on the list of safe ones: {shown}."


def remedy(model: str, version: int) -> str:
    """Say how a person trusts one version."""
    name = f"'{model}/{version}'" if any(character in model for character in " '\"$&;()<>|*?[]#~\\`!") else f"{model}/{version}"
    return f"If you trust who logged it, run `samovar trust {name}`."
