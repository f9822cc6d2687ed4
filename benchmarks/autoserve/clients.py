"""Raw HTTP clients that never retry: ``python -m benchmarks.autoserve.clients`` with what to do as JSON on its standard input.

Each holds one socket and sends bytes; whatever is no complete 200 answer is a failure, kept with its time. They do not look
whether an idle connection was closed before they send on it, as good clients do: a server that closes one fails the request.
They run in a process of their own until standard input ends, and write what they saw: when each request was sent and answered
(seconds of the monotonic clock, which all processes share), and each failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import resource
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar

import uvloop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

PATIENCE = 15.0
"""Seconds after which a request counts as failed: many times what any answer takes."""

MIX = {"busy": 24, "brisk": 8, "patient": 16, "fresh": 6, "slow": 5, "pipelined": 5}
"""Sixty-four connections: back to back; idle 10 ms to 8 s; idle 1 to 30 s (a quarter); a new connection for each request; a body
that takes two seconds; four requests in one piece."""

FRESH = frozenset({"fresh", "visits"})

DEPTH = 4


class Failed(Exception):
    """A request was not answered as it should be."""


class Line:
    """One connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._held = b""

    async def send(self, data: bytes) -> None:
        """Send on the open connection, or on a new one."""
        if self._socket is None:
            self._socket = socket.socket()
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(self._socket, self._address)
        await self._loop.sock_sendall(self._socket, data)

    async def answer(self) -> bool:
        """Read one answer; returns whether the server ends the connection after it.

        Raises:
            Failed: it is no 200, or the connection ended before it was complete.
        """
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            await self._more()
        head = self._held[:end].lower()
        status = head[9:12]
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(self._held) < end + 4 + length:
            await self._more()
        body, self._held = self._held[end + 4 : end + 4 + length], self._held[end + 4 + length :]
        if status != b"200":
            raise Failed(f"{status.decode()} {body[:200].decode(errors='replace')}")
        if b"predictions" not in body:
            raise Failed(f"no prediction: {body[:200].decode(errors='replace')}")
        return b"connection: close" in head

    async def _more(self) -> None:
        assert self._socket is not None
        data = await self._loop.sock_recv(self._socket, 65_536)
        if not data:
            raise Failed(f"the connection ended after {len(self._held)} bytes of an answer")
        self._held += data

    def close(self) -> None:
        """Drop the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._held = None, b""


class Crowd:
    """All clients, and what they saw.

    Args:
        host: address of the endpoint.
        port: its port.
        requests: whole requests, head and body.
        seed: of their pauses.
    """

    def __init__(self, host: str, port: int, requests: Sequence[bytes], seed: int) -> None:
        self._address = (host, port)
        self._requests = requests
        self._random = random.Random(seed)
        self.sent: dict[str, list[float]] = {}
        self.took: dict[str, list[float]] = {}
        self.failures: list[tuple[float, float, str, str]] = []
        self.closed = 0
        self._asked = 0

    def _next(self) -> bytes:
        self._asked += 1
        return self._requests[self._asked % len(self._requests)]

    async def client(self, mode: str) -> None:
        """Ask in one way until cancelled."""
        line = Line(self._address)
        exchange, pause = self._WAYS[mode]
        sent, took = self.sent.setdefault(mode, []), self.took.setdefault(mode, [])
        try:
            # Not all at once, and the first request of a patient one before its first pause, so that there is an idle connection.
            await asyncio.sleep(self._random.uniform(0.0, 0.5))
            while True:
                began = time.monotonic()
                try:
                    async with asyncio.timeout(PATIENCE):
                        ending = await exchange(self, line)
                except (Failed, OSError, TimeoutError, ValueError) as error:
                    self.failures.append((began, time.monotonic(), mode, f"{type(error).__name__}: {error}"))
                    line.close()
                    await asyncio.sleep(0.05)
                    continue
                sent.append(began)
                took.append(time.monotonic() - began)
                if ending or mode in FRESH:
                    self.closed += ending
                    line.close()
                if pause[1]:
                    await asyncio.sleep(self._random.uniform(*pause))
        finally:
            line.close()

    async def _one(self, line: Line) -> bool:
        await line.send(self._next())
        return await line.answer()

    async def _slowly(self, line: Line) -> bool:
        request = self._next()
        head, _, body = request.partition(b"\r\n\r\n")
        await line.send(head + b"\r\n\r\n")
        size = len(body) // 8 + 1
        for start in range(0, len(body), size):
            await asyncio.sleep(self._random.uniform(0.1, 0.4))
            await line.send(body[start : start + size])
        return await line.answer()

    async def _in_one_piece(self, line: Line) -> bool:
        await line.send(b"".join(self._next() for _ in range(DEPTH)))
        ends = [await line.answer() for _ in range(DEPTH)]
        return ends[-1]

    _WAYS: ClassVar[dict[str, tuple[Callable[[Crowd, Line], Awaitable[bool]], tuple[float, float]]]] = {
        "busy": (_one, (0.0, 0.0)),
        "brisk": (_one, (0.01, 8.0)),
        "patient": (_one, (1.0, 30.0)),
        "fresh": (_one, (0.0, 0.02)),
        "slow": (_slowly, (0.0, 0.1)),
        "pipelined": (_in_one_piece, (0.01, 0.1)),
        "light": (_one, (0.005, 0.1)),
        "visits": (_one, (0.02, 0.2)),
    }

    def seen(self) -> dict[str, Any]:
        """Return what was seen."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "sent": self.sent,
            "took": self.took,
            "failures": self.failures,
            "closed": self.closed,
            "cpu_s": usage.ru_utime + usage.ru_stime,
        }


def requests_of(path: str, rows: Sequence[bytes], host: str) -> list[bytes]:
    """Return whole requests for some bodies."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "
    return [f"{head}{len(row)}\r\n\r\n".encode() + row for row in rows]


async def _run(told: dict[str, Any]) -> Crowd:
    rows = [row.encode() for row in told["bodies"]]
    crowds = Crowd(told["host"], told["port"], requests_of(told["path"], rows, f"{told['host']}:{told['port']}"), told["seed"])
    tasks = [asyncio.create_task(crowds.client(mode)) for mode, count in told["mix"].items() for _ in range(count)]
    sys.stdout.write("started\n")
    sys.stdout.flush()
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return crowds


def main() -> None:
    """Ask until told to stop, and tell what was seen."""
    told = json.loads(sys.stdin.readline())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        crowd = runner.run(_run(told))
    with open(told["out"], "w", encoding="utf-8") as file:  # noqa: PTH123 - one line, no path arithmetic
        json.dump(crowd.seen(), file)


if __name__ == "__main__":
    main()
