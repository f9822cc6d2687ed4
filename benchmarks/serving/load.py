"""The load generator: Debian's wrk, pinned to the core that serves nothing; its CPU is not counted."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving import processes

_SCRIPT = Path(__file__).with_name("cycle.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw; latencies in microseconds."""

    requests: int
    seconds: float
    p50: float
    p90: float
    p99: float
    longest: float
    status_errors: int
    socket_errors: int

    @property
    def failed(self) -> int:
        """Requests that were not answered with 2xx or 3xx."""
        return self.status_errors + self.socket_errors


def require() -> str:
    """Return wrk's version, or end with the way to get it."""
    if shutil.which("wrk") is None:
        raise SystemExit("The load generator wrk is missing. On Debian or Ubuntu: apt-get install wrk")
    said = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False)
    return (said.stdout + said.stderr).splitlines()[0].partition(" Copyright")[0]


@dataclass(frozen=True, slots=True)
class Shape:
    """How to load.

    Attributes:
        connections: kept open, each with one request at a time.
        seconds: whole ones, as wrk has it.
        core: where wrk runs.
        offset: the line of the bodies to begin with, so that two runs do not ask the same first rows.
    """

    connections: int
    seconds: int
    core: frozenset[int]
    offset: int = 0


def start(url: str, bodies: Path, shape: Shape) -> subprocess.Popen[str]:
    """Start wrk, which posts ``bodies``, one a line, in turn to ``url``."""
    argv = [*processes.pinned(shape.core), "wrk", "-t1", f"-c{shape.connections}", f"-d{shape.seconds}s", "--timeout", "30s"]
    argv += ["-s", str(_SCRIPT), url, "--", str(bodies), str(shape.offset)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def finish(running: subprocess.Popen[str]) -> Load:
    """Wait for wrk and read what it saw."""
    said, _ = running.communicate()
    if running.returncode:
        raise RuntimeError(f"wrk ended with {running.returncode}: {said[-300:]}")
    return parse(said)


def parse(said: str) -> Load:
    """Read the last line of wrk's output."""
    seen: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    return Load(
        requests=seen["requests"],
        seconds=seen["microseconds"] / 1e6,
        p50=seen["p50"],
        p90=seen["p90"],
        p99=seen["p99"],
        longest=seen["max"],
        status_errors=seen["status_errors"],
        socket_errors=seen["socket_errors"],
    )
