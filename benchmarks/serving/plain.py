"""A plain endpoint: one process of Samovar that serves a plan file, without the stack. What a container would run."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec
from benchmarks.serving import bodies
from benchmarks.serving.servers import HOST, OneProgram, Program, Target, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def build_plan(folder: Path, model: str, plan: Path, env: Mapping[str, str]) -> float:
    """Have a builder process turn a downloaded version into a plan file; returns its seconds."""
    from samovar.scoring.plan import encode  # noqa: PLC0415 - only this one figure needs Samovar's own code here
    from samovar.scoring.request import BuildRequest, BuildResult  # noqa: PLC0415

    root = folder / model
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    request = BuildRequest(model=model, version=1, run_id="", label="v1", files=files)
    began = time.perf_counter()
    built = subprocess.run(
        [sys.executable, "-m", "samovar.scoring.builder"],
        input=msgspec.msgpack.encode(request),
        capture_output=True,
        check=True,
        env=dict(env),
    )
    seconds = time.perf_counter() - began
    result = msgspec.msgpack.decode(built.stdout, type=BuildResult)
    if result.plan is None:
        raise RuntimeError(f"no plan for {model}: {result.message}")
    plan.write_bytes(encode(result.plan))
    return seconds


class Plain(OneProgram):
    """`python -m samovar.serving PLAN`."""

    name = "samovar"

    def __init__(self, plan: Path, core: frozenset[int]) -> None:
        self.port = free_port()
        argv = [sys.executable, "-m", "samovar.serving", str(plan), "--port", str(self.port)]
        self.program = Program(argv, plan.with_suffix(".log"), core).start()

    def target(self, model: str) -> Target:  # noqa: ARG002 - one process, one model
        """See `Server`."""
        route = ("/invocations", bodies.split)
        return Target(f"{HOST}:{self.port}", route, route, lambda answer: list(answer["predictions"]))
