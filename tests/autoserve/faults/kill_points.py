"""Ends the process that imports it at one point of one order to the runtime, as `kill -9` would there.

Which one is read from the file that SAMOVAR_KILL_AT names: ``METHOD:MOMENT``. The file is removed first, so that the next process
goes on. Moments: ``before`` the call; ``sent-N`` right after its N-th message to the agent, whose answer is not read; ``wished``
when a version is ready and is asked for again; ``after`` the call.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import threading
from pathlib import Path

from samovar.autoserve.runtimes.process import link
from samovar.autoserve.runtimes.process.runtime import ProcessRuntime

BRINGING = ("before", "sent-1", "wished", "sent-2", "after")
ORDERING = ("before", "sent-1", "after")

POINTS = {
    "Start": ("bring", BRINGING),
    "Swap": ("bring", BRINGING),
    "Cancel": ("cancel", ORDERING),
    "Stop": ("stop", ORDERING),
    "Tune": ("tune", ORDERING),
}
"""For each of the plan's actions the runtime's method that carries it out, and the moments at which it is cut."""

_now = threading.local()


def install():
    """Put the points into the process runtime."""
    for method in {method for method, _ in POINTS.values()}:
        setattr(ProcessRuntime, method, _cut(method, getattr(ProcessRuntime, method)))
    link.transport.send = _counted(link.transport.send)


def reach(moment):
    """Die here if this is where to."""
    method = getattr(_now, "method", None)
    path = Path(os.environ["SAMOVAR_KILL_AT"])
    if method is None or not path.exists() or path.read_text() != f"{method}:{moment}":
        return
    path.unlink()
    os.kill(os.getpid(), signal.SIGKILL)


def _cut(method, call):
    @functools.wraps(call)
    def cut(*arguments, **options):
        _now.method, _now.sent = method, 0
        try:
            reach("before")
            if "wished" in options:
                options["wished"] = _asking(options["wished"])
            result = call(*arguments, **options)
            reach("after")
            return result
        finally:
            _now.method = None

    assert "self" in inspect.signature(call).parameters
    return cut


def _asking(wished):
    def asked():
        reach("wished")
        return wished()

    return asked


def _counted(send):
    @functools.wraps(send)
    def counted(*arguments, **options):
        result = send(*arguments, **options)
        if getattr(_now, "method", None) is not None:
            _now.sent += 1
            reach(f"sent-{_now.sent}")
        return result

    return counted
