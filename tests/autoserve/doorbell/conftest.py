"""The MLflow server that ``samovar up`` starts, and a controller's API that its webhooks reach."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
import uvicorn

from samovar import settings as settings_module
from samovar.autoserve.api import make_app
from samovar.autoserve.doorbell.doorbell import Doorbell
from samovar.errors import SamovarError
from samovar.registry.client import Registry


def until(probe, seconds=15.0, what="it"):
    """Return the first truthy answer of ``probe``."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.01)


class LocalMlflow:
    """MLflow as the stack runs it; it can be stopped and started again."""

    def __init__(self, folder):
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.registry = Registry(self.url, 20)
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "samovar.registry.server", "--folder", str(self.folder), "--port", str(self.port)]
        hidden = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        with (self.folder.parent / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=hidden, stdout=log, stderr=log)
        until(self._answers, 90, "MLflow answers")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def _answers(self):
        assert self.process.poll() is None, (self.folder.parent / "server.log").read_text()
        with contextlib.suppress(SamovarError):
            self.registry.ping()
            return True
        return False

    def model(self, name):
        """Register a model with two versions."""
        experiment = self.registry.rest.post("experiments/create", name=f"of {name}")["experiment_id"]
        run = self.registry.rest.post("runs/create", experiment_id=experiment, start_time=1)["run"]["info"]
        self.registry.ensure_model(name)
        for _ in range(2):
            self.registry.create_version(name, source=f"{run['artifact_uri']}/model", run_id=run["run_id"], tags={})
        return name


@pytest.fixture(scope="module")
def local_mlflow(tmp_path_factory):
    """One server for a file of tests."""
    server = LocalMlflow(tmp_path_factory.mktemp("doorbell") / "mlflow")
    server.start()
    yield server
    server.stop()


class House:
    """A controller's API with its doorbell, and a loop that only counts how often it was woken."""

    def __init__(self, settings, registry):
        self.settings = settings
        self.woken = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.doorbell = Doorbell(
            settings, lambda: registry, lambda: self.woken.append(time.monotonic()), host="127.0.0.1", port=self.port
        )
        self.keeper = self.doorbell._keeper
        app = make_app(None, lambda: True, self.doorbell)
        self.server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]}, daemon=True)
        self.thread.start()
        until(lambda: self.server.started, 10, "the API is up")

    def close(self):
        self.server.should_exit = True
        self.thread.join(5)


@pytest.fixture
def house(tmp_path):
    """Makes houses; each of its own state folder unless one is named."""
    opened = []

    def make(registry, folder="state", **settings):
        known = settings_module.load(
            **({"home": tmp_path / folder, "mlflow_tracking_uri": registry.tracking_uri, "_env_file": None} | settings)
        )
        opened.append(House(known, registry))
        return opened[-1]

    yield make
    for one in opened:
        one.close()
