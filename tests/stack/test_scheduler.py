"""Due work is found in the database and run as a command, once."""

from __future__ import annotations

import sys
import threading

import pytest

from samovar import settings as settings_module
from samovar.serving.metrics import Metrics
from samovar.serving.spool.privacy import Hasher, Privacy
from samovar.serving.spool.records import FORMAT, Header, LoggedField
from samovar.serving.spool.writer import Limits, SegmentSpool
from samovar.stack.scheduler import Scheduler
from samovar.stack.services import SCHEDULER_BEAT
from samovar.store import datasets, prediction_log, retrains
from samovar.store.database import open_database

COMMAND = """
import pathlib, sys
with open({log!r}, "a") as file:
    file.write(" ".join(sys.argv[1:]) + chr(10))
from samovar import settings
from samovar.store import retrains
from samovar.store.database import open_database
if sys.argv[1] == "retrain":
    database = open_database(settings.get())
    with database.begin() as connection:
        claimed = retrains.claim(connection, "a claimant elsewhere", sys.argv[2])
        if claimed and {finishes!r}:
            retrains.finish(connection, claimed.id, True)
sys.exit({code!r})
"""


class Bench:
    """A scheduler beside a database, with a small program in place of the ``samovar`` command."""

    def __init__(self, home, **changes):
        self.settings = settings_module.load(home=home, **changes)
        self.settings.run_dir.mkdir(parents=True)
        self.log = home / "ran.txt"
        self.database = open_database(self.settings)
        self.thread = None

    def start(self, code=0, *, finishes=True):
        program = COMMAND.format(log=str(self.log), finishes=finishes, code=code)
        self.scheduler = Scheduler(self.settings, (sys.executable, "-c", program))
        self.thread = threading.Thread(target=self.scheduler.serve)
        self.thread.start()

    def ask(self, project="iris", window="w1"):
        with self.database.begin() as connection:
            assert retrains.request(connection, project, window, "d" * 64, "drift")

    def ran(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def beats(self):
        return (self.settings.run_dir / SCHEDULER_BEAT).exists()

    def stop(self):
        if self.thread is not None:
            self.scheduler.stop()
            self.thread.join(10)
            assert not self.thread.is_alive()


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Makes benches; ends their schedulers."""
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    made = []

    def make(**changes):
        made.append(Bench(tmp_path, retrain_poll_seconds=0.05, **changes))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_an_open_request_is_worked_on_once(bench, poll):
    """The command claims and finishes it; nothing is left to do afterwards."""
    one = bench()
    one.ask()
    one.start()
    poll(one.ran)
    one.ask(window="w2")
    poll(lambda: len(one.ran()) == 2)
    assert one.ran() == ["retrain iris"] * 2


def test_a_failing_retrain_is_not_run_in_a_tight_loop(bench, poll):
    """Its request stays, and is tried again later and later; others go on."""
    one = bench()
    one.ask()
    one.start(code=1, finishes=False)
    poll(one.ran)
    one.ask(project="wine", window="w2")
    poll(lambda: "retrain wine" in one.ran())
    assert one.ran().count("retrain iris") == 1


def test_projects_with_data_are_monitored(bench, poll):
    """Wine has no data yet, so nothing can be said about it."""
    one = bench(monitor_seconds=0.2)
    row = datasets.Dataset(project="iris", digest="d" * 64, contract="c" * 64, url="file:///nowhere", rows=1)
    with one.database.begin() as connection:
        datasets.add(connection, row)
    one.start()
    poll(lambda: len(one.ran()) >= 2)
    assert set(one.ran()) == {"monitor iris"}


def test_airflow_as_orchestrator_leaves_requests_alone(bench, poll):
    """There is one claimant, whoever orchestrates."""
    one = bench(orchestrator="airflow")
    one.ask()
    one.start()
    poll(one.beats)
    one.stop()
    assert one.ran() == []


def test_it_beats_and_ends_when_its_run_folder_is_gone(bench, poll):
    """A scheduler without a stack must not live on."""
    one = bench()
    one.start()
    poll(one.beats)
    for file in one.settings.run_dir.iterdir():
        file.unlink()
    one.settings.run_dir.rmdir()
    poll(lambda: not one.thread.is_alive())


@pytest.mark.parametrize("orchestrator", ["internal", "airflow"])
def test_what_endpoints_logged_is_shipped_whoever_orchestrates(bench, poll, orchestrator):
    """The log is written on this host, so it is shipped from here."""
    one = bench(ship_seconds=0.05, orchestrator=orchestrator)
    one.start()
    folder = one.settings.spool_folder / "endpoint"
    counts = Metrics({}, [], {"version": "1"}, []).spool
    header = Header(FORMAT, "", "iris", "Production", 1, "v1", "iris", "champion", "d" * 64, None, (LoggedField("x", "keep"),))
    log = SegmentSpool(folder, header, Privacy(header.fields, None, Hasher(b"k")), Limits(), counts)
    for _ in range(3):
        log.row(b"id", "/predict", (b"", (1.0,), None, "setosa", None))
        log.flush()
    log.close()

    def shipped():
        with one.database.read() as connection:
            return prediction_log.count(connection, model="iris") == 3 and not any(folder.iterdir())

    poll(shipped)
