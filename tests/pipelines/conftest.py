"""A small project whose loop runs for real: a file of its own, a trained champion and a weak challenger in the session's MLflow."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from samovar import kinds, workspace
from samovar import settings as settings_module
from samovar.pipelines.context import open_context
from samovar.pipelines.ingest import ingest
from samovar.pipelines.promote import promote
from samovar.pipelines.train import train

if TYPE_CHECKING:
    from pathlib import Path

    from samovar.project import Project
    from samovar.settings import Settings

PROJECT = '''
"""Payments of a shop."""
from typing import Annotated, Literal
import numpy as np
import polars as pl
import samovar as sv

class Payment(sv.Contract):
    """A payment."""
    payment_id: sv.Key[str]
    amount: Annotated[float, sv.Range(gt=0, le=1000)]
    age: Annotated[int, sv.Range(ge=18, le=100)]
    balance: float | None
    plan: Literal["basic", "plus", "pro"]

@sv.project(
    contract=Payment, target="late", positive=1, metric="accuracy", gate=sv.Gate(minimum=0.6), threshold="max_f1",
    candidates=[sv.kinds.logreg(trials=1)], name="{name}",
)
def shop(window, count=240, seed=3):
    """Payments, of which large ones by the elderly are late."""
    rng = np.random.default_rng(seed)
    amount, age = rng.normal(100, 20, count).clip(1, 999), rng.integers(18, 90, count)
    late = amount / 20 + age / 20 + rng.normal(0, 0.5, count) > 7.7
    balance = pl.Series(rng.normal(900, 200, count)).set(pl.Series(rng.random(count) < 0.1), None)
    return pl.DataFrame({{
        "payment_id": [f"p{{number}}" for number in range(count)], "amount": amount, "age": age, "balance": balance,
        "plan": rng.choice(["basic", "plus", "pro"], count, p=[0.6, 0.3, 0.1]), "late": late.astype(int),
    }})
'''

KILLED = """
import json, os, signal, sys
import sqlalchemy as sa
from samovar.pipelines import api

step, name, left, sought = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]

def count_down(connection, cursor, statement, *_):
    global left
    left -= statement.startswith(sought)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

sa.event.listen(sa.Engine, "after_cursor_execute", count_down)
result = getattr(api, step)(name)
print(json.dumps({"result": result, "statements": int(sys.argv[3]) - left}))
"""

VOLATILE = {"id", "attempts", "created_at", "started_at", "finished_at", "claimed_at", "claimed_by", "applied_at", "at"}


@dataclass
class Loop:
    """The project's world in one folder; copies share its MLflow and have tables, lake and reports of their own."""

    folder: Path
    name: str
    settings: Settings

    @property
    def project(self) -> Project:
        return workspace.find(self.name, self.folder)

    def context(self):
        return open_context(self.settings)

    def copy(self, folder: Path) -> Loop:
        shutil.copytree(self.folder, folder)
        with sqlite3.connect(folder / "state/app.db") as connection:  # snapshots are known by their whole path
            for table, column in (("datasets", "url"), ("pipeline_runs", "result")):
                connection.execute(f"update {table} set {column} = replace({column}, ?, ?)", (str(self.folder), str(folder)))
        return Loop(folder, self.name, self.settings.model_copy(update={"home": folder / "state"}))

    def tables(self, *, all_columns: bool = True) -> dict[str, list[dict[str, Any]]]:
        """Rows of every table; without ids and times, to compare two worlds."""
        with sqlite3.connect(self.folder / "state/app.db") as connection:
            connection.row_factory = sqlite3.Row
            names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
            rows = {name: [dict(row) for row in connection.execute(f"select * from {name}")] for name in sorted(names)}
        if all_columns:
            return rows
        here = str(self.folder)
        return {
            name: [{key: _moved(value, here) for key, value in row.items() if key not in VOLATILE} for row in found]
            for name, found in rows.items()
        }

    def files(self) -> dict[str, bytes]:
        """Every file of lake and reports, by its path."""
        roots = [self.folder / "state" / part for part in ("lake", "reports")]
        return {
            str(path.relative_to(self.folder)): path.read_bytes() for root in roots for path in root.rglob("*") if path.is_file()
        }

    def run(self, step: str, kill_at: int = 10**9, statement: str = "") -> dict[str, Any] | None:
        """Run a step in a process of its own; None when it was killed at that many SQL statements that begin so."""
        environment = os.environ | {
            "SAMOVAR_HOME": str(self.settings.state),
            "MLFLOW_TRACKING_URI": str(self.settings.mlflow_tracking_uri),
        }
        command = [sys.executable, "-c", KILLED, step, self.name, str(kill_at), statement]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=self.folder, env=environment)
        assert done.returncode in (0, -9), done.stderr
        return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def _moved(value: Any, here: str) -> Any:
    return value.replace(here, "") if isinstance(value, str) else value


def _write(folder: Path, name: str) -> None:
    (folder / "shop.py").write_text(PROJECT.format(name=name))
    (folder / "samovar.toml").write_text(f'[projects]\n{name} = "shop.py:shop"\n')


@pytest.fixture
def shop(tmp_path) -> Project:
    """The project alone, for tests that need no registry."""
    _write(tmp_path, "shop")
    return workspace.find("shop", tmp_path)


@pytest.fixture(scope="session")
def make_loop(tmp_path_factory, mlflow_server):
    """Make a trained world: version 1 is the champion; version 2, which has barely learned, is the challenger."""

    def make(name: str) -> Loop:
        folder = tmp_path_factory.mktemp("loop")
        _write(folder, name)
        settings = settings_module.load(home=folder / "state", mlflow_tracking_uri=mlflow_server, train_jobs=1, _env_file=None)
        loop = Loop(folder, name, settings)
        weak = replace(loop.project, candidates=(kinds.logreg(C=1e-6, trials=1),))
        with loop.context() as ctx:
            ingest(ctx, loop.project)
            train(ctx, loop.project)
            assert promote(ctx, loop.project)["verdict"] == "approved"
            train(ctx, weak)
        return loop

    return make


@pytest.fixture(scope="session")
def trained(make_loop) -> Loop:
    """The one world of all tests that leave the registry alone."""
    return make_loop("shop")


@pytest.fixture
def loop(trained, tmp_path) -> Loop:
    """A copy of the trained world that a test may change; the registry is one for all, so its aliases are put back first."""
    with trained.context() as ctx:
        for alias, version in (("Production", 1), ("Candidate", 2)):
            ctx.registry.set_alias(trained.name, alias, version)
    return trained.copy(tmp_path / "loop")
