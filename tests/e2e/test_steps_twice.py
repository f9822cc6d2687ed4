"""A step done twice is done once, a step killed half-way ends as if it ran once, and projects of one's own go the same way."""

from __future__ import annotations

import hashlib
import json
import os
import signal

import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def variables():
    """The stack's scheduler stays idle, so that all that happens is what a test does."""
    return {"SAMOVAR_ORCHESTRATOR": "airflow"}


@pytest.fixture(scope="module")
def world(stack, eventually):
    """Look at all that the steps may change, once nothing moves any more."""

    def look():
        seen = {}

        def calm():
            before = seen.get("world")
            seen["world"] = everything(stack)
            return before == seen["world"]

        eventually(calm, 40, "a world in which nothing moves")
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
    return {
        "tables": stack.tables(),
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


def shape(stack, project):
    """What a training leaves, without names and times: runs by parenthood and status, versions, notes of the step."""
    client = stack.mlflow()
    versions = client.search_model_versions(f"name='{project}'")
    experiments = [client.get_run(one.run_id).info.experiment_id for one in versions]
    runs = client.search_runs(experiments, max_results=1000)
    of_project = [run for run in runs if run.data.tags.get("samovar.project", project) == project]
    kinds = sorted(("nested" if "mlflow.parentRunId" in run.data.tags else "parent", run.info.status) for run in of_project)
    steps = [row for row in stack.tables()["pipeline_runs"] if "train" in row and project in row]
    return {"runs": kinds, "versions": len(versions), "steps": [("done" in row) for row in steps]}


def test_a_training_killed_half_way_and_run_again_ends_as_if_it_ran_once(stack, eventually):
    """Killed at its first run, at its second run, and when the version appears: one parent, its children, one version."""
    for project in ("iris", "wine"):
        assert stack.samovar("ingest", project).returncode == 0
    client = stack.mlflow()

    def runs():
        experiments = [one.experiment_id for one in client.search_experiments()]
        return {run.info.run_id for run in client.search_runs(experiments, max_results=1000)}

    def versions():
        return client.search_model_versions("name='wine'")

    known = runs()
    for moment in (lambda: runs() - known, lambda: len(runs() - known) > 1, versions):
        training = stack.start(stack_command(), "train", "wine", start_new_session=True)
        eventually(lambda moment=moment, training=training: moment() or training.poll() is not None, 60, "the moment to kill")
        os.killpg(training.pid, signal.SIGKILL)
        training.wait()
    result = stack.done("train", "wine")
    assert result["version"] == 1
    stack.done("train", "iris")
    first_of_iris = shape(stack, "iris")
    of_wine = shape(stack, "wine")
    assert of_wine["versions"] == 1
    assert of_wine["steps"] == [True]
    assert {status for _, status in of_wine["runs"]} == {"FINISHED"}
    assert [kind for kind, _ in of_wine["runs"]].count("parent") == 1
    assert first_of_iris["runs"]
    assert len(of_wine["runs"]) == 1 + len(result["candidates"])


def stack_command():
    """The command a user types."""
    from pathlib import Path
    from sys import executable

    return str(Path(executable).with_name("samovar"))


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
    stack.refused("init", "churn", code=2, cwd=folder)
    assert (folder / "churn.py").read_text() == before


def a_row(stack, project):
    """One accepted row of a project's newest dataset, without its label, read as a stranger would."""
    import sqlite3

    import polars as pl

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
