"""A stack of small real programs: web servers of the standard library instead of MLflow, everything else as it is."""

from __future__ import annotations

import json
import socket
import sys
import time

import pytest

from samovar.stack import processes, shutdown
from samovar.stack.launch import start_keeper
from samovar.stack.state import Plan, Probe, RunDir, Service

SERVER = """
import http.server, os, signal, subprocess, sys
port, children = int(sys.argv[1]), int(sys.argv[2])
sock = __import__("socket").create_server(("127.0.0.1", port))
for _ in range(children):
    if os.fork() == 0:
        break
server = http.server.HTTPServer(("127.0.0.1", port), http.server.BaseHTTPRequestHandler, bind_and_activate=False)
server.RequestHandlerClass.do_GET = lambda self: (self.send_response(200), self.end_headers())
server.socket = sock
server.serve_forever()
"""


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, seconds=10.0, what="it"):
    """Poll until ``condition()`` is true and return its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {seconds} s")


def listens(port: int) -> bool:
    """Whether anybody accepts on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


class SmallStack:
    """A guardian, a supervisor and two web servers, the first of which forks a child that shares its port."""

    until = staticmethod(until)
    listens = staticmethod(listens)

    def __init__(self, path):
        (path / "run").mkdir()
        (path / "logs").mkdir()
        self.run = RunDir(path / "run")
        self.ports = [free_port(), free_port()]
        self.plan = Plan(
            stack=f"test-{path.name}",
            logs=str(path / "logs"),
            services=tuple(
                self._service(name, port, children) for name, port, children in zip("ab", self.ports, (1, 0), strict=True)
            ),
            addresses={"a": f"http://127.0.0.1:{self.ports[0]}"},
        )
        self.run.write_plan(self.plan)

    @staticmethod
    def _service(name, port, children):
        url = f"http://127.0.0.1:{port}"
        argv = (sys.executable, "-c", SERVER, str(port), str(children))
        return Service(name, argv, Probe("http", url), address=url, grace=2.0)

    def start(self):
        start_keeper("guardian", self.plan, self.run.path)
        until(self.well, what="a healthy stack")

    def service(self, name):
        return self.run.state().services.get(name)

    def well(self):
        """Whether both keepers and both services run, by the files and by the processes."""
        states = [self.service(name) for name in "ab"]
        keepers = [self.run.keeper(role) for role in ("guardian", "supervisor")]
        return (
            all(state and state.health == "healthy" and state.identity and state.identity.alive for state in states)
            and all(keeper and keeper.identity.alive for keeper in keepers)
            and all(map(listens, self.ports))
        )

    def processes(self):
        return processes.marked(self.plan.stack)

    def logs(self):
        return {file.name: file.read_text()[-3000:] for file in (self.run.path.parent / "logs").iterdir()}


@pytest.fixture
def small_stack(tmp_path):
    """A running small stack; whatever a test leaves of it is ended."""
    stack = SmallStack(tmp_path)
    stack.start()
    yield stack
    if stack.processes():
        sys.stdout.write(json.dumps(stack.logs(), indent=1))  # shown by pytest beside the failure
        shutdown.stop_everything(stack.run, stack.plan)


@pytest.fixture
def poll():
    """Polls a condition until it is true, with a deadline."""
    return until
