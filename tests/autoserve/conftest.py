"""A real agent as a program, and the questions tests ask about it."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from samovar import settings as settings_module
from samovar.autoserve import memory, protocol
from samovar.autoserve.agent import config as agent_files
from samovar.autoserve.agent.workers import read_known
from samovar.autoserve.plan import Key
from samovar.autoserve.runtimes.process.link import AgentLink
from samovar.contracts.spec import ContractSpec, ModelContract, ResponseSpec
from samovar.errors import SamovarError
from samovar.scoring.plan import FORMAT, ScorerPlan, encode

HERE = Path(__file__).parent


def eventually(probe, seconds=10.0, what="it"):
    """Return the first truthy answer of ``probe``."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.01)


def free_port():
    """Return a port that nothing uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def fake_plan(model="m", version=1, engine="compiled", **files):
    """A plan that the fake server understands."""
    return ScorerPlan(
        format=FORMAT,
        model=model,
        version=version,
        label=f"v{version}",
        run_id="run",
        digest=f"digest-{version}",
        engine=engine,
        trusted=False,
        files={name: str(value).encode() for name, value in files.items()},
        model_file="",
        contract=ModelContract(contract=ContractSpec(name=model, fields=()), response=ResponseSpec(name=model, fields=())),
    )


class RunningAgent:
    """One agent of a state folder; it can be killed and started again."""

    def __init__(self, folder, **options):
        self.run_dir = folder / "run"
        self.log = folder / "agent.log"
        self.options = {
            "entry": "fake_server:FakeServer",
            "preload": "numpy",
            "ample": "numpy",
            "port-base": free_port(),
            "endpoint": '{"drain_seconds": 5}',
        } | options
        self.link = AgentLink(self.run_dir)
        self.process = None

    def start(self):
        self.process = self.launch()
        eventually(self.answers, 20, f"the agent is up: {self.log.read_text()}")
        return self

    def launch(self):
        options = [f"--{name}={value}" for name, value in self.options.items()]
        command = [sys.executable, "-m", "samovar.autoserve.agent", "--run-dir", str(self.run_dir), *options]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(HERE)}, stdout=log, stderr=log)

    def answers(self):
        with contextlib.suppress(SamovarError):
            self.link.endpoints()
            return True
        return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def serve(self, plan, alias="Production", origin=None, engine=None):
        fd = memory.seal(encode(plan), name=plan.model)
        try:
            assert self.link.serve(
                protocol.Serve(
                    plan.model,
                    alias,
                    plan.version,
                    plan.label,
                    origin or f"origin-{plan.version}",
                    plan.format,
                    engine or plan.engine,
                    plan.notes,
                ),
                fd,
            )
        finally:
            os.close(fd)

    def state(self, model="m", alias="Production"):
        return self.link.endpoints().get(Key(model, alias))

    def until(self, check, seconds=10.0, model="m", alias="Production"):
        seen = []

        def probe():
            seen[:] = [self.state(model, alias)]
            return seen[0] is not None and check(seen[0]) and seen[0]

        try:
            return eventually(probe, seconds, "the awaited state")
        except AssertionError as error:
            raise AssertionError(f"{error}; last seen {seen}\n{self.log.read_text()}") from None

    def serving(self, version, seconds=10.0, **where):
        return self.until(lambda state: state.up and state.serving == version and state.loading is None, seconds, **where)

    def workers(self):
        return read_known(self.run_dir / agent_files.WORKERS)


def get(port, timeout=5.0):
    """Ask an endpoint over a fresh connection: (label, pid)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", "/")
        label, pid = connection.getresponse().read().decode().split()
        return label, int(pid)
    finally:
        connection.close()


class Load:
    """Light load: one keep-alive client and one that connects afresh, until the block ends."""

    def __init__(self, port, path="/", body=None, headers=None):
        self.port = port
        self.request = ("POST" if body else "GET", path, body, headers or {})
        self.answered = 0
        self.failures = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(kept,)) for kept in (True, False)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count=20):
        """Wait until that many more requests were answered."""
        goal = self.answered + count
        eventually(lambda: self.answered >= goal, 20, "more answers")

    def _ask(self, kept):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self._stop.wait(0.002):
            try:
                connection.request(*self.request[:2], body=self.request[2], headers=self.request[3])
                answer = connection.getresponse()
                content = answer.read()
                if answer.status == 200:
                    self.answered += 1
                else:
                    self.failures.append((answer.status, content))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            if not kept:
                connection.close()
        connection.close()


def children(agent):
    """Names and pids of an agent's children, its zygotes."""
    pids = Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children").read_text().split()
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):  # it ended while we looked
            title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            found[title.removeprefix("samovar: ")] = int(pid)
    return found


def _sibling(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def new_registry():
    """Make registries in memory (`fake_registry.py`)."""
    return _sibling("fake_registry").FakeRegistry


@pytest.fixture
def world(agent, new_registry, tmp_path):
    """A controller and everything around it (`world.py`)."""
    settings = settings_module.load(home=tmp_path / "state", _env_file=None)
    made = _sibling("world").World(agent, fake_plan, eventually, settings, new_registry())
    yield made
    made.close()


@pytest.fixture(name="children")
def _children():
    return children


@pytest.fixture(name="eventually", scope="session")
def _eventually():
    return eventually


@pytest.fixture(name="fake_plan")
def _fake_plan():
    return fake_plan


@pytest.fixture(name="get")
def _get():
    return get


@pytest.fixture(name="free_port")
def _free_port():
    return free_port


@pytest.fixture
def load_on():
    """Put light load on a port."""
    return Load


@pytest.fixture
def new_agent(tmp_path):
    """Make agents that leave nothing behind."""
    made = []

    def make(**options):
        agent = RunningAgent(tmp_path, **options)
        made.append(agent)
        return agent

    yield make
    for agent in made:
        if agent.process is not None and agent.process.poll() is None:
            agent.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                agent.process.wait(15)
            agent.process.kill()
            agent.process.wait()
        AgentLink(agent.run_dir).shutdown()


@pytest.fixture
def agent(new_agent):
    """A running agent whose workers run the fake server."""
    return new_agent().start()


@pytest.fixture(scope="session")
def logged_model(mlflow_server):
    """Name of a registered model with the versions of `scripts/log_versions.py`."""
    name = "tried"
    environment = os.environ | {"MLFLOW_TRACKING_URI": mlflow_server, "MLFLOW_DISABLE_TELEMETRY": "true"}
    script = [sys.executable, str(HERE / "scripts" / "log_versions.py"), name]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture(scope="module")
def new_module_agent():
    """Make an agent that lives as long as the module."""
    made = []

    def make(folder, **options):
        made.append(RunningAgent(folder, **options))
        return made[-1]

    yield make
    for agent in made:
        agent.link.shutdown()
        agent.process.kill()
        agent.process.wait()
