"""Train: every candidate a run, the best a version; twice is once, and killed anywhere then run again is once too."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import polars as pl
import pytest

from samovar import kinds, workspace
from samovar import settings as settings_module
from samovar.contracts import document
from samovar.errors import DataError, ModelError, NotFound, RegistryUnavailable, UsageError
from samovar.pipelines.context import open_context
from samovar.pipelines.ingest import ingest
from samovar.pipelines.select import select, train_one
from samovar.pipelines.train import train
from samovar.profiles import profile
from samovar.project import Search
from samovar.registry.files import fetch_files
from samovar.scoring.engine import open_engine
from samovar.scoring.load import load_plan
from samovar.store import decisions

PROJECT = '''
"""Payments of a shop."""
from typing import Annotated, Literal
import numpy as np
import polars as pl
import samovar as sv

class Payment(sv.Contract):
    """A payment."""
    payment_id: sv.Key[str]
    amount: Annotated[float, sv.Range(gt=0)]
    age: Annotated[int, sv.Range(ge=18, le=100)]
    plan: Literal["basic", "plus", "pro"]

@sv.project(
    contract=Payment, target="late", positive=1, metric="average_precision", gate=sv.Gate(minimum=0.3), threshold="max_f1",
    candidates=[sv.kinds.logreg(trials=1), sv.kinds.hist_gradient_boosting(trials=1, max_iter=8)], name="{name}",
)
def shop(window):
    """Payments, of which middling ones of the young are late: a curve that no straight line follows."""
    rng = np.random.default_rng(3)
    amount, age = rng.uniform(1, 200, 400), rng.integers(18, 90, 400)
    late = (np.abs(amount - 100) < 40) & (age < 60) & (rng.random(400) < 0.9)
    return pl.DataFrame({{
        "payment_id": [f"p{{number}}" for number in range(400)], "amount": amount, "age": age,
        "plan": rng.choice(["basic", "plus", "pro"], 400), "late": late.astype(int),
    }})
'''

KILLED = """
import json, os, signal, sys
from samovar import settings, workspace
from samovar.pipelines.context import open_context
from samovar.pipelines.train import train
from samovar.registry.rest import Rest

name, left, when = sys.argv[1], int(sys.argv[2]), sys.argv[3]
real = Rest.request

def request(self, method, path, **options):
    global left
    writes = method != "GET" and not path.endswith("/search")
    left -= writes
    if writes and left == 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    answer = real(self, method, path, **options)
    if writes and left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

Rest.request = request
with open_context(settings.load(_env_file=None)) as ctx:
    train(ctx, workspace.find(name))
    print(int(sys.argv[2]) - left)
"""


class World:
    """A project with an ingested dataset in a folder of its own, and its corner of the session's MLflow."""

    def __init__(self, folder, name, url):
        (folder / "shop.py").write_text(PROJECT.format(name=name))
        (folder / "samovar.toml").write_text(f'[projects]\n{name} = "shop.py:shop"\n')
        self.folder, self.name, self.url = folder, name, url
        self.settings = settings_module.load(home=folder / "state", mlflow_tracking_uri=url, _env_file=None)
        self.project = workspace.find(name, folder)
        with self.context() as ctx:
            self.dataset = ingest(ctx, self.project)["dataset"]

    def context(self):
        return open_context(self.settings)

    def train(self, project=None, **options):
        with self.context() as ctx:
            return train(ctx, project or self.project, **options)

    def killed(self, at, when="before"):
        """Train in a process of its own that is killed at its ``at``-th write to MLflow; returns how many there were."""
        environment = os.environ | {"SAMOVAR_HOME": str(self.folder / "state"), "MLFLOW_TRACKING_URI": self.url}
        command = [sys.executable, "-c", KILLED, self.name, str(at), when]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=self.folder, env=environment)
        assert done.returncode in (0, -9), done.stderr
        return int(done.stdout.splitlines()[-1]) if done.returncode == 0 else None

    def picture(self):
        """All that training left: active runs with their figures and files, versions, aliases and tables, without ids and times."""
        client = mlflow.MlflowClient(self.url)
        experiment = client.get_experiment_by_name(self.name)
        runs = client.search_runs([experiment.experiment_id]) if experiment else []
        with self.context() as ctx:
            versions = ctx.registry.versions(self.name)
            files = {one.version: fetch_files(ctx.registry, one) for one in versions}
            aliases = {one.alias: one.version for one in ctx.registry.aliases() if one.model == self.name}
            with ctx.db.read() as connection:
                history = decisions.history(connection, self.name, "Candidate")
        stable = ("average_precision", "brier", "ece", "selection_average_precision", "gain_over_logreg_low")
        return {
            "runs": sorted(
                (run.info.run_name, run.info.status, sorted(run.data.params.items()), [run.data.metrics.get(one) for one in stable])
                for run in runs
            ),
            "versions": [(one.version, one.tags["samovar.kind"], one.tags["samovar.metric"]) for one in versions],
            "files": {number: _digests(found, self.name) for number, found in files.items()},
            "aliases": aliases,
            "decisions": [(one.kind, one.to_version, one.from_version, one.applied_at is not None) for one in history],
        }


def _digests(files, name):
    """Digest of each file without what names the run: the ids in ``MLmodel``, and the project's own name."""
    lines = {path: content.replace(name.encode(), b"NAME").splitlines() for path, content in files.items()}
    lines["MLmodel"] = [line for line in lines["MLmodel"] if not line.startswith((b"run_id", b"model_uuid", b"utc_time_created"))]
    return {path: hashlib.sha256(b"\n".join(found)).hexdigest() for path, found in lines.items()}


@pytest.fixture(scope="module")
def world(tmp_path_factory, mlflow_server):
    """Trained once."""
    world = World(tmp_path_factory.mktemp("world"), "train_once", mlflow_server)
    world.result = world.train()
    return world


class TestResult:
    def test_the_best_candidate_is_a_version_that_the_challenger_alias_names(self, world):
        result = world.result
        assert (result["status"], result["model"], result["version"]) == ("done", world.name, 1)
        assert result["kind"] == "hist_gradient_boosting"
        assert result["interval"][0] < result["value"] < result["interval"][1]
        assert [row["kind"] for row in result["candidates"]] == ["logreg", "hist_gradient_boosting"]
        with world.context() as ctx:
            version = ctx.registry.by_alias(world.name, "Candidate")
            assert ctx.registry.by_alias(world.name, "Production") is None
        assert version.tags["samovar.dataset"] == world.dataset
        assert version.tags["samovar.kind"] == "hist_gradient_boosting"

    def test_every_candidate_is_a_run_nested_in_one_parent_with_its_figures_plots_and_lineage(self, world):
        client = mlflow.MlflowClient(world.url)
        for row in world.result["candidates"]:
            run = client.get_run(row["run_id"])
            assert run.data.metrics["average_precision"] == pytest.approx(row["value"])
            assert {"brier_low", "brier_high", "ece", "ece_by_chance", "gain_over_logreg_low", "latency_ms"} <= set(
                run.data.metrics
            )
            assert run.data.params["kind"] == row["kind"]
            assert run.inputs.dataset_inputs[0].dataset.digest == world.dataset[:36]
            parent = client.get_run(run.data.tags["mlflow.parentRunId"])
            assert parent.info.status == run.info.status == "FINISHED"
            winner = row["run_id"] == world.result["run_id"]
            plots = [one.path for one in client.list_artifacts(row["run_id"], "plots")]
            assert plots == (["plots/details.png", "plots/evaluation.png"] if winner else ["plots/evaluation.png"])
            assert {"slice/plan/pro", "importance/amount"} <= set(run.data.metrics)

    def test_the_winner_has_a_card_that_its_version_names_and_that_needs_nothing_else(self, world):
        with world.context() as ctx:
            version = ctx.registry.version(world.name, 1)
        client = mlflow.MlflowClient(world.url)
        described = client.get_model_version(world.name, "1").description
        assert version.tags["samovar.model_card"] == f"runs:/{world.result['run_id']}/model_card.html"
        assert version.tags["samovar.model_card"] in described
        page = mlflow.artifacts.download_artifacts(version.tags["samovar.model_card"], tracking_uri=world.url)
        html = Path(page).read_text()
        assert html.count("data:image/png;base64,") == 2
        assert "http" not in html
        for said in ("How good it is", "plan: pro", "What it looks at", "Its surest mistakes", world.dataset):
            assert said in html

    def test_the_model_folder_carries_all_an_endpoint_and_a_monitor_need(self, world):
        with world.context() as ctx:
            files = fetch_files(ctx.registry, ctx.registry.version(world.name, 1))
            frame = pl.read_parquet(next((world.folder / "state" / "lake").rglob("*.parquet")))
        contract = document.load(files["data_contract/input_schema.json"])
        assert contract.contract == world.project.contract
        assert (contract.classes, contract.positive, contract.target) == ((0, 1), 1, "late")
        assert 0 < contract.threshold < 1
        reference = profile.decode(files["reference_profile.json"])
        evaluation = json.loads(files["evaluation.json"])
        assert reference.rows == evaluation["train_rows"] == frame.height - evaluation["rows"]
        assert evaluation["baseline"]["beaten"] is True
        assert evaluation["threshold"]["value"] == pytest.approx(contract.threshold, abs=1e-6)
        plan = load_plan(files, world.name, 1)
        scores = open_engine(plan).score(frame)
        assert scores.probabilities.shape == (frame.height, 2)

    def test_the_stock_client_loads_it_by_its_alias(self, world):
        mlflow.set_tracking_uri(world.url)
        loaded = mlflow.pyfunc.load_model(f"models:/{world.name}@Candidate")
        assert set(loaded.predict(loaded.input_example)) <= {0, 1}

    def test_kinds_select_and_progress_tells(self, world):
        told = []
        other = world.train(kinds=("logreg",), progress=lambda *step: told.append(step))
        assert [row["kind"] for row in other["candidates"]] == ["logreg"]
        assert {name for name, *_ in told} == {"logreg"}
        assert told[-1][1] == told[-1][2]


class TestSearch:
    def test_a_search_that_counts_costs_shows_its_trials_and_its_front_in_mlflow(self, world):
        plan = Search(objectives=("metric", "latency", "size"), trials=3, runs=True)
        project = replace(world.project, search=plan)
        result = world.train(project)
        client = mlflow.MlflowClient(world.url)
        for row in result["candidates"]:
            run = client.get_run(row["run_id"])
            found = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/search.json"))
            assert len(found["trials"]) == 3
            assert found["chosen"] in found["front"]
            assert found["reason"] == run.data.params["search"]
            assert all(one["latency_us"] < 500 and one["size_bytes"] > 1000 for one in found["trials"])
            history = client.get_metric_history(row["run_id"], "trial_latency_us")
            assert sorted(point.step for point in history) == [0, 1, 2]
            trials = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{row['run_id']}'")
            assert sorted(one.info.run_name for one in trials) == ["trial 0", "trial 1", "trial 2"]
        parent = run.data.tags["mlflow.parentRunId"]
        assert "plots/front.png" in [one.path for one in client.list_artifacts(parent, "plots")]


class TestApart:
    def test_kinds_trained_apart_and_joined_are_what_one_training_is(self, world, tmp_path):
        apart = World(tmp_path, "train_apart", world.url)
        with apart.context() as ctx:
            with pytest.raises(NotFound, match="--kind logreg"):
                select(ctx, apart.project)
            parts = [train_one(ctx, apart.project, "logreg")]
            assert apart.picture()["versions"] == []
            early = select(ctx, apart.project)
            assert (early["version"], early["kind"], early["missing"]) == (1, "logreg", ["hist_gradient_boosting"])
            parts.append(train_one(ctx, apart.project, "hist_gradient_boosting"))
            assert train_one(ctx, apart.project, "logreg") == parts[0] | {"status": "unchanged"}
            joined = select(ctx, apart.project)
            assert (joined["version"], joined["kind"], joined["missing"]) == (2, "hist_gradient_boosting", [])
            before = apart.picture()
            assert select(ctx, apart.project) == joined | {"status": "unchanged"}
        assert [row["value"] for row in joined["candidates"]] == [row["value"] for row in world.result["candidates"]]
        assert {row["run_id"] for row in joined["candidates"]} == {part["run_id"] for part in parts}
        assert apart.train()["status"] == "unchanged"
        assert apart.picture() == before
        assert before["aliases"] == {"Candidate": 2}

    def test_the_best_that_was_registered_among_fewer_is_the_whole_trainings(self, world, tmp_path):
        apart = World(tmp_path, "train_grown", world.url)
        with apart.context() as ctx:
            train_one(ctx, apart.project, "hist_gradient_boosting")
            assert select(ctx, apart.project)["missing"] == ["logreg"]
            train_one(ctx, apart.project, "logreg")
            joined = select(ctx, apart.project)
            assert (joined["version"], joined["missing"], len(joined["candidates"])) == (1, [], 2)
            assert select(ctx, apart.project) == joined | {"status": "unchanged"}
        assert apart.train()["status"] == "unchanged"
        assert len(apart.picture()["versions"]) == 1

    def test_a_part_that_is_not_one_kind_or_cannot_be_trained_says_so(self, world):
        broken = replace(kinds.logreg(C=-1.0, trials=1), name="broken")
        project = replace(world.project, candidates=(broken, kinds.logreg(trials=1)))
        with world.context() as ctx:
            with pytest.raises(ModelError, match="broken could not be trained"):
                train_one(ctx, project, "broken")
            with pytest.raises(UsageError, match="broken, logreg"):
                train_one(ctx, project, "magic")


class TestTwice:
    def test_training_again_changes_nothing(self, tmp_path, mlflow_server):
        world = World(tmp_path, "train_twice", mlflow_server)
        first = world.train()
        before = world.picture()
        second = world.train()
        assert second == first | {"status": "unchanged"}
        assert world.picture() == before

    def test_a_moved_alias_is_not_moved_back(self, tmp_path, mlflow_server):
        world = World(tmp_path, "train_moved", mlflow_server)
        world.train()
        with world.context() as ctx:
            ctx.registry.delete_alias(world.name, "Candidate")
            world.train()
            assert ctx.registry.by_alias(world.name, "Candidate") is None


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, mlflow_server):
    """How it looks when nothing happens, and how many writes to MLflow there are."""
    world = World(tmp_path_factory.mktemp("undisturbed"), "train_undisturbed", mlflow_server)
    writes = world.killed(at=10**9)
    return world.picture(), writes


KILLS = {
    "the parent run is begun": lambda writes: (2, "after"),
    "the second candidate is half logged": lambda writes: (round(writes * 0.75), "after"),
    "all is logged but there is no version": lambda writes: (writes - 1, "before"),
    "the version has no alias": lambda writes: (writes - 1, "after"),
    "the alias was set but not seen": lambda writes: (writes, "after"),
}


@pytest.mark.parametrize("point", KILLS)
def test_a_training_killed_and_run_again_ends_as_if_it_ran_once(undisturbed, tmp_path, mlflow_server, point):
    expected, writes = undisturbed
    world = World(tmp_path, f"train_killed_{list(KILLS).index(point)}", mlflow_server)
    at, when = KILLS[point](writes)
    assert world.killed(at, when) is None
    result = world.train()
    assert (result["status"], result["version"], result["kind"]) == ("done", 1, "hist_gradient_boosting")
    assert world.picture() == expected
    assert world.train()["status"] == "unchanged"


class TestRefused:
    def test_without_a_dataset_it_says_to_ingest(self, world, tmp_path):
        settings = settings_module.load(home=tmp_path, mlflow_tracking_uri=world.url, _env_file=None)
        with open_context(settings) as ctx, pytest.raises(NotFound, match="samovar ingest train_once"):
            train(ctx, world.project)
        with pytest.raises(NotFound, match="begins with ffff"):
            world.train(dataset="ffff")

    def test_an_unknown_kind_names_the_known_ones(self, world):
        with pytest.raises(UsageError, match="logreg, hist_gradient_boosting"):
            world.train(kinds=("magic",))

    def test_a_dead_mlflow_is_one_line_before_any_work(self, world, tmp_path):
        settings = world.settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
        told = []
        with open_context(settings) as ctx, pytest.raises(RegistryUnavailable, match="cannot be reached"):
            train(ctx, world.project, kinds=("hist_gradient_boosting",), progress=lambda *step: told.append(step))
        assert told == []

    def test_a_broken_candidate_is_a_failed_run_and_the_rest_counts(self, world):
        broken = replace(kinds.logreg(C=-1.0, trials=1), name="broken")
        project = replace(world.project, candidates=(broken, kinds.logreg(trials=1)))
        result = world.train(project)
        assert result["kind"] == "logreg"
        assert "'C' parameter" in result["failed"][0]["reason"]

    def test_when_all_fail_there_is_no_version_and_it_says_why(self, world):
        before = world.picture()["versions"]
        project = replace(world.project, candidates=(replace(kinds.logreg(C=-1.0, trials=1), name="broken"),))
        with pytest.raises(ModelError, match=r"No candidate could be trained\. broken: "):
            world.train(project)
        after = world.picture()
        assert after["versions"] == before
        assert "RUNNING" not in {status for _, status, _, _ in after["runs"]}

    def test_a_dataset_of_one_class_is_refused(self, tmp_path, mlflow_server):
        world = World(tmp_path, "train_one_class", mlflow_server)
        source = world.project.source
        project = world.project.with_source(lambda window: source(window).with_columns(late=pl.lit(0)))
        with world.context() as ctx:
            ingest(ctx, project)
            with pytest.raises(DataError, match="rows of a class"):
                train(ctx, project)
