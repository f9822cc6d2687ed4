"""Ingest, killed by SIGKILL anywhere and run again, ends as if it had run once."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys

import pytest

INGEST = '''
import os, signal, sys
from typing import Annotated
import polars as pl
import sqlalchemy as sa
import samovar as sv
from samovar import settings
from samovar.pipelines.context import open_context
from samovar.pipelines.ingest import ingest

class Row(sv.Contract):
    """A row."""
    x: Annotated[float, sv.Range(ge=0)]

@sv.project(contract=Row, target="y", metric="accuracy", gate=sv.Gate(minimum=0.5), candidates=[sv.kinds.logreg()])
def tiny(window):
    """Some rows, two of them bad."""
    return pl.DataFrame({"x": [-1.0, -2.0, *map(float, range(100))], "y": [0, 1] * 51})

home, point = sys.argv[1:]
kind, _, number = point.partition(":")
left = int(number or -1)

def count_down(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

with open_context(settings.load(home=home, _env_file=None)) as ctx:
    if kind == "statement":
        sa.event.listen(sa.Engine, "after_cursor_execute", count_down)
    elif kind:
        real = getattr(os, kind)
        setattr(os, kind, lambda *given: (count_down(), real(*given)))
    print(ingest(ctx, tiny)["status"])
'''

VOLATILE = {"id", "attempts", "created_at", "started_at", "finished_at"}


def run(home, point=""):
    return subprocess.run([sys.executable, "-c", INGEST, str(home), point], check=False, capture_output=True, text=True)


def dump(home):
    """All rows of all tables without ids and times, and the names and bytes of all snapshots."""
    connection = sqlite3.connect(home / "app.db")
    connection.row_factory = sqlite3.Row
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    found = {}
    for table in tables:
        rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
        found[table] = [{key: str(row[key]).replace(str(home), "HOME") for key in row if key not in VOLATILE} for row in rows]
    connection.close()
    lake = {path.name: path.read_bytes() for path in (home / "lake").rglob("*") if path.is_file()}
    return found, lake


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    home = tmp_path_factory.mktemp("undisturbed")
    assert run(home).stdout == "done\n"
    return dump(home)


POINTS = {
    "the run is begun, uncommitted": "statement:2",
    "the run is begun": "statement:3",
    "the snapshot is written, not named": "fsync:1",
    "the snapshot is named": "fsync:2",
    "the bad rows are in quarantine, uncommitted": "statement:7",
    "the dataset is stored, uncommitted": "statement:8",
    "the dataset is stored": "statement:9",
    "the run is done, uncommitted": "statement:10",
}


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_ingest_killed_half_way_and_run_again_ends_as_if_it_ran_once(tmp_path, undisturbed, point):
    killed = run(tmp_path, point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = run(tmp_path)
    assert (again.returncode, again.stdout) == (0, "done\n"), again.stderr
    assert dump(tmp_path) == undisturbed


def test_ingest_run_by_another_process_again_changes_nothing(tmp_path, undisturbed):
    assert [run(tmp_path).stdout for _ in range(2)] == ["done\n", "unchanged\n"]
    assert dump(tmp_path) == undisturbed
