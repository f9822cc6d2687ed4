"""A server that a worker can run in place of the real one: no model, the same promises, and misbehaviour on request."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import msgspec


def eat():
    """Allocate without end, and take what fails as no reason to stop."""
    eaten = []
    while True:
        eaten.append(b"x" * 10_000_000)


class FakeServer:
    """Answers every request with its version; its plan's files say how it misbehaves."""

    def __init__(self, plan, config):
        self.plan = plan
        self.config = config
        self.loop = None
        self.leaving = None
        self.open = set()
        self.peers = None
        self.policy = None

    def meet(self, listener):
        self.peers = listener

    def follow(self, policy):
        self.policy = policy

    def is_stuck(self):
        return self.behaves("sticks")

    def behaves(self, how):
        return how in self.plan.files

    def load(self):
        if self.behaves("slow"):
            time.sleep(float(self.plan.files["slow"]))
        if self.behaves("eats"):
            eat()
        if self.behaves("holds"):
            self.held = b"x" * int(self.plan.files["holds"])
        if self.behaves("broken"):
            raise ValueError("no such layer")
        if self.behaves("hangs"):
            threading.Event().wait()

    async def serve(self, listener, *, on_accepting):
        self.loop = asyncio.get_running_loop()
        self.leaving = asyncio.Event()
        server = await asyncio.start_server(self.talk, sock=listener)
        meeting = await asyncio.start_unix_server(self.talk, sock=self.peers)
        on_accepting()
        if self.behaves("crashes"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.behaves("eats_when_serving"):
            self.loop.call_soon(eat)
        await self.leaving.wait()
        server.close()
        meeting.close()
        deadline = time.monotonic() + self.config.drain_seconds
        while self.open and time.monotonic() < deadline:  # noqa: ASYNC110 - one tick of a fake
            await asyncio.sleep(0.01)

    async def talk(self, reader, writer):
        self.open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if head.startswith(b"GET /eat "):
                    eat()
                last = self.leaving.is_set() or b"connection: close" in head.lower()
                body = f"{self.plan.label} {os.getpid()}".encode()
                if self.behaves("tells_config"):
                    body = msgspec.json.encode(self.config)
                if self.behaves("tells_policy"):
                    body = b"%b %d" % (msgspec.json.encode(self.policy), os.getpid())
                close = b"Connection: close\r\n" if last else b""
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), close, body))
                await writer.drain()
                if last:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.open.discard(writer)

    def drain(self):
        self.loop.call_soon_threadsafe(self.leaving.set)
