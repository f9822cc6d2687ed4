"""`up` and `down` as a person meets them: what cannot be done is said in one line, and nothing is half done."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

import pytest

from samovar import addresses
from samovar import settings as settings_module
from samovar.errors import Conflict, RetryLater, StackUnavailable
from samovar.stack import api, ports, processes
from samovar.stack.state import Plan, Probe, RunDir, Service

WEB = "import http.server, sys; http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Settings of a home that does not exist yet; whatever a test leaves running there is ended."""
    for name in ("MLFLOW_PORT", "SAMOVAR_AUTOSERVE_PORT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    settings = settings_module.load(home=tmp_path / "home", _env_file=None)
    yield settings
    api.down(settings)


@pytest.fixture
def small(monkeypatch):
    """Lets `up` run one small web server, or one program of the test's choice, in place of the real services."""

    def use(program=WEB):
        def make_plan(settings, chosen):
            port = chosen["mlflow"]
            service = Service(
                "mlflow", (sys.executable, "-c", program, str(port)), Probe("http", f"http://127.0.0.1:{port}/"), grace=2.0
            )
            where = {"mlflow": f"http://127.0.0.1:{port}"}
            return Plan(f"test-{settings.state}", str(settings.state / "logs"), (service,), where, tuple(chosen.values()))

        monkeypatch.setattr(api, "make_plan", make_plan)

    use()
    return use


def _stack(settings):
    return processes.marked(f"test-{settings.state}")


def test_up_tells_where_mlflow_is_and_down_takes_it_back(settings, small):
    """Every other command finds MLflow by this file."""
    with pytest.raises(RetryLater, match="samovar up"):
        addresses.tracking_uri(settings)
    seen = []
    status = api.up(settings, progress=lambda name, health: seen.append((name, health)))
    assert status.up
    assert status.healthy
    assert seen[-1] == ("mlflow", "healthy")
    assert addresses.tracking_uri(settings) == status.addresses["mlflow"]
    assert api.down(settings) is True
    assert not _stack(settings)
    assert not api.status(settings).up
    assert api.down(settings) is False
    with pytest.raises(RetryLater):
        addresses.tracking_uri(settings)


def test_a_second_up_is_refused_and_harms_nothing(settings, small):
    """The line says what to do."""
    api.up(settings)
    before = _stack(settings)
    with pytest.raises(Conflict, match=r"up already.*samovar down"):
        api.up(settings)
    assert _stack(settings) == before


def test_ports_stay_reserved_while_the_stack_is_up(settings, small, poll):
    """Another stack that starts while a service is restarted must not take its port."""
    port = int(api.up(settings).addresses["mlflow"].rpartition(":")[2])

    def reserved():
        mark = ports.reserve(port)
        if mark is not None:
            mark.close()
        return mark is None

    poll(reserved)
    api.down(settings)
    assert not reserved()


def test_two_ups_at_once_start_one_stack(settings, small):
    """One of the two is refused."""
    outcomes = []

    def start():
        try:
            outcomes.append(api.up(settings).healthy)
        except Conflict:
            outcomes.append("refused")

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["True", "refused"]
    assert sorted(_stack(settings).values()) == ["guardian", "mlflow", "supervisor"]


def test_up_after_both_keepers_were_killed_starts_afresh(settings, small):
    """What they left is ended first: no port is held by a service that nobody watches."""
    api.up(settings)
    run = RunDir(settings.run_dir)
    for role in ("guardian", "supervisor"):
        os.kill(run.keeper(role).identity.pid, signal.SIGSTOP)
    left = run.state().services["mlflow"].identity
    for role in ("guardian", "supervisor"):
        os.kill(run.keeper(role).identity.pid, signal.SIGKILL)
    processes.wait_gone([run.keeper(role).identity for role in ("guardian", "supervisor")], 5)
    status = api.status(settings)
    assert not status.up
    assert "Nobody watches" in status.notes[0]
    assert [row.health for row in status.services] == ["dead", "dead", "healthy"]
    assert api.up(settings).healthy
    assert not left.alive
    assert sorted(_stack(settings).values()) == ["guardian", "mlflow", "supervisor"]


def test_a_service_that_cannot_start_is_named_and_nothing_is_left(settings, small):
    """With the way it ended and the log to look at."""
    small("raise SystemExit(7)")
    with pytest.raises(StackUnavailable, match=r"mlflow .*exit code 7.*mlflow\.log"):
        api.up(settings)
    assert not _stack(settings)


def test_a_demanded_port_that_is_taken_leaves_no_trace(settings, small, monkeypatch):
    """Not even an empty folder."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("MLFLOW_PORT", str(other.getsockname()[1]))
        with pytest.raises(Conflict, match="MLFLOW_PORT"):
            api.up(settings_module.load(home=settings.home, _env_file=None))
    assert not settings.state.exists()


@pytest.mark.parametrize("below", ["file", "file/deeper"])
def test_a_home_that_is_a_file_is_refused(settings, small, tmp_path, below):
    """The file stays as it was."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StackUnavailable, match="SAMOVAR_HOME"):
        api.up(settings_module.load(home=tmp_path / below, _env_file=None))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_home_that_cannot_be_written_is_refused(settings, small):
    """Nobody, not even root, makes a folder in /proc."""
    with pytest.raises(StackUnavailable, match=r"cannot be used.*SAMOVAR_HOME"):
        api.up(settings_module.load(home="/proc/samovar/home", _env_file=None))


def test_down_ends_an_up_that_still_waits(settings, small):
    """The service never answers; the waiting `up` ends with a line, not with its timeout."""
    small("import time; time.sleep(600)")
    raised = []

    def start():
        try:
            api.up(settings)
        except Conflict as error:
            raised.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    while "mlflow" not in _stack(settings).values():
        assert thread.is_alive()
    assert api.down(settings) is True
    thread.join(10)
    assert not thread.is_alive()
    assert "stopped while it started" in raised[0]
    assert not _stack(settings)


def test_status_says_dead_is_dead(settings, small, poll):
    """Also while nobody has noticed yet, since the supervisor is stopped and its file says healthy."""
    api.up(settings)
    run = RunDir(settings.run_dir)
    supervisor, service = run.keeper("supervisor").identity, run.state().services["mlflow"].identity
    os.kill(supervisor.pid, signal.SIGSTOP)
    os.kill(service.pid, signal.SIGKILL)
    processes.wait_gone([service], 5)
    assert run.state().services["mlflow"].health == "healthy"
    row = api.status(settings).services[-1]
    assert (row.health, row.pid, row.memory_mb) == ("restarting", None, 0.0)
    os.kill(supervisor.pid, signal.SIGCONT)
    poll(lambda: api.status(settings).healthy)
    row = api.status(settings).services[-1]
    assert row.restarts == 1
    assert row.pid != service.pid
    assert row.memory_mb > 1
    assert row.uptime_seconds < 60


def test_a_service_that_hangs_is_not_called_healthy(settings, small):
    """It runs, and the kernel still accepts connections for it."""
    api.up(settings)
    service = RunDir(settings.run_dir).state().services["mlflow"].identity
    os.kill(service.pid, signal.SIGSTOP)
    status = api.status(settings)
    assert status.services[-1].health == "unhealthy"
    assert not status.healthy
    os.kill(service.pid, signal.SIGCONT)


def test_logs_show_what_a_service_wrote(settings, small):
    """Standard output and standard error, in one file by service."""
    small("import sys; print('to out'); print('to err', file=sys.stderr); sys.stdout.flush();" + WEB)
    api.up(settings)
    found = {line.text for line in api.logs(settings, "mlflow")}
    assert {"to out", "to err"} <= found
