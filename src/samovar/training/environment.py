"""What a training ran in, as far as its result may depend on it: interpreter, machine, maths library, versions of distributions."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from typing import Any

_DISTRIBUTIONS = (
    "samovar",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "polars",
    "skops",
    "joblib",
    "threadpoolctl",
    "optuna",
    "mlflow",
    "onnxruntime",
    "tokenizers",
    "torch",
    "transformers",
)


@functools.cache
def describe() -> dict[str, Any]:
    """Return it, as JSON. A distribution that is not installed is left out."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "machine": platform.machine(),
        "maths": _maths(),
        "distributions": {name: version for name in _DISTRIBUTIONS if (version := _version(name))},
    }


def differences(then: dict[str, Any], now: dict[str, Any]) -> dict[str, list[Any]]:
    """What is not the same in two environments: name -> [then, now]; distributions by their own names."""
    old, new = _flat(then), _flat(now)
    return {name: [old.get(name), new.get(name)] for name in sorted(old | new) if old.get(name) != new.get(name)}


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "distributions"} | dict(found.get("distributions", {}))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _maths() -> str:
    """The linear algebra library and the processor family that it chose its code for: another one rounds otherwise."""
    import numpy as np  # noqa: PLC0415, F401 - it loads the library that is asked about
    import threadpoolctl  # noqa: PLC0415 - comes with scikit-learn

    found = [one for one in threadpoolctl.threadpool_info() if one.get("user_api") == "blas"]
    return ", ".join(sorted({f"{one['internal_api']} {one['version']} {one.get('architecture', '')}".strip() for one in found}))
