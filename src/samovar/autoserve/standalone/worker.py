"""One worker of an endpoint that runs by itself: ``python -m samovar.autoserve.standalone.worker LISTENER PLAN CONFIG BEATS``.

The arguments are inherited descriptors. The worker has no credentials in its environment, and never talks to MLflow.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys

import msgspec
import uvloop

from samovar import logs
from samovar.autoserve import memory
from samovar.autoserve.standalone import codes
from samovar.autoserve.standalone.options import Told
from samovar.errors import SamovarError
from samovar.scoring.plan import decode
from samovar.serving import collector
from samovar.serving.server import EndpointServer

BEAT_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM; returns the exit code."""
    listener_fd, plan_fd, told_fd, beats = (int(argument) for argument in arguments)
    told = msgspec.json.decode(memory.read(told_fd), type=Told)
    config = told.endpoint
    logs.configure(told.name, level=told.log_level, fmt=told.log_format, model=config.model, alias=config.alias)
    try:
        server = EndpointServer(decode(memory.read(plan_fd)), config)
        server.load()
    except (SamovarError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return codes.code_of(error) if isinstance(error, SamovarError) else codes.MODEL_FAILS
    collector.settle()
    # The supervisor held the signals back; one that came meanwhile is delivered now.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.drain())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(server, socket.socket(fileno=listener_fd), beats))
    return codes.DRAINED


async def _serve(server: EndpointServer, listener: socket.socket, beats: int) -> None:
    beating: list[asyncio.Task[None]] = []
    try:
        await server.serve(listener, on_accepting=lambda: beating.append(asyncio.create_task(_beat(server, beats))))
    finally:
        for task in beating:
            task.cancel()


async def _beat(server: EndpointServer, beats: int) -> None:
    os.set_blocking(beats, False)
    while True:
        with contextlib.suppress(OSError):  # full: the supervisor has not looked for hours; gone: it will not look
            if not server.is_stuck():  # else the supervisor takes it for hanging, which it does
                os.write(beats, b".")
        await asyncio.sleep(BEAT_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
