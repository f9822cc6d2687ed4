"""Retrain: works on one request at a time, ends it or gives it back, and ends once whatever is killed."""

from __future__ import annotations

import pytest

from samovar.errors import Conflict, DataError, RegistryUnavailable
from samovar.pipelines.inject import drift_inject
from samovar.pipelines.monitor import monitor
from samovar.pipelines.retrain import retrain
from samovar.store import claimants, retrains


@pytest.fixture(scope="module")
def drifted(make_loop):
    """A world in which drift has asked for a retrain."""
    loop = make_loop("shop_retrain")
    with loop.context() as ctx:
        drift_inject(ctx, loop.project)
        assert monitor(ctx, loop.project)["retrain_requested"]
    return loop


@pytest.fixture
def loop(drifted, tmp_path):
    """A copy of it; only the last test below lets a retrain reach the registry."""
    return drifted.copy(tmp_path / "loop")


def states(loop):
    return [row["state"] for row in loop.tables()["retrain_requests"]]


def test_nobody_asked_nothing_done(trained, tmp_path):
    loop = trained.copy(tmp_path / "calm")
    before = loop.tables()
    with loop.context() as ctx:
        assert retrain(ctx, loop.project) == {"status": "nothing to do", "project": loop.name}
    assert loop.tables() == before


def test_a_request_that_somebody_works_on_is_left_alone(loop):
    """This process is alive, so its claim holds, even against itself."""
    with loop.context() as ctx:
        with ctx.db.begin() as connection:
            assert retrains.claim(connection, claimants.myself(), loop.name)
        assert retrain(ctx, loop.project)["status"] == "nothing to do"
    assert states(loop) == ["claimed"]


def test_an_outage_gives_the_request_back(loop):
    """MLflow is down: the request waits for the next attempt, at once and by anybody."""
    loop.settings = loop.settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9", "mlflow_timeout": 0.5})
    with loop.context() as ctx:
        with pytest.raises(RegistryUnavailable):
            retrain(ctx, loop.project)
        assert states(loop) == ["open"]
        with pytest.raises(RegistryUnavailable):
            retrain(ctx, loop.project)


def test_a_claim_that_was_lost_is_neither_ended_nor_given_back(loop, monkeypatch):
    """Another host took the request over while this one worked: its claim stands, whatever becomes of our work."""
    from samovar.pipelines import retrain as module

    def taken_over(ctx, project):
        with ctx.db.begin() as connection:
            connection.exec_driver_sql("update retrain_requests set claimed_by = 'elsewhere:1:1'")
        raise Conflict("somebody else was at work")

    monkeypatch.setattr(module, "ingest", taken_over)
    with loop.context() as ctx, pytest.raises(Conflict):
        retrain(ctx, loop.project)
    assert [(row["state"], row["claimed_by"]) for row in loop.tables()["retrain_requests"]] == [("claimed", "elsewhere:1:1")]


def test_a_move_made_elsewhere_gives_the_request_back(loop, monkeypatch):
    from samovar.pipelines import retrain as module

    def moved(ctx, project):
        raise Conflict("the alias was moved by somebody else meanwhile")

    monkeypatch.setattr(module, "ingest", moved)
    with loop.context() as ctx, pytest.raises(Conflict):
        retrain(ctx, loop.project)
    assert states(loop) == ["open"]


def test_a_request_that_cannot_be_worked_on_ends_as_failed(loop):
    """A source that gives no rows needs a person; the request is not tried for ever."""
    empty = loop.project.with_source(lambda window: loop.project.source(window).head(0))
    with loop.context() as ctx:
        with pytest.raises(DataError, match="no rows"):
            retrain(ctx, empty)
        assert states(loop) == ["failed"]
        assert retrain(ctx, loop.project)["status"] == "nothing to do"


def test_killed_anywhere_and_run_again_it_ends_once(drifted):
    """One version, one approval, one request done, though killed at each of these statements (before their commit)."""
    loop = drifted
    for count, statement in (
        (1, "UPDATE retrain_requests"),  # claiming
        (2, "INSERT INTO pipeline_runs"),  # claimed, about to train
        (1, "INSERT INTO decisions"),  # a version is registered
        (2, "INSERT INTO decisions"),  # the gate has spoken
        (1, "UPDATE decisions"),  # the alias has moved
        (2, "UPDATE retrain_requests"),  # all is done but the request
    ):
        assert loop.run("retrain", count, statement) is None
        assert states(loop)[0] in {"open", "claimed"}
    result = loop.run("retrain")["result"]
    assert (result["status"], result["verdict"], result["version"]) == ("done", "approved", 3)
    assert states(loop) == ["done"]
    with loop.context() as ctx:
        assert [version.version for version in ctx.registry.versions(loop.name)] == [1, 2, 3]
        assert ctx.registry.by_alias(loop.name, "Production").version == 3
        calm = monitor(ctx, loop.project)
        assert retrain(ctx, loop.project)["status"] == "nothing to do"
    assert (calm["verdict"], calm["version"]) == ("ok", 3)
    decisions = [row for row in loop.tables()["decisions"] if row["kind"] == "promote"]
    assert [(row["to_version"], row["verdict"]) for row in decisions] == [(1, "approved"), (3, "approved")]
    assert all(row["applied_at"] for row in decisions)
    assert {row["status"] for row in loop.tables()["pipeline_runs"]} == {"done"}
    before = loop.tables()
    with loop.context() as ctx:  # forced although nobody asked: all steps have been done, so nothing changes
        assert retrain(ctx, loop.project, force=True)["version"] == 3
    assert loop.tables() == before
