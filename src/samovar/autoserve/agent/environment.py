"""Environment of the zygote and, by inheritance, of builders and workers: what they need, and no credential.

A model is a stranger's work. It must find neither the registry's password nor the cloud's keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEPT = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SAMOVAR_STACK", "SAMOVAR_SERVICE")
_KEPT_PREFIXES = ("LC_", "COVERAGE_", "PYTHON")

_SET = {
    # Threads made before a fork are dead after it, and one row never pays for a second one.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pandas imports pyarrow, whose allocator would start a thread
    "MALLOC_ARENA_MAX": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def worker_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for processes that load models, out of the agent's own."""
    return {name: value for name, value in ours.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)} | _SET
