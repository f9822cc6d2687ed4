"""What endpoints logged is in the database once, whatever is killed and whoever ships besides."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading

import pytest
from spooling import FIELDS, ID, job, spool, write

from samovar import settings as settings_module
from samovar.pipelines.ship import ship
from samovar.serving.spool import reader
from samovar.store import prediction_log
from samovar.store.database import open_database


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path))
    monkeypatch.delenv("SAMOVAR_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture
def database(home):
    opened = open_database(settings_module.load(home=home, _env_file=None))
    yield opened
    opened.close()


def stored(database, model="payments"):
    with database.read() as connection:
        return prediction_log.rows_of(connection, model, limit=100_000)


def keys(database):
    return sorted((row.key for row in stored(database)), key=lambda key: int(key[2:]))


def log(home, count=20, *, endpoint="one", start=0, **options):
    """Log some requests, in several files."""
    opened = spool(home / "spool" / endpoint, segment_bytes=700, **options)
    write(opened, start, count)
    opened.job(ID, "/batch_predict", *job(3, start=start + count))
    opened.flush()
    opened.close()


def test_every_row_of_every_endpoint_is_shipped_and_its_file_deleted(home, database):
    log(home)
    log(home, endpoint="two", model="iris", fields=FIELDS)
    found = ship(database, home / "spool")
    assert (found["status"], found["requests"], found["rows"]) == ("done", 42, 46)
    assert keys(database) == [f"t-{number}" for number in range(23)]
    first = stored(database)[0]
    assert (first.route, first.label, first.probabilities) == ("/predict", "1", [0.2, 0.8])
    assert first.features == {"amount": 12.5, "channel": "web"}
    assert len(stored(database, "iris")) == 23
    assert [path for path in (home / "spool").rglob("*") if path.is_file()] == []
    assert ship(database, home / "spool")["status"] == "unchanged"


def test_without_a_log_there_is_nothing_to_ship(home, database):
    assert ship(database, home / "nowhere")["status"] == "unchanged"


def test_a_file_that_came_back_is_not_shipped_again(home, database):
    """A backup is restored, or the machine died before the deletion reached the disk."""
    log(home)
    shutil.copytree(home / "spool", home / "copy")
    ship(database, home / "spool")
    assert ship(database, home / "copy")["rows"] == 0
    assert len(keys(database)) == 23


SHIP = """
import os, signal, sys
import sqlalchemy as sa
from samovar import settings
from samovar.pipelines.ship import ship
from samovar.store import prediction_log
from samovar.store.database import open_database
kind, _, number = sys.argv[1].partition(":")
left = int(number)
def count_down(*_):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
loaded = settings.get()
database = open_database(loaded)
if kind == "statement":
    sa.event.listen(sa.Engine, "after_cursor_execute", count_down)
else:
    real = getattr(os, kind)
    setattr(os, kind, lambda *given, **more: (count_down(), real(*given, **more)))
{sabotage}
ship(database, loaded.spool_folder)
"""


def ship_killed(point, sabotage=""):
    code = SHIP.replace("{sabotage}", sabotage)
    return subprocess.run([sys.executable, "-c", code, point], check=False, capture_output=True, text=True)


POINTS = [*(f"statement:{number}" for number in (1, 2, 3, 4, 6, 9)), "unlink:1", "unlink:3"]


@pytest.mark.parametrize("point", POINTS)
def test_killed_while_shipping_and_run_again_stores_every_row_once(home, database, point):
    log(home)
    process = ship_killed(point)
    assert process.returncode == -signal.SIGKILL, process.stderr
    ship(database, home / "spool")
    assert keys(database) == [f"t-{number}" for number in range(23)]


def test_the_test_of_kills_notices_rows_that_are_stored_apart_from_their_file(home, database):
    """Sabotage: were the name of the file stored under another one each time, rows would come twice."""
    log(home)
    sabotage = """
import dataclasses, uuid
begin = prediction_log.begin
prediction_log.begin = lambda connection, segment: begin(connection, dataclasses.replace(segment, segment=uuid.uuid4().hex))
"""
    assert ship_killed("unlink:1", sabotage).returncode == -signal.SIGKILL
    ship(database, home / "spool")
    assert len(keys(database)) > 23


def test_two_who_ship_at_once_store_every_row_once(home, database):
    log(home, 200)
    start, failed = threading.Barrier(4), []

    def work():
        start.wait()
        try:
            ship(database, home / "spool")
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert keys(database) == [f"t-{number}" for number in range(203)]


def test_a_torn_file_gives_its_whole_rows(home, database):
    log(home)
    last = max((home / "spool" / "one").iterdir())
    last.write_bytes(last.read_bytes() + b"torn")
    ship(database, home / "spool")
    assert len(keys(database)) == 23


def test_a_file_that_cannot_be_read_is_put_aside_and_holds_up_nothing(home, database):
    log(home)
    (home / "spool" / "one" / "0-broken.7.sealed").write_bytes(b"smvspool" + bytes(50))
    found = ship(database, home / "spool")
    assert (found["broken"], found["rows"]) == (1, 23)
    assert [path.name for path in (home / "spool" / "one").iterdir()] == ["0-broken.7.broken"]
    assert ship(database, home / "spool")["broken"] == 0


def test_of_two_who_meet_a_broken_file_one_puts_it_aside(home, database, monkeypatch):
    """The other one, who read it before it was gone, goes on with the next file."""
    log(home)
    broken = home / "spool" / "one" / "0-broken.7.sealed"
    broken.write_bytes(b"smvspool" + bytes(50))
    real = reader.Reading

    def read(path):
        if path == broken:
            broken.rename(broken.with_suffix(".broken"))
            raise reader.NotASegment("broken")
        return real(path)

    monkeypatch.setattr(reader, "Reading", read)
    found = ship(database, home / "spool")
    assert (found["broken"], found["rows"]) == (0, 23)


def test_a_file_that_the_database_refuses_stays(home, database, monkeypatch):
    log(home, 1)

    def refuse(*_):
        raise ValueError

    with monkeypatch.context() as patched:
        patched.setattr(prediction_log, "begin", refuse)
        assert ship(database, home / "spool")["failed"] >= 1
    assert ship(database, home / "spool")["rows"] == 4


def test_rows_are_kept_for_a_while(home, database):
    log(home)
    ship(database, home / "spool")
    assert ship(database, home / "spool", keep_days=1)["forgotten"] == 0
    assert ship(database, home / "spool", keep_days=-1)["forgotten"] == 23
    assert keys(database) == []


def test_the_command_ships_and_says_so(home):
    log(home)
    command = [sys.executable, "-m", "samovar", "spool", "ship", "--json"]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=home).stdout)
    assert (said["rows"], said["requests"]) == (23, 21)
    (home / "spool" / "one" / "0-broken.7.sealed").write_bytes(b"else")
    assert subprocess.run(command, check=False, capture_output=True, cwd=home).returncode == 1
