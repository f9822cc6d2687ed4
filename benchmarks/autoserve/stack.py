"""A stack as a user has it, `samovar up`, on a state folder of its own; and a plain MLflow server beside it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from benchmarks.serving import processes
from benchmarks.serving.servers import ask, eventually, free_port

from samovar import addresses
from samovar import settings as settings_module
from samovar.autoserve import client
from samovar.errors import SamovarError

if TYPE_CHECKING:
    from collections.abc import Mapping

_OWN = ("SAMOVAR_", "MLFLOW_", "POSTGRES_")


class Stack:
    """What `samovar up` starts.

    Args:
        settings: variables that differ from the defaults.
    """

    def __init__(self, **settings: str) -> None:
        # Short, since the path of a Unix socket may have 107 bytes.
        self.path = Path(tempfile.mkdtemp(prefix="sv-"))
        self.state = self.path / "state"
        own = {"SAMOVAR_HOME": str(self.state), "NO_COLOR": "1", "COLUMNS": "250"}
        # Every process of this home carries its path in TMPDIR, even one whose environment was cleaned.
        temporary = self.path / "tmp"
        temporary.mkdir()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
        self._env: Mapping[str, str] = inherited | own | {"TMPDIR": str(temporary)} | settings

    def command(self, *arguments: str, check: bool = True, timeout: float = 180) -> str:
        """Run one `samovar` command as a user does; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "samovar.cli.main", *arguments],
            env=self._env,
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and done.returncode:
            raise RuntimeError(f"samovar {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def address(self, service: str) -> str:
        """Return the URL of a service."""
        found = json.loads((self.state / "run/addresses.json").read_text(encoding="utf-8"))
        return str(found[service])

    def endpoints(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return what the controller says, by model and alias."""
        settings = settings_module.load(home=self.state, _env_file=None)
        try:
            found = client.endpoints(settings)
        except SamovarError:
            return {}
        return {(row.model, row.alias): msgspec.to_builtins(row) for row in found}

    def doorbell(self) -> bool:
        """Whether MLflow rings when an alias moves."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            return bool(self._healthz().get("doorbell"))
        return False

    def _healthz(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(ask(self.address("autoserve").removeprefix("http://"), "/healthz")[1])
        return found

    def gateway(self) -> bool:
        """Whether there is one address for all models."""
        return addresses.GATEWAY in json.loads((self.state / "run/addresses.json").read_text(encoding="utf-8"))

    def through_gateway(self, model: str) -> tuple[tuple[str, int], str]:
        """Return host and port of the gateway, and the path that scores at a model's `Production`."""
        host, _, port = self.address("gateway").removeprefix("http://").partition(":")
        return (host, int(port)), f"/models/{model}/invocations"

    def served(self, model: str, version: int, alias: str = "Production", seconds: float = 60.0) -> tuple[str, int]:
        """Wait until a version is served; returns host and port."""

        def ready() -> str | None:
            row = self.endpoints().get((model, alias), {})
            return str(row["address"]) if row.get("condition") == "Ready" and row.get("serving") == version else None

        found = eventually(ready, seconds, f"{model}@{alias} v{version}", 0.05, lambda: self.endpoints().get((model, alias)))
        host, _, port = found.removeprefix("http://").partition(":")
        return host, int(port)

    def processes(self) -> dict[int, str]:
        """Return every process of the stack, with its command line."""
        own = processes.of_home(str(self.path)) - {os.getpid()}
        table = {pid: parent for pid, (parent, _) in processes.table().items()}
        return {pid: processes.command(pid) for pid in processes.tree(own, table)}

    def stop(self) -> None:
        """End everything and delete the folder."""
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            self.command("down")
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.path, ignore_errors=True)


class Mlflow:
    """A plain MLflow server on SQLite, started as the stack starts its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sv-mlflow-"))
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "samovar.registry.server", "--folder", str(self.folder), "--port", str(self.port)],
                stdout=log,
                stderr=log,
            )
        eventually(lambda: ask(f"127.0.0.1:{self.port}", "/health")[0] == 200, 90, "MLflow's server")

    def stop(self) -> None:
        """End it and delete its folder."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def version_of(host: str, port: int) -> int | None:
    """Ask an endpoint over a new connection which version answers; None when it does not."""
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        status, said = ask(f"{host}:{port}", "/version", timeout=5.0)
        if status == 200:
            return int(json.loads(said)["version"])
    return None


def until_version(host: str, port: int, version: int, seconds: float = 60.0, pause: float = 0.005) -> float:
    """Wait for the first answer of a version; returns when it came, in seconds of the monotonic clock."""
    deadline = time.monotonic() + seconds
    while version_of(host, port) != version:
        if time.monotonic() > deadline:
            raise TimeoutError(f"v{version} does not answer within {seconds:g} s; v{version_of(host, port)} does")
        time.sleep(pause)
    return time.monotonic()
