"""What is compared: the stack of `samovar up`, `mlflow models serve`, and a hand-written FastAPI application."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.serving import bodies, processes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Render = Callable[[bodies.Model, Sequence[Sequence[Any]]], bytes]

HOST = "127.0.0.1"
# One core serves: a second numeric thread would only fight the first. Set for everyone.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


@dataclass(frozen=True)
class Target:
    """One model at one server.

    Attributes:
        address: host:port.
        one: path that takes a row, and how a row is written.
        many: path that takes many, and how they are written.
        predictions: reads the predictions out of an answer.
    """

    address: str
    one: tuple[str, Render]
    many: tuple[str, Render]
    predictions: Callable[[Any], list[Any]]


class Server(Protocol):
    """A running server program."""

    name: str

    def target(self, model: str) -> Target:
        """Where a model answers."""
        ...

    def answering(self, model: str) -> set[int]:
        """The processes that answer for a model."""
        ...

    def everyone(self, model: str) -> set[int]:
        """All processes whose CPU is counted for a model."""
        ...

    def stop(self) -> None:
        """End it."""
        ...


def free_port() -> int:
    """Return a TCP port that nobody has at the moment."""
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def ask(address: str, path: str, body: bytes | None = None, timeout: float = 60.0) -> tuple[int, bytes]:
    """Send one request on a connection of its own."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def eventually(probe: Callable[[], Any], seconds: float, what: str, pause: float = 0.1, why: Callable[[], Any] = str) -> Any:
    """Return the first truthy answer of a probe.

    Raises:
        TimeoutError: there was none.
    """
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if found := probe():
                return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s {why()}")
        time.sleep(pause)


@dataclass
class Program:
    """A program of one process tree, with its log in a file."""

    argv: Sequence[str]
    log: Path
    core: frozenset[int]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None

    def start(self) -> Program:
        """Start it on its core."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*processes.pinned(self.core), *self.argv],
                env={**os.environ, **ONE_THREAD, **self.env},
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def tree(self) -> set[int]:
        """Return its processes."""
        return processes.tree([self.process.pid], {pid: parent for pid, (parent, _) in processes.table().items()})

    def alive(self) -> bool:
        """Whether its first process runs; raises when it ended, with the end of its log."""
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.argv[0]} ended: {self.log.read_text(errors='replace')[-800:]}")
        return True

    def stop(self) -> None:
        """Kill its whole tree."""
        for pid in self.tree():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def registry(interpreter: str, folder: Path, core: frozenset[int]) -> tuple[Program, str]:
    """Start a plain MLflow server; returns it and its address."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    argv = [interpreter, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    argv += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "artifacts")]
    program = Program(argv, folder / "server.log", core, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}).start()
    eventually(lambda: program.alive() and ask(f"{HOST}:{port}", "/health")[0] == 200, 90, "MLflow's server")
    return program, f"http://{HOST}:{port}"


class OneProgram:
    """A server that is one program for one model."""

    program: Program

    def answering(self, model: str) -> set[int]:
        """See `Server`."""
        return self.everyone(model)

    def everyone(self, model: str) -> set[int]:  # noqa: ARG002
        """See `Server`."""
        return self.program.tree()

    def stop(self) -> None:
        """See `Server`."""
        self.program.stop()


class MlflowServe(OneProgram):
    """`mlflow models serve`, one worker, in an environment of its own.

    With uvloop and httptools, which uvicorn documents as its fast set-up and takes when they are installed, and without the
    access log: that is more than MLflow's own documentation asks for, and faster.
    """

    name = "mlflow"

    def __init__(self, interpreter: str, folder: Path, model: str, core: frozenset[int]) -> None:
        self.port = free_port()
        argv = [str(Path(interpreter).with_name("mlflow")), "models", "serve", "-m", str(folder / model), "-h", HOST]
        argv += ["-p", str(self.port), "--env-manager", "local", "--workers", "1"]
        path = f"{Path(interpreter).parent}{os.pathsep}{os.environ['PATH']}"  # it starts uvicorn by name
        env = {"PATH": path, "UVICORN_ACCESS_LOG": "0", "UVICORN_LOG_LEVEL": "warning"}
        self.program = Program(argv, folder / f"mlflow-{model}.log", core, env, cwd=folder).start()

    def target(self, model: str) -> Target:  # noqa: ARG002 - one server, one model
        """See `Server`."""
        route = ("/invocations", bodies.split)
        return Target(f"{HOST}:{self.port}", route, route, lambda answer: list(answer["predictions"]))


class FastApi(OneProgram):
    """`fastapi_app.py` under uvicorn with uvloop and httptools, one worker, no access log."""

    name = "fastapi"

    def __init__(self, interpreter: str, folder: Path, model: str, core: frozenset[int]) -> None:
        self.port = free_port()
        argv = [interpreter, "-m", "uvicorn", "fastapi_app:app", "--host", HOST, "--port", str(self.port), "--no-access-log"]
        here = Path(__file__).parent
        self.program = Program(argv, folder / f"fastapi-{model}.log", core, {"MODEL": str(folder / model)}, cwd=here).start()

    def target(self, model: str) -> Target:  # noqa: ARG002 - one server, one model
        """See `Server`."""
        return Target(f"{HOST}:{self.port}", ("/predict", bodies.record), ("/batch", bodies.table), _written_by_hand)


def _written_by_hand(answer: Any) -> list[Any]:
    return list(answer["predictions"]) if "predictions" in answer else [answer["prediction"]]


class Samovar:
    """All that `samovar up` starts, on a state folder of its own, with its default settings.

    Args:
        tracking: address of the MLflow server whose aliases are served.
        core: where all of it runs.
        models: what must be served before it counts as up.
        settings: variables that differ from the defaults.
    """

    name = "samovar"

    def __init__(self, tracking: str, core: frozenset[int], models: Sequence[str], settings: Mapping[str, str]) -> None:
        # Short, since the path of a Unix socket may have 107 bytes.
        self.home = Path(tempfile.mkdtemp(prefix="sv-"))
        self._core = core
        own = {"SAMOVAR_HOME": str(self.home / "state"), "MLFLOW_TRACKING_URI": tracking, "NO_COLOR": "1", "COLUMNS": "200"}
        self._env = {**os.environ, **own, **settings}
        self._addresses: dict[str, str] = {}
        self.engines: dict[str, str] = {}
        try:
            self.command("up", "--detach")
            for model in models:
                self._serve(model)
        except BaseException:
            self.stop()
            raise

    def command(self, *arguments: str) -> str:
        """Run one `samovar` command as a user does."""
        done = subprocess.run(
            [*processes.pinned(self._core), sys.executable, "-m", "samovar.cli.main", *arguments],
            env=self._env,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        if done.returncode:
            raise RuntimeError(f"samovar {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def _serve(self, model: str) -> None:
        def ready() -> Any:
            row = next((row for row in self.status()["endpoints"] if row["model"] == model), {})
            if row.get("condition") == "Untrusted":
                self.command("trust", model)
            return row.get("address") if row.get("condition") == "Ready" else None

        self._addresses[model] = eventually(ready, 90, f"{model} served by Samovar", 0.5, lambda: self.status()["endpoints"])
        status, said = ask(self._host(model), "/version")
        if status != 200:
            raise RuntimeError(f"/version of {model}: {status} {said[:300]!r}")
        self.engines[model] = json.loads(said)["engine"]

    def status(self) -> Any:
        """Return what `samovar status --json` says."""
        return json.loads(self.command("status", "--json"))

    def unshipped(self) -> bool:
        """Whether rows of the prediction log still wait for the database."""
        return any(path.suffix in (".open", ".sealed") for path in (self.home / "state/spool").rglob("*"))

    def _host(self, model: str) -> str:
        return self._addresses[model].removeprefix("http://").rstrip("/")

    def target(self, model: str) -> Target:
        """See `Server`."""
        route = ("/invocations", bodies.split)
        return Target(self._host(model), route, route, lambda answer: list(answer["predictions"]))

    def everyone(self, model: str) -> set[int]:  # noqa: ARG002 - one stack serves all models
        """See `Server`: agent, workers, controller, scheduler, observer, supervisors, whatever model they are there for."""
        roots = processes.of_home(str(self.home)) - {os.getpid()}
        return processes.tree(roots, {pid: parent for pid, (parent, _) in processes.table().items()})

    def answering(self, model: str) -> set[int]:
        """See `Server`: found by the title that a worker gives itself."""
        return {pid for pid in self.everyone(model) if processes.command(pid).startswith(f"samovar: {model}@")}

    def stop(self) -> None:
        """See `Server`."""
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            self.command("down")
        for pid in processes.of_home(str(self.home)) - {os.getpid()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)
