"""Reproduce: every kind comes out again bit for bit, what has changed is named, and what is gone is said clearly."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from samovar import kinds, workspace
from samovar.errors import NotFound, UsageError
from samovar.pipelines import provenance
from samovar.pipelines.reproduce import reproduce
from samovar.pipelines.train import train
from samovar.training import canonical
from samovar.training.fanout import ready

BUILT_IN = (
    kinds.logreg(trials=1),
    kinds.random_forest(trials=0, n_estimators=8),
    kinds.hist_gradient_boosting(trials=1, max_iter=8),
    kinds.mlp(trials=0, hidden_layer_sizes="8-4", max_iter=3),
)


@pytest.fixture
def again(loop):
    """Reproduce a run in this world, with a project of one's own if given."""

    def call(run_id, project=None):
        with loop.context() as ctx:
            return reproduce(ctx, run_id, lambda _name: project or loop.project)

    return call


def _champion(loop):
    with loop.context() as ctx:
        return ctx.registry.by_alias(loop.name, "Production").run_id


def test_what_has_changed_is_named(loop, again):
    """Other held-out rows leave other rows to learn from."""
    found = again(_champion(loop), replace(loop.project, holdout=0.5))
    assert not found["reproduced"]
    assert found["differs"]["declared"] == ["holdout"]
    assert any("was recorded" in line for line in found["differs"]["parameters"])
    assert "declared" in found["reason"]


def test_another_seed_or_gate_in_the_settings_of_today_changes_nothing(loop, again):
    """The recorded seed counts."""
    settings = loop.settings.model_copy(update={"seed": 7})
    with replace_context(loop, settings) as ctx:
        found = reproduce(ctx, _champion(loop), lambda _name: replace(loop.project, metric="roc_auc"))
    assert (found["reproduced"], found["differs"]) == (True, {})


def replace_context(loop, settings):
    return replace(loop, settings=settings).context()


def test_what_is_gone_is_said(loop, again):
    """Run, candidate's run, dataset, project."""
    run_id = _champion(loop)
    with pytest.raises(NotFound, match="MLflow has no run 0000"):
        again("0000")
    parent = mlflow.MlflowClient(loop.settings.mlflow_tracking_uri).get_run(run_id).data.tags["mlflow.parentRunId"]
    with pytest.raises(UsageError, match="Name a candidate's run"):
        again(parent)
    for snapshot in (loop.folder / "state/lake").rglob("*.parquet"):
        snapshot.unlink()
    with pytest.raises(NotFound, match="There is no snapshot"):
        again(run_id)


def test_a_run_shows_where_it_came_from(loop):
    """Digests to search by, the environment, and the commit of the project's file, with what was not committed."""
    run = mlflow.MlflowClient(loop.settings.mlflow_tracking_uri).get_run(_champion(loop))
    assert {"samovar.code", "samovar.settings", "samovar.fitted", "samovar.dataset"} <= set(run.data.tags)
    path = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path="reproduce.json", tracking_uri=loop.settings.mlflow_tracking_uri
    )
    document = json.loads(Path(path).read_text(encoding="utf-8"))
    assert document["environment"]["python"].endswith(".".join(map(str, sys.version_info[:3])))
    assert document["environment"]["distributions"]["scikit-learn"]
    assert document["fitted"] == run.data.tags["samovar.fitted"]


def test_every_built_in_kind_comes_out_again_whatever_number_of_threads_is_asked_for(loop, again, monkeypatch):
    """Two threads would add up in another order."""
    project = replace(loop.project, candidates=BUILT_IN)
    with ready(), loop.context() as ctx:
        rows = train(ctx, project)["candidates"]
    assert [row["kind"] for row in rows] == [one.name for one in BUILT_IN]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with ready():
        found = {row["kind"]: again(row["run_id"], project) for row in rows}
    assert {kind: (one["reproduced"], one["differs"]) for kind, one in found.items()} == dict.fromkeys(found, (True, {}))
    assert len({one["fitted"] for one in found.values()}) == len(BUILT_IN)


def test_the_commit_of_the_projects_folder_and_whether_it_is_dirty(loop):
    assert provenance.commit(loop.project) is None
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "shop.py"], [*who, "commit", "-qm", "one", "--", "shop.py"]):
        subprocess.run(["git", "-C", str(loop.folder), *words], check=True, capture_output=True)
    (loop.folder / ".git/info/exclude").write_text("state\nsamovar.toml\n")
    workspace.find(loop.name, loop.folder)
    clean = provenance.commit(loop.project)
    assert (len(clean["commit"]), clean["dirty"]) == (40, False)
    (loop.folder / "more.py").write_text("")
    assert provenance.commit(loop.project) == clean | {"dirty": True}


def test_parameters_survive_being_written_down():
    """A tuple is not a list: an estimator stores what it was given."""
    value = {"layers": (8, (4,)), "rate": 0.1, "names": ["a", None], "deep": {"x": True}}
    assert provenance.thaw(json.loads(json.dumps(provenance.freeze(value)))) == value
    with pytest.raises(ValueError, match="object"):
        provenance.thaw(provenance.freeze(object()))


def test_a_digest_is_of_what_was_fitted_and_not_of_how_it_lies_in_memory():
    """The same text read from elsewhere is another object; another number is another model."""
    from sklearn.linear_model import LogisticRegression

    data = ([[0.0], [1.0], [2.0], [3.5]], [0, 0, 1, 1])
    one = LogisticRegression(C=0.5, solver="lbfgs").fit(*data)
    other = LogisticRegression(C=0.5, solver=" lbfgs".strip()).fit(*data)
    assert canonical.digest(canonical.dumps(one)) == canonical.digest(canonical.dumps(other))
    third = canonical.dumps(LogisticRegression(C=0.6).fit(*data))
    assert canonical.digest(third) != canonical.digest(canonical.dumps(one))
    told = canonical.differences(canonical.dumps(one), third)
    assert told[0] == "model.C: 0.5 was recorded, 0.6 was fitted"
    assert told[1].startswith("model.coef_: the greatest difference is 0.0")
    assert canonical.differences(canonical.dumps(one), third, most=1) == [told[0], f"and {len(told) - 1} more"]
