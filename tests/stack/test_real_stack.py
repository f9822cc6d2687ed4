"""The real services: each process is killed in turn, and comes back while status tells the truth."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request

import psutil
import pytest

from samovar import settings as settings_module
from samovar.autoserve import client
from samovar.stack import api, processes
from samovar.stack.state import RunDir

COLD_START = {"mlflow": 25.0, "autoserve": 15.0}
"""Seconds that the services themselves need on a busy machine, on top of the ten that are promised."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Settings of a running stack, on ports of its own."""
    patch = pytest.MonkeyPatch()
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_PORT", "SAMOVAR_AUTOSERVE_PORT"):
        patch.delenv(name, raising=False)
    own = {"mlflow_port": _free_port(), "autoserve_port": _free_port(), "endpoint_port_base": 18_300}
    own |= {"gateway_port": _free_port(), "gateway_metrics_port": _free_port()}
    settings = settings_module.load(home=tmp_path_factory.mktemp("home"), _env_file=None, **own)
    api.up(settings)
    yield settings
    api.down(settings)
    patch.undo()


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _rows(settings):
    return {row.name: row for row in api.status(settings).services}


def _all(settings):
    return processes.marked(RunDir(settings.run_dir).plan().stack)


def test_everything_is_up_and_addresses_answer(stack):
    """MLflow is the stock application, and lists models."""
    status = api.status(stack)
    assert status.healthy, status
    assert set(_rows(stack)) == {"guardian", "supervisor", "mlflow", "agent", "autoserve", "scheduler", "gateway"}
    url = f"{status.addresses['mlflow']}/api/2.0/mlflow/experiments/search?max_results=1"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert json.load(answer)["experiments"][0]["artifact_location"].startswith("mlflow-artifacts:")


def test_mlflow_rings_and_the_gateway_answers(stack, poll):
    """The doorbell is registered with the stack's own MLflow; what no model is behind is answered in JSON, by autoserve."""
    poll(lambda: client.health(stack)["doorbell"]["state"] == "ringing", 30)
    assert api.status(stack).notes == []
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{api.status(stack).addresses['gateway']}/models/none/ping", timeout=5)
    assert (refused.value.code, json.load(refused.value)["error"]["kind"]) == (404, "NotFound")


def test_idle_memory_leaves_room_for_the_work(stack):
    """All processes of the stack together, shared pages counted once."""
    rows = _rows(stack)
    assert sum(row.memory_mb for row in rows.values()) < 750, {name: row.memory_mb for name, row in rows.items()}
    assert rows["mlflow"].memory_mb < 320


@pytest.mark.parametrize("name", ["mlflow", "agent", "autoserve", "scheduler", "gateway", "supervisor", "guardian"])
def test_a_killed_process_is_back_in_time(stack, poll, name):
    """Its restart is attempted within a second; status says at once that it is gone, and that it is back only when it is."""
    before = _rows(stack)[name]
    victim = next(identity for identity in _all(stack) if identity.pid == before.pid)
    os.kill(before.pid, signal.SIGKILL)
    killed = time.monotonic()
    assert not processes.wait_gone([victim], 1)
    seen = _rows(stack)[name]
    assert seen.pid != before.pid
    assert seen.health != "healthy" or seen.restarts == before.restarts + 1
    again = poll(lambda: (row := _rows(stack)[name]).restarts == before.restarts + 1 and row.pid)
    running = next(identity for identity in _all(stack) if identity.pid == again)
    assert time.monotonic() - running.age - killed < 1.0
    poll(lambda: api.status(stack).healthy, 10.0 + COLD_START.get(name, 2.0), f"health of {name}")


def test_a_killed_zygote_is_replaced(stack, poll):
    """It has no name in the table; its agent starts another."""

    def zygote():
        agent = psutil.Process(_rows(stack)["agent"].pid)
        return [
            child.pid for child in agent.children() if "zygote" in " ".join(child.cmdline()) and "ample" not in child.cmdline()[0]
        ]

    (before,) = poll(zygote)
    os.kill(before, signal.SIGKILL)
    poll(lambda: zygote() not in ([], [before]))
    poll(lambda: api.status(stack).healthy)


def test_down_leaves_no_process_and_no_port_while_services_restart(stack, poll):
    """The hardest moment: several processes have just been killed, both keepers among them."""
    poll(lambda: api.status(stack).healthy, 40.0)
    rows, everything = _rows(stack), _all(stack)
    ports = [int(url.rpartition(":")[2]) for url in api.status(stack).addresses.values()]
    for name in ("mlflow", "agent", "supervisor", "guardian"):
        os.kill(rows[name].pid, signal.SIGKILL)
    began = time.monotonic()
    assert api.down(stack) is True
    assert time.monotonic() - began < 30
    assert not [one for one in everything if one.alive]
    for port in ports:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("127.0.0.1", port))
    assert not api.status(stack).services
