"""A builder forked from the zygote: the libraries are there already, so that a build takes a fraction of a second.

Like ``python -m samovar.scoring.builder`` it is one process per model version, without credentials (the zygote has none), with
limits, and gone when it has answered.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import importlib
import os
import resource
import select
import signal
import socket
from typing import Any

import msgspec

from samovar.autoserve import memory, protocol, transport
from samovar.autoserve.agent import limits, titles

_PR_SET_PDEATHSIG = 1
_OPEN_FILES = 1024


def main(order: protocol.Build, request_fd: int, line_fd: int, memory_limit: int = 0) -> int:
    """Build what ``request_fd`` asks for and send the plan over ``line_fd``; returns the exit code.

    Args:
        order: what is built, and for how long at most.
        request_fd: the sealed request.
        line_fd: where the answer goes.
        memory_limit: bytes that the build may take; 0 is no limit.
    """
    titles.set_title(f"samovar: building {order.model} v{order.version}")
    _limit(order.seconds, memory_limit)
    if not _end_with(line_fd):
        return 0
    gc.set_threshold(_ALLOCATIONS)
    request = importlib.import_module("samovar.scoring.request")
    result: Any = importlib.import_module("samovar.scoring.builder").answer(
        msgspec.msgpack.decode(memory.read(request_fd), type=request.BuildRequest), memory_limit
    )
    plans = importlib.import_module("samovar.scoring.plan")
    fds = [] if result.plan is None else [memory.seal(plans.encode(result.plan), name=f"{order.model}-v{order.version}")]
    built = protocol.Built(result.condition, result.message[:_WORDS], result.remedy[:_WORDS])
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    with socket.socket(fileno=line_fd) as line:
        transport.send(line, protocol.encode(built), fds)
    return 0


_WORDS = 2000
"""Characters of a message that travel."""

_ALLOCATIONS = 200_000
"""Objects between two collections. Python's own 700 cost a tenth of a build, which makes few cycles and soon ends."""


def _end_with(line_fd: int) -> bool:
    """Have the kernel end this process once nobody waits for its answer, also inside a library that never returns to Python.

    False when whoever ordered it has gone before the kernel was asked.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(line_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(line_fd, fcntl.F_SETFL, fcntl.fcntl(line_fd, fcntl.F_GETFL) | os.O_ASYNC)
    waits = select.poll()
    waits.register(line_fd, 0)
    return not waits.poll(0)


def _limit(seconds: float, memory_limit: int) -> None:
    # The default action kills, also inside a library that never returns to Python.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    # It ends with the zygote: nobody would take its answer.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    os.dup2(2, 1)  # what a model prints is no answer
    limits.build_wall(memory_limit)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
