"""Workers of one endpoint share a port: whoever is scraped answers for all, and no counter ever goes back."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from samovar.serving import errors, numbers
from samovar.serving.metrics import Metrics

HERE = str(Path(__file__).parent)


def metrics(folder, version="3"):
    info = {"version": version, "label": f"v{version}", "engine": "compiled", "notes": "lowered"}
    return Metrics({"model": "m", "alias": "a"}, ["/predict"], info, errors.KINDS, str(folder))


def observe(found, count=1, status=200, kind=""):
    for _ in range(count):
        found.routes["/predict"].observe(seconds=0.002, received=100, status=status, sent=200, kind=kind)


def scrape(found):
    lines = (line.rsplit(" ", 1) for line in found.render().decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def requests(found, version="3"):
    own = f'{{model="m",alias="a",version="{version}",endpoint="/predict"}}'
    return scrape(found).get(f"api_request_duration_seconds_count{own}", 0)


WORKER = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_metrics_workers import metrics, observe
mine = metrics(sys.argv[1], sys.argv[3])
for line in sys.stdin:
    observe(mine, int(line))
    print("done", flush=True)
"""


class Worker:
    """A process that counts what it is told to."""

    def __init__(self, folder, version="3"):
        command = [sys.executable, "-c", WORKER, str(folder), HERE, version]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.observe(0)

    def observe(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait(10) == -signal.SIGKILL


@pytest.fixture
def worker(tmp_path):
    started = []

    def start(version="3"):
        started.append(Worker(tmp_path, version))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait(10)
        one.process.stdin.close()
        one.process.stdout.close()


def test_a_scrape_of_one_worker_counts_for_all(tmp_path, worker):
    mine, other = metrics(tmp_path), worker()
    observe(mine, 2)
    other.observe(5)
    assert requests(mine) == 7
    series = scrape(mine)
    own = '{model="m",alias="a",version="3",endpoint="/predict"}'
    assert series[f"api_request_size_bytes_sum{own}"] == 700
    assert series[f"api_errors_total{own}"] == 0


def test_a_worker_that_is_killed_takes_nothing_with_it(tmp_path, worker):
    """Killed at once after a request: the count is in the file already, and stays."""
    mine, other = metrics(tmp_path), worker()
    other.observe(5)
    other.kill()
    assert requests(mine) == 5
    observe(mine)
    assert requests(mine) == 6
    assert len(list(tmp_path.glob("*.slot"))) == 1


def test_the_test_of_kills_notices_counts_that_die(tmp_path, worker, monkeypatch):
    """Sabotage: were the dead not kept, the test above would see it."""
    mine, other = metrics(tmp_path), worker()
    other.observe(5)
    other.kill()
    monkeypatch.setattr(numbers._Scrape, "_bury", lambda *_: None)
    assert requests(mine) == 0


def test_counts_outlive_all_workers(tmp_path, worker):
    """The agent starts the endpoint again: counters go on."""
    first = worker()
    first.observe(3)
    first.kill()
    second = worker()
    second.observe(4)
    second.kill()
    assert requests(metrics(tmp_path)) == 7


def test_what_is_true_of_the_living_only_goes_with_the_dead(tmp_path, worker):
    """During a swap two versions answer; afterwards one does, and the other's counters stay for a while."""
    mine, old = metrics(tmp_path, "4"), worker("3")
    old.observe(2)
    mine.in_flight.set(1)
    both = {name for name in scrape(mine) if name.startswith("model_info")}
    assert len(both) == 2
    old.kill()
    (info,) = [name for name in scrape(mine) if name.startswith("model_info")]
    assert 'version="4"' in info
    assert (requests(mine, "3"), requests(mine, "4")) == (2, 0)
    series = scrape(mine)
    assert series['samovar_requests_in_flight{model="m",alias="a",version="4"}'] == 1
    assert not any(name.startswith("samovar_requests_in_flight") and 'version="3"' in name for name in series)


def test_versions_that_nobody_serves_are_forgotten_after_a_while(tmp_path, worker, monkeypatch):
    """An endpoint that is swapped every day must not tell of a year of versions."""
    old = worker("3")
    old.observe(2)
    old.kill()
    mine = metrics(tmp_path, "4")
    assert requests(mine, "3") == 2
    monkeypatch.setattr(numbers, "FORGET_SECONDS", -1.0)
    assert requests(mine, "3") == 0
    assert requests(mine, "4") == 0


def test_what_all_say_of_one_thing_is_not_added(tmp_path):
    """Each worker measures the same folder of the prediction log."""
    one, other = metrics(tmp_path), metrics(tmp_path)
    one.spool.waiting.set(1000)
    other.spool.waiting.set(1100)
    one.queue.set(2)
    other.queue.set(3)
    series = scrape(one)
    own = '{model="m",alias="a",version="3"}'
    assert series[f"samovar_spool_bytes{own}"] == 1100
    assert series[f"samovar_queue_depth{own}"] == 5
    assert series['samovar_engine{model="m",alias="a",version="3",engine="compiled",reason="lowered"}'] == 1


def test_counters_never_go_back_whoever_is_asked_while_workers_die(tmp_path, worker):
    """Two workers are scraped by turns, others count and are killed meanwhile."""
    mine, other = metrics(tmp_path), metrics(tmp_path)
    seen, stop = [], threading.Event()

    def scraping():
        while not stop.is_set():
            seen.extend((requests(mine), requests(other)))

    thread = threading.Thread(target=scraping)
    thread.start()
    total = 0
    for round_ in range(4):
        counting = worker()
        counting.observe(10 + round_)
        total += 10 + round_
        counting.kill()
    stop.set()
    thread.join(20)
    assert seen == sorted(seen)
    assert requests(mine) == requests(other) == total


@pytest.mark.parametrize("killed_at", ["replace", "unlink"])
def test_killed_while_it_buries_the_dead_counts_them_once(tmp_path, worker, killed_at):
    """A scrape may die at any moment; the next one neither loses nor doubles."""
    dead = worker()
    dead.observe(5)
    dead.kill()
    code = f"""
import os, pathlib, signal, sys
sys.path.insert(0, {HERE!r})
from test_metrics_workers import metrics
mine = metrics({str(tmp_path)!r})
pathlib.Path.{killed_at} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
mine.render()
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    mine = metrics(tmp_path)
    assert [requests(mine) for _ in range(3)] == [5, 5, 5]


def test_a_worker_that_is_stopped_while_it_scrapes_stops_nobody(tmp_path, monkeypatch):
    """Old numbers are better than none, and than wrong ones."""
    import fcntl

    mine = metrics(tmp_path)
    observe(mine, 3)
    assert requests(mine) == 3
    monkeypatch.setattr(numbers, "_TRIES", 2)
    with (tmp_path / "lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        observe(mine, 1)
        assert requests(mine) == 3
    assert requests(mine) == 4


def test_a_folder_that_cannot_be_made_is_as_good_as_none(tmp_path):
    """Metrics take no endpoint down."""
    (tmp_path / "file").touch()
    mine = metrics(tmp_path / "file" / "metrics")
    observe(mine)
    assert requests(mine) == 1


def test_files_of_another_kind_are_left_out(tmp_path):
    mine = metrics(tmp_path)
    (tmp_path / "0-old.slot").write_bytes(b"smvnum00" + bytes(500))
    (tmp_path / "1-empty.slot").touch()
    (tmp_path / "base").write_bytes(b"nonsense")
    observe(mine)
    assert requests(mine) == 1
    assert len(list(tmp_path.glob("*.slot"))) == 1
