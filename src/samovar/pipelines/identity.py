"""What makes a step the same step: digests of code, declarations and inputs."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import samovar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from samovar.project import CandidateSpec, Project
    from samovar.settings import Settings

_OWN_PARTS = ("contracts", "encoders", "profiles", "training")
"""Parts of Samovar whose code decides what a step's result is."""


def step_key(step: str, project: str, dataset: str, code: str, settings: str) -> str:
    """Return a step's identity: the same five things, the same result."""
    return digest_of([step, project, dataset, code, settings])


def digest_of(value: Any) -> str:
    """Return the SHA-256 of any plain value; dictionaries by content, not by order."""
    return hashlib.sha256(msgspec.json.encode(value, enc_hook=_plain, order="sorted")).hexdigest()


def settings_digest(project: Project, settings: Settings) -> str:
    """Return the digest of all that a project declares and a setting adds to what training does."""
    return digest_of(declarations(project, settings))


def declarations(project: Project, settings: Settings) -> dict[str, Any]:
    """Return all that a project declares and a setting adds to what training does, by name."""
    return {
        "candidates": [_candidate(spec) for spec in project.candidates],
        "contract": project.contract,
        "gate": project.gate,
        "groups": project.groups,
        "holdout": project.holdout,
        "label_delay": project.label_delay,
        "metric": project.metric,
        "model": project.model,
        "positive": project.positive,
        "response": project.response,
        "search": project.search,
        "seed": settings.seed,
        "slices": project.slices,
        "target": project.target,
        "threshold": project.threshold,
        "time": project.time,
    }


def _candidate(spec: CandidateSpec) -> dict[str, Any]:
    return {
        "kind": spec.kind,
        "name": spec.name,
        "params": spec.params,
        "trials": spec.trials,
        "space": spec.space,
        "calibration": spec.calibration,
    }


def _plain(value: Any) -> Any:
    if callable(value):  # by name: its code is in the code digest, its address is different in every process
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}"
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, types.MappingProxyType):
        return dict(value)
    return repr(value)


def code_digest(project: Project) -> str:
    """Return the digest of the code that a project's results depend on.

    These are the files of its source and custom builders, the files beside them that those import, and Samovar's own parts.
    """
    functions = [project.source, *(spec.build for spec in project.candidates if spec.build is not None)]
    total = hashlib.sha256(_own_code().encode())
    for part in sorted(_code_of(functions)):
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()


@functools.cache
def _own_code() -> str:
    root = Path(samovar.__file__).parent
    total = hashlib.sha256(samovar.__version__.encode())
    parts = [path for part in _OWN_PARTS for path in (root / part).rglob("*.py")]
    for path in sorted([*parts, *(root / name for name in ("statistics.py", "texts.py", "transformers.py"))]):
        total.update(path.read_bytes())
    return total.hexdigest()


def _code_of(functions: Iterable[Callable[..., Any]]) -> set[bytes]:
    found: set[bytes] = set()
    seen: set[str] = set()
    for function in functions:
        bare = _unwrapped(function)
        module = sys.modules.get(getattr(bare, "__module__", "") or "")
        path = _file_of(module) or _source_file(bare)
        if path is None:  # typed into a notebook or an interpreter: there is no file
            found.add(_bytecode(bare))
            continue
        found.add(path.read_bytes())
        found.update(other.read_bytes() for other in _neighbours(module, path.parent, seen))
    return found


def _unwrapped(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(function)


def _file_of(module: types.ModuleType | None) -> Path | None:
    path = getattr(module, "__file__", None)
    return Path(path) if path and Path(path).is_file() else None


def _source_file(function: Any) -> Path | None:
    path = getattr(getattr(function, "__code__", None), "co_filename", "")
    return Path(path) if path and Path(path).is_file() else None


def _neighbours(module: types.ModuleType | None, folder: Path, seen: set[str]) -> Iterator[Path]:
    """Yield the files in ``folder`` or below that a module uses, and those that they use."""
    for value in list(vars(module).values()) if module else ():
        name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
        if not isinstance(name, str) or name in seen:
            continue
        seen.add(name)
        used = sys.modules.get(name)
        path = _file_of(used)
        if path is not None and path.is_relative_to(folder):
            yield path
            yield from _neighbours(used, folder, seen)


def _bytecode(function: Any) -> bytes:
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    if code is None:
        return repr(type(function)).encode()
    return b"".join(_flat(code))


def _flat(code: types.CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield repr(code.co_names).encode()
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _flat(constant)
        else:
            yield repr(constant).encode()
