"""Which model files run no code: our own allow-list of exact types, audited type by type.

A skops file names the types it wants to build. ``skops_trusted_types`` in an ``MLmodel`` file is written by the model's author and
therefore ignored. A type is on the list (`samovar.scoring.allowed`) when building it from any content runs nothing of the
author's choice: no functions but numpy's elementwise ones, no methods, partials, ``operator`` callers or ``__reduce__`` of a
free constructor. What a type's *content* could do (indices into memory) is checked after the load: `samovar.scoring.contents`.
"""

from __future__ import annotations

from samovar.scoring.allowed import ALLOWED, names
from samovar.scoring.skopsfile import SkopsFile


def untrusted(data: bytes) -> list[str]:
    """Return the types of a skops file that are not on the allow-list, sorted; empty means safe to load.

    A type in an unexpected role (a function where an object belongs, or a loader that is not on the list) is named as
    ``Loader:type``.

    Raises:
        ModelError: the bytes are no skops file.
    """
    return strangers(SkopsFile(data))


def strangers(file: SkopsFile) -> list[str]:
    """Return what `untrusted` does, of a file whose schema is read already."""
    return sorted({stranger for kind in file.kinds if (stranger := _stranger(*kind))})


def named(file: SkopsFile) -> list[str]:
    """Return the types that a file names, as skops wants to be told them.

    Only these, once `strangers` has judged them: skops compares each part of a model with the whole list.
    """
    return sorted({f"{module}.{name}" for _, module, name in file.kinds})


def allowed_types() -> list[str]:
    """Return every type name on the list, as skops wants them."""
    return sorted(names())


def _stranger(loader: str, module: str, kind: str) -> str:
    if loader == "CachedNode":  # a reference to a node that is judged where it stands
        return ""
    name = f"{module}.{kind}"
    if name in ALLOWED.get(loader, frozenset()):
        return ""
    return name if loader in ("ObjectNode", "FunctionNode", "TypeNode") and name not in names() else f"{loader}:{name}"


def sentence(found: list[str]) -> str:
    """Say why a model needs trust, in one sentence."""
    if found == ["pickle"]:
        return "The model is stored as a pickle, which can run any code when it loads."
    shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    return f"The model holds types that are not on the list of safe ones: {shown}."


def remedy(model: str, version: int) -> str:
    """Say how a person trusts one version."""
    name = f"'{model}/{version}'" if any(character in model for character in " '\"$&;()<>|*?[]#~\\`!") else f"{model}/{version}"
    return f"If you trust who logged it, run `samovar trust {name}`."
