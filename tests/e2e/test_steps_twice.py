"""A step done twice is done once, a step killed half-way ends as if it ran once, and projects of one's own go the same way."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

pytestmark = pytest.mark.e2e

SAMOVAR = str(Path(sys.executable).with_name("samovar"))


@pytest.fixture(scope="module")
def variables():
    """The stack's scheduler stays idle, so that all that happens is what a test does."""
    return {"SAMOVAR_ORCHESTRATOR": "airflow"}


@pytest.fixture(scope="module")
def world(stack, eventually):
    """Look at all that the steps may change, once every alias is served and nothing has moved for two seconds."""

    def look():
        seen = {"world": None, "since": 0.0}

        def calm():
            now = everything(stack)
            if now != seen["world"] or now["endpoints"] != {key: ("Ready", version) for key, version in now["aliases"].items()}:
                seen.update(world=now, since=time.monotonic())
            return time.monotonic() - seen["since"] > 2

        eventually(calm, 40, lambda: f"a world in which nothing moves: {seen['world']['endpoints']}")
        return seen["world"]

    return look


def everything(stack):
    """Rows, MLflow's runs and versions, and the digest of every file that a step writes."""
    client = stack.mlflow()
    experiments = [one.experiment_id for one in client.search_experiments()]
    runs = {
        run.info.run_id: (run.info.status, run.data.params, run.data.metrics, run.data.tags, run.info.end_time)
        for run in client.search_runs(experiments, max_results=1000)
    }
    versions = {
        (one.name, one.version): (one.run_id, one.source, one.tags, sorted(one.aliases), one.last_updated_timestamp)
        for model in client.search_registered_models()
        for one in client.search_model_versions(f"name='{model.name}'")
    }
    files = {name: hashlib.sha256(content).hexdigest() for name, content in stack.files("lake", "reports", "mlflow").items()}
    endpoints = {key: (row["condition"], row["serving"]) for key, row in stack.endpoints().items()}
    aliases = {(model.name, alias): int(v) for model in client.search_registered_models() for alias, v in model.aliases.items()}
    return {
        "aliases": aliases,
        # The controller renews its lease every few seconds, whatever the steps do.
        "tables": {name: rows for name, rows in stack.tables().items() if name != "leases"},
        "runs": runs,
        "versions": versions,
        "files": {name: digest for name, digest in files.items() if ".db" not in name},
        "endpoints": endpoints,
    }


def differences(before, after):
    """What changed, by kind and name."""
    return {
        kind: [name for name in {**before[kind], **after[kind]} if before[kind].get(name) != after[kind].get(name)]
        for kind in before
        if before[kind] != after[kind]
    }


STEPS = [
    ("ingest", "iris"),
    ("train", "iris"),
    ("promote", "iris"),
    ("infer", "iris"),
    ("monitor", "iris"),
    ("drift", "inject", "iris", "--kind", "shift"),
    ("infer", "iris"),
    ("monitor", "iris"),
    ("retrain", "iris"),
    ("promote", "iris"),
    ("infer", "iris"),
    ("monitor", "iris"),
]


def test_every_step_done_twice_changes_nothing_the_second_time(stack, world):
    """Tables, runs, versions, aliases and artifacts are compared before and after each second time."""
    state = world()
    for number, step in enumerate(STEPS):
        first = stack.done(*step)
        before, state = state, world()
        assert number > 8 or before["tables"] != state["tables"], f"{step} did nothing the first time: {first}"
        again = stack.done(*step)
        after = world()
        assert differences(state, after) == {}, f"{step} changed something the second time: {first} {again}"
    assert {number for model, number in state["versions"] if model == "iris"} == {"1", "2"}
    assert len(state["tables"]["retrain_requests"]) == 1


def test_a_training_killed_half_way_and_run_again_ends_as_if_it_ran_once(stack, eventually):
    """Killed at its first run, at its third, and when the version appears: one parent run, its children, one version."""
    stack.done("ingest", "wine")
    client = stack.mlflow()

    def runs():
        return client.search_runs([one.experiment_id for one in client.search_experiments()], max_results=1000)

    def versions():
        return client.search_model_versions("name='wine'")

    known = {run.info.run_id for run in runs()}

    def new():
        return [run for run in runs() if run.info.run_id not in known]

    for moment in (new, lambda: len(new()) > 2, versions):
        training = stack.start(
            SAMOVAR, "train", "wine", start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(lambda moment=moment, training=training: moment() or training.poll() is not None, 60, "the moment to kill")
        os.killpg(training.pid, signal.SIGKILL)
        training.wait()
    result = stack.done("train", "wine")
    assert [int(version.version) for version in versions()] == [result["version"]]
    assert {run.info.status for run in new()} == {"FINISHED"}
    parents = [run for run in new() if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    assert len(new()) == 1 + len(result["candidates"])
    notes = [row for row in stack.tables()["pipeline_runs"] if "train" in row and "wine" in row]
    assert [("done" in row) for row in notes] == [True]


def test_a_scaffolded_project_runs_and_is_served(stack):
    """`samovar init churn` in an empty folder, then three steps, and its endpoint answers a row of its own."""
    folder = stack.path / "fresh"
    folder.mkdir()
    made = stack.samovar("init", "churn", cwd=folder)
    assert made.returncode == 0, made.stderr
    assert (folder / "samovar.toml").is_file()
    for step in ("ingest", "train", "promote"):
        result = stack.samovar(step, "churn", cwd=folder)
        assert result.returncode == 0, result.stderr
    address = stack.served("churn", 1)
    openapi = stack.http.get(f"{address}/openapi.json").raise_for_status().json()
    assert "/predict" in openapi["paths"]
    answer = stack.http.post(f"{address}/predict", json=a_row(stack, "churn"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_version"] == "v1"
    before = (folder / "churn.py").read_text()
    stack.refused("init", "churn", code=1, cwd=folder)
    assert (folder / "churn.py").read_text() == before


def a_row(stack, project):
    """One accepted row of a project's newest dataset, without its label, read as a stranger would."""
    with sqlite3.connect(f"file:{stack.state / 'app.db'}?mode=ro", uri=True) as database:
        (url,) = database.execute("select url from datasets where project = ? order by id desc", (project,)).fetchone()
    schema = next(path for path in (stack.state / "mlflow").rglob("input_schema.json") if project in path.read_text())
    names = json.loads(schema.read_text())["properties"]
    return {name: value for name, value in pl.read_parquet(url).head(1).to_dicts()[0].items() if name in names}


def test_manual_promotion_advises_and_leaves_the_alias_to_a_person(stack):
    """The gate's verdict is recorded as advice; the alias moves only by hand, and then it is served."""
    folder = stack.path / "by_hand"
    folder.mkdir()
    assert stack.samovar("init", "careful", cwd=folder).returncode == 0
    text = (folder / "careful.py").read_text()
    (folder / "careful.py").write_text(text.replace("    gate=", '    promotion="manual",\n    gate=', 1))
    assert (folder / "careful.py").read_text() != text
    for step in ("ingest", "train"):
        result = stack.samovar(step, "careful", cwd=folder)
        assert result.returncode == 0, result.stderr
    decision = stack.done("promote", "careful", cwd=folder)
    assert decision["verdict"] == "advised"
    assert "Production" not in stack.mlflow().get_registered_model("careful").aliases
    assert ("careful", "Production") not in stack.endpoints()
    assert stack.samovar("alias", "set", "careful", "Production", "1").returncode == 0
    stack.served("careful", 1)
