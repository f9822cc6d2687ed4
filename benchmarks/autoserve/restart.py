"""What one does without Samovar: start `mlflow models serve` with the new version, and wait until it answers."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.serving.environments import python
from benchmarks.serving.servers import HOST, Program, ask, eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.autoserve.shelf import Made, Shelf


LOCAL = ("--env-manager", "local")
"""With everything installed already."""


def run(shelf: Shelf, made: Made, runs: int, options: Sequence[str] = ()) -> list[float]:
    """Start it for a version of the registry; returns seconds to the first answer, by run.

    Without options it starts as it does for whoever types the command: it makes the environment that the version was logged with,
    here in a folder of its own, for a new version's requirements are seldom there already.
    """
    return [_once(shelf, made, options) for _ in range(runs)]


def _once(shelf: Shelf, made: Made, options: Sequence[str]) -> float:
    mlflow = Path(python("mlflow")).with_name("mlflow")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        uri = f"models:/{made.model}/{made.version}"
        argv = [str(mlflow), "models", "serve", "-m", uri, "-h", HOST, "-p", str(port), *options, "--workers", "1"]
        env = {
            "MLFLOW_TRACKING_URI": shelf.address,
            "MLFLOW_ENV_ROOT": str(Path(folder, "environments")),
            "PATH": f"{mlflow.parent}{os.pathsep}{os.environ['PATH']}",
        }
        everywhere = frozenset(os.sched_getaffinity(0))
        began = time.monotonic()
        program = Program(argv, Path(folder, "log"), everywhere, env, cwd=Path(folder)).start()
        try:
            eventually(
                lambda: program.alive() and ask(f"{HOST}:{port}", "/invocations", made.asked)[0] == 200,
                600,
                "mlflow models serve",
                0.02,
            )
            return round(time.monotonic() - began, 3)
        finally:
            program.stop()
