"""Load by raw clients in a process of their own, and what became of their requests."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from benchmarks import figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHAPED = frozenset({"slow"})
"""Clients that make their requests last; they count as failed or not, but say nothing of latency."""

Window = tuple[float, float]


@dataclass(frozen=True)
class Seen:
    """What the clients saw.

    Attributes:
        requests: answered requests.
        failures: (sent, failed, kind of client, why).
        sent: when each request of the unshaped clients was sent.
        took: how long its answer took, in seconds.
        by_mode: answered requests by kind of client.
        closed: answers that ended their connection.
        cpu_s: what the clients themselves used.
    """

    requests: int
    failures: list[tuple[float, float, str, str]]
    sent: np.ndarray[Any, Any] = field(repr=False)
    took: np.ndarray[Any, Any] = field(repr=False)
    by_mode: dict[str, int]
    closed: int
    cpu_s: float

    def latency(self, windows: Sequence[Window]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Part the latencies: of requests that were under way inside one of the windows, and of all others."""
        inside = np.zeros(len(self.sent), bool)
        for begin, end in windows:
            inside |= (self.sent < end) & (self.sent + self.took > begin)
        return self.took[inside], self.took[~inside]


class Load:
    """A context in which clients ask one address.

    Args:
        address: host and port.
        bodies: of the requests, sent in turn.
        mix: how many clients of each kind (see `clients`).
        path: what is asked.
        seed: of the pauses.
    """

    def __init__(
        self, address: tuple[str, int], bodies: Sequence[bytes], mix: Mapping[str, int], path: str = "/invocations", seed: int = 7
    ) -> None:
        self._out = Path(tempfile.mkstemp(prefix="sv-load-")[1])
        texts = [body.decode() for body in bodies]
        self._told = {"host": address[0], "port": address[1], "bodies": texts, "mix": dict(mix), "path": path, "seed": seed}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.autoserve.clients"],
            cwd=figures.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._told | {"out": str(self._out)}) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "started\n":
            raise RuntimeError("the clients did not start")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        found = json.loads(self._out.read_text(encoding="utf-8") or "null")
        self._out.unlink()
        if found is None:
            raise RuntimeError("the clients died")
        self.seen = Seen(
            requests=sum(map(len, found["sent"].values())),
            failures=[tuple(failure) for failure in found["failures"]],
            sent=np.array([at for mode, times in found["sent"].items() if mode not in SHAPED for at in times]),
            took=np.array([at for mode, times in found["took"].items() if mode not in SHAPED for at in times]),
            by_mode={mode: len(times) for mode, times in found["sent"].items()},
            closed=found["closed"],
            cpu_s=round(found["cpu_s"], 2),
        )
