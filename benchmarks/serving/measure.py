"""The measurements: loads at several numbers of connections, large requests, cold starts, memory."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.serving import bodies, load, processes
from benchmarks.serving.checks import same
from benchmarks.serving.servers import Samovar, ask
from benchmarks.serving.summary import OURS, Cell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.serving.bodies import Model
    from benchmarks.serving.processes import Cores
    from benchmarks.serving.servers import Server, Target
    from benchmarks.serving.summary import Samples

_SETTLE = 10.0  # longest wait for a server to finish what the load before left behind, in seconds
_SHIPPED = 60.0  # longest wait until the prediction log is in the database, in seconds
_IDLE = 4.0  # seconds over which an idle stack is watched
_FULL = 64  # connections of the loads whose prediction log is followed into the database
_STEP = 1_709  # rows between the first rows of two loads; a prime, so that all rows come up


@dataclass(frozen=True)
class Series:
    """One model at one server: a line of the table.

    Attributes:
        name: of the server in the figures.
        server: the program.
        model: the model.
        files: pre-rendered single-row bodies.
        target: where and how to ask.
    """

    name: str
    server: Server
    model: Model
    files: Path
    target: Target

    @property
    def ours(self) -> bool:
        """Whether it is Samovar, with whatever settings."""
        return self.name.startswith(OURS)


@dataclass
class Bench:
    """Runs measurements and keeps the figures.

    Attributes:
        cores: who runs where.
        everyone: all series; those not measured at a moment leave the server's core.
        samples: figures by name.
        notes: what went wrong or must be known.
        failed: requests that were not answered with success, by series.
        idle: CPU seconds a second of our stacks when nobody asks them anything.
    """

    cores: Cores
    everyone: list[Series]
    samples: Samples = field(default_factory=lambda: defaultdict(list))
    notes: list[str] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    idle: dict[str, float] = field(default_factory=dict)
    _turns: int = 0

    def keep(self, series: Series, **figures: float) -> None:
        """Write figures down."""
        for what, value in figures.items():
            self.samples[f"{series.name}.{series.model.name}.{what}"].append(value)

    def stage(self, series: Series) -> set[int]:
        """Give the server's core to one server alone; return its processes."""
        mine = series.server.everyone(series.model.name)
        for other in {id(one.server): one for one in self.everyone if one.server is not series.server}.values():
            processes.pin(other.server.everyone(other.model.name), self.cores.load)
        processes.pin(mine, self.cores.server)
        return mine

    def load(self, series: Series, connections: int, seconds: int, *, warm: bool) -> None:
        """Put one load on one server and keep throughput, CPU and latencies."""
        mine = self.stage(series)
        url = f"http://{series.target.address}{series.target.one[0]}"
        if warm:
            self._wrk(series, url, connections, 1)
        whole = series.ours and connections == _FULL
        if whole:
            self._shipped(series)
        if not processes.quiet(mine, limit=_SETTLE):
            self.notes.append(f"{series.name}.{series.model.name}: not idle before a load of {connections} connections")
        answering = series.server.answering(series.model.name)
        before, before_answering = processes.cpu(mine), processes.cpu(answering)
        seen = self._wrk(series, url, connections, seconds)
        at_end = processes.cpu(answering) - before_answering
        cpu = processes.cpu(mine) - before
        if whole:
            cpu = self._cpu_of_all(series, mine, before)
        cell = Cell(seen.requests - seen.status_errors, seen.seconds, cpu)
        self.failed[f"{series.name}.{series.model.name}"] += seen.failed
        suffix = f"c{connections}"
        self.keep(
            series,
            **{
                f"rps_per_cpu_s_{suffix}": cell.per_cpu_second,
                f"rps_{suffix}": cell.per_second,
                f"p50_us_{suffix}": seen.p50,
                f"p99_us_{suffix}": seen.p99,
                f"answering_cpu_us_{suffix}": at_end / cell.requests * 1e6,
                f"tree_cpu_us_{suffix}": cpu / cell.requests * 1e6,
            },
        )

    def _cpu_of_all(self, series: Series, mine: set[int], before: float) -> float:
        """Return the CPU seconds of a load with all that it leaves to do: until its last row is in the database.

        What the idle stack would have used while we wait for that is taken off: it is no cost of a request.
        """
        began = time.monotonic()
        self._shipped(series)
        waited = time.monotonic() - began
        return processes.cpu(mine | series.server.everyone(series.model.name)) - before - waited * self._idle_share(series)

    def _shipped(self, series: Series) -> None:
        server, deadline = series.server, time.monotonic() + _SHIPPED
        while isinstance(server, Samovar) and server.unshipped():
            if time.monotonic() > deadline:
                self.notes.append(f"{series.name}.{series.model.name}: rows still wait for the database after {_SHIPPED:.0f} s")
                return
            time.sleep(0.1)

    def _idle_share(self, series: Series) -> float:
        """Return the CPU seconds a second that a stack uses when nobody asks it anything; measured once, before the first load."""
        return self.idle.get(series.name, 0.0)

    def measure_idle(self) -> None:
        """Measure what each of our stacks uses when nobody asks it anything."""
        for series in {one.name: one for one in self.everyone if one.ours}.values():
            mine = self.stage(series)
            self._shipped(series)
            processes.quiet(mine, limit=_SETTLE)
            before = processes.cpu(mine)
            time.sleep(_IDLE)
            self.idle[series.name] = (processes.cpu(mine) - before) / _IDLE
            self.samples[f"{series.name}.stack.idle_cpu_share"].append(self.idle[series.name])

    def _wrk(self, series: Series, url: str, connections: int, seconds: int) -> load.Load:
        self._turns += 1
        shape = load.Shape(connections, seconds, self.cores.load, offset=self._turns * _STEP)
        return load.finish(load.start(url, series.files, shape))

    def large(self, series: Series, requests: list[tuple[int, bytes]]) -> None:
        """Send large requests one after another on one connection; keep rows a second of each, and check every answer."""
        self.stage(series)
        path = series.target.many[0]
        connection = http.client.HTTPConnection(series.target.address, timeout=120)
        for start, body in requests:
            began = time.perf_counter()
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            seconds = time.perf_counter() - began
            if answer.status != 200:
                self.notes.append(f"{series.name}.{series.model.name}: a large request was answered {answer.status}")
                self.failed[f"{series.name}.{series.model.name}"] += 1
                continue
            self._check(series, start, content)
            self.keep(series, batch10k_rows_per_s=bodies.BATCH / seconds)
        connection.close()

    def _check(self, series: Series, start: int, content: bytes) -> None:
        answered, known = series.target.predictions(json.loads(content)), series.model.predictions
        wrong = sum(not same(known[(start + number) % len(known)], value) for number, value in enumerate(answered))
        if wrong or len(answered) != bodies.BATCH:
            self.notes.append(f"{series.name}.{series.model.name}: {wrong} wrong answers in {len(answered)} rows")

    def memory(self, series: Series) -> None:
        """Keep the PSS of what answers, as it is after all loads."""
        answering = series.server.answering(series.model.name)
        self.keep(series, loaded_pss_mb=max((processes.pss_mb(pid) for pid in answering), default=0.0))


def cold_start(start: Callable[[], Server], model: Model) -> tuple[float, float]:
    """Start a server, wait for its first good answer, end it.

    Returns:
        Seconds from exec to the answer, and the PSS in megabytes of the process that gave it, after a hundred more answers.

    Raises:
        TimeoutError: it did not answer within two minutes.
    """
    began = time.perf_counter()
    server = start()
    try:
        target = server.target(model.name)
        path, render = target.one
        first = render(model, model.rows[:1])
        while not _answers(target.address, path, first):
            if time.perf_counter() - began > 120:
                raise TimeoutError(f"{server.name} does not start")
            time.sleep(0.003)
        seconds = time.perf_counter() - began
        for row in model.rows[1:101]:
            ask(target.address, path, render(model, [row]))
        return seconds, max(processes.pss_mb(pid) for pid in server.answering(model.name))
    finally:
        server.stop()


def _answers(address: str, path: str, body: bytes) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return ask(address, path, body)[0] == 200
    return False
