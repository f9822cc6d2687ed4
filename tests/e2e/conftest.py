"""A state folder of its own for each test that runs the whole product, and the command line on it as a user has it.

Nothing here imports Samovar: these tests see commands, HTTP, MLflow's stock client, SQL and processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil
import pytest

SAMOVAR = str(Path(sys.executable).with_name("samovar"))
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "SSL_CERT_FILE")


def eventually(probe, seconds, what):
    """Return the first truthy answer of ``probe``; fail with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s: {what() if callable(what) else what}"
        time.sleep(0.05)


def can_listen(port):
    """Whether a server could have the port now."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def held_by(port):
    """Who holds a port, and how."""
    found = [one for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port]
    return [(one.status, one.pid and psutil.Process(one.pid).cmdline()) for one in found]


class Home:
    """One state folder, and all that a stranger can do with it and see of it."""

    def __init__(self, **variables):
        # Short, since the path of a Unix socket may have 107 bytes.
        self.path = Path(tempfile.mkdtemp(prefix="sv-"))
        self.work = self.path / "work"
        self.state = self.path / "state"
        temporary = self.path / "tmp"
        for folder in (self.work, temporary):
            folder.mkdir()
        # Every process of this home carries its path in TMPDIR, even one whose environment was cleaned of SAMOVAR_*.
        own = {"HOME": str(self.path), "TMPDIR": str(temporary), "SAMOVAR_HOME": str(self.state), "COLUMNS": "250", "NO_COLOR": "1"}
        self.environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | own | variables
        self.http = httpx.Client(timeout=15, trust_env=False)

    def start(self, *argv, cwd=None, env=None, **options):
        """Start a program in the clean environment."""
        return subprocess.Popen(argv, cwd=cwd or self.work, env=self.environment | (env or {}), text=True, **options)

    def run(self, *argv, cwd=None, env=None, timeout=180):
        """Run a program to its end in the clean environment."""
        return subprocess.run(
            argv,
            cwd=cwd or self.work,
            env=self.environment | (env or {}),
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
        )

    def samovar(self, *args, **options):
        """Run one command as a user does."""
        return self.run(SAMOVAR, *args, **options)

    def done(self, *args, **options):
        """Run one command with --json, which must succeed, and return its document."""
        result = self.samovar(*args, "--json", **options)
        assert result.returncode == 0, f"samovar {' '.join(args)}: {result.stderr or result.stdout}"
        return json.loads(result.stdout)

    def refused(self, *args, code, **options):
        """Run one command that must fail with one clear line and no trace; return the line."""
        result = self.samovar(*args, **options)
        lines = result.stderr.strip().splitlines()
        assert "Traceback" not in result.stdout + result.stderr, result.stderr
        assert len(lines) == 1, f"more or less than one line on stderr: {result.stderr!r}, stdout {result.stdout!r}"
        assert lines[0].startswith("error: "), lines[0]
        assert "fault of Samovar" not in lines[0], lines[0]
        assert result.returncode == code, f"exit code {result.returncode}, expected {code}: {lines[0]}"
        return lines[0]

    # --- the stack -----------------------------------------------------------------------------------------------------------

    def up(self):
        """Start the stack."""
        result = self.samovar("up", "--detach")
        assert result.returncode == 0, f"samovar up: {result.stderr}\n{result.stdout}"

    def address(self, service):
        """URL of a service of the stack."""
        return json.loads((self.state / "run" / "addresses.json").read_text())[service]

    def status(self):
        """What `samovar status --json` says."""
        return self.done("status")

    def endpoints(self):
        """What the controller says of its endpoints, by (model, alias)."""
        rows = self.http.get(f"{self.address('autoserve')}/endpoints").raise_for_status().json()
        rows = rows["endpoints"] if isinstance(rows, dict) else rows
        return {(row["model"], row["alias"]): row for row in rows}

    def served(self, model, version, alias="Production", seconds=40):
        """Wait until a version is served; return the endpoint's address."""

        def ready():
            row = self.endpoints().get((model, alias), {})
            return row if row.get("condition") == "Ready" and row.get("serving") == version else None

        return eventually(ready, seconds, lambda: f"{model}@{alias} v{version} served: {self.endpoints()}")["address"]

    def mlflow(self):
        """The stock MLflow client on this stack's server."""
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "2"
        import mlflow

        mlflow.set_tracking_uri(self.address("mlflow"))
        return mlflow.MlflowClient(self.address("mlflow"))

    # --- what it leaves in the world ------------------------------------------------------------------------------------------

    def processes(self):
        """Every process that was started for this home: its path is in the environment, command line or working folder."""
        return [one for one in psutil.process_iter() if one.pid != os.getpid() and self._is_mine(one)]

    def _is_mine(self, process):
        mine = str(self.path)
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            words = [*process.environ().values(), *process.cmdline(), process.cwd()]
            return any(mine in word for word in words)
        return False

    def ports(self):
        """TCP ports on which processes of this home listen."""
        found = set()
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                found |= {one.laddr.port for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
        return found

    def assert_nothing_left(self, ports=()):
        """No process of this home runs, and its ports can be had again."""
        eventually(lambda: not self.processes(), 5, lambda: f"no process left: {[one.cmdline() for one in self.processes()]}")
        for port in ports:
            eventually(lambda port=port: can_listen(port), 5, lambda port=port: f"port {port} free: {held_by(port)}")

    def tables(self):
        """Every row of the app database, by table."""
        path = self.state / "app.db"
        if not path.exists():
            return {}
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            names = [name for (name,) in database.execute("select name from sqlite_master where type = 'table' order by name")]
            return {name: database.execute(f"select * from {name} order by 1").fetchall() for name in names}

    def files(self, *folders):
        """Size-independent fingerprint of every file below some folders of the state: path and content."""
        found = {}
        for folder in folders:
            for path in sorted((self.state / folder).rglob("*")):
                if path.is_file():
                    found[str(path.relative_to(self.state))] = path.read_bytes()
        return found

    def close(self):
        """Stop what runs and delete the folder; a test that failed must not disturb the next one."""
        if (self.state / "run").exists():
            self.samovar("down")
        left = self.processes()
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.http.close()
        shutil.rmtree(self.path, ignore_errors=True)
        return left


@pytest.fixture(name="eventually", scope="session")
def eventually_fixture():
    """Poll until something holds."""
    return eventually


@pytest.fixture(scope="module")
def new_home():
    """Make homes that live as long as the module."""
    with contextlib.ExitStack() as homes:
        yield lambda: homes.enter_context(contextlib.closing(Home()))


@pytest.fixture
def home():
    """A fresh home; whatever the test did, no process may stay."""
    with contextlib.closing(Home()) as one:
        yield one
        one.assert_nothing_left()


@pytest.fixture(scope="module")
def variables():
    """Environment of the module's stack; a module may override it."""
    return {}


@pytest.fixture(scope="module")
def stack(variables):
    """A running stack; at the end `samovar down` must leave no process and no port."""
    with contextlib.closing(Home(**variables)) as one:
        one.up()
        yield one
        ports = one.ports()
        assert ports, "a stack listens somewhere"
        result = one.samovar("down")
        assert result.returncode == 0, result.stderr
        one.assert_nothing_left(ports)
