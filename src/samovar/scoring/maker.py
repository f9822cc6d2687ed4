"""Which code makes plans: a plan says by which it was made, so that one made by older code is never kept as the work of newer."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from pathlib import Path

import samovar
from samovar.scoring.plan import FORMAT

_LIBRARIES = ("numpy", "scikit-learn", "skops", "pandas", "mlflow", "xgboost", "lightgbm", "onnx", "onnxruntime")
"""What else decides how a version is compiled and whether it loads."""


@functools.cache
def name(environment: str = "") -> str:
    """Name the code that this process builds with, as 64 hex digits.

    By version, and by content, since an editable install keeps its version while it changes. Read once: a process that lives on
    after an upgrade goes on with the code that it has loaded.

    Args:
        environment: the environment of the version's own that it builds in; its name stands for the libraries there.
    """
    libraries = [environment] if environment else [f"{library} {_version(library)}" for library in _LIBRARIES]
    return hashlib.sha256("\0".join([samovar.__version__, str(FORMAT), _sources(), *libraries]).encode()).hexdigest()


@functools.cache
def _sources() -> str:
    root = Path(samovar.__file__).parent
    sources = hashlib.sha256()
    folders = [path for part in ("scoring", "contracts") for path in (root / part).rglob("*.py")]
    for path in sorted([*folders, root / "texts.py", root / "transformers.py"]):
        sources.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return sources.hexdigest()


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""
