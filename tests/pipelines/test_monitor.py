"""Monitor: drift is reported once, in files and in the table; an alarm asks for one retrain."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from samovar.errors import NotFound
from samovar.pipelines.ingest import ingest
from samovar.pipelines.inject import drift_inject
from samovar.pipelines.monitor import monitor
from samovar.store import retrains
from samovar.training.split import split


def requests(loop):
    return loop.tables()["retrain_requests"]


def test_rows_as_ever_are_ok(loop):
    """The dataset that the champion was trained on raises no alarm and asks for nothing."""
    with loop.context() as ctx:
        result = monitor(ctx, loop.project)
    assert (result["verdict"], result["shifted"], result["retrain_requested"]) == ("ok", [], False)
    assert requests(loop) == []


def test_drift_alarms_and_asks_for_one_retrain(loop):
    """The report names what shifted, the champion's score falls, and one request waits however often one looks."""
    with loop.context() as ctx:
        calm = monitor(ctx, loop.project)
        drifted = drift_inject(ctx, loop.project)["dataset"]
        result = monitor(ctx, loop.project)
        assert monitor(ctx, loop.project)["status"] == "unchanged"
    assert (result["verdict"], result["dataset"], result["retrain_requested"]) == ("alarm", drifted, True)
    assert set(result["shifted"]) == {"amount", "age", "balance"}
    assert result["worst"] in result["shifted"]
    assert result["worst_psi"] > loop.project.drift.psi
    assert result["score"] < calm["score"]
    (request,) = requests(loop)
    assert (request["project"], request["dataset"], request["state"]) == (loop.name, drifted, "open")
    assert request["cause"] == result["sentence"]


def test_the_second_time_changes_nothing(loop):
    """Tables and files are the same, whether the verdict was an alarm or not."""
    with loop.context() as ctx:
        monitor(ctx, loop.project)
        drift_inject(ctx, loop.project)
        monitor(ctx, loop.project)
        before = loop.tables(), loop.files()
        assert monitor(ctx, loop.project)["status"] == "unchanged"
    assert (loop.tables(), loop.files()) == before


def test_killed_anywhere_and_run_again_ends_as_if_it_ran_once(loop, tmp_path):
    """SIGKILL at the predictions, the report or the request; tables and files then equal those of an undisturbed run."""
    with loop.context() as ctx:
        drift_inject(ctx, loop.project)
    whole = loop.copy(tmp_path / "whole")
    with whole.context() as ctx:
        monitor(ctx, loop.project)
    for table in ("predictions", "drift_reports", "retrain_requests"):
        killed = loop.copy(tmp_path / f"killed_{table}")
        assert killed.run("monitor", 1, f"INSERT INTO {table}") is None
        assert killed.tables()[table] == []
        with killed.context() as ctx:
            assert monitor(ctx, loop.project)["retrain_requested"]
        assert killed.tables(all_columns=False) == whole.tables(all_columns=False)
        assert killed.files().keys() == whole.files().keys()


def test_reports_are_written_for_people_and_programs(loop):
    """CSV, JSON and HTML lie where the result says, tell the same, and the table knows them."""
    with loop.context() as ctx:
        drift_inject(ctx, loop.project)
        result = monitor(ctx, loop.project)
    folder = Path(result["folder"])
    assert folder.parent == loop.settings.state / "reports" / loop.name
    assert {path.name for path in folder.iterdir()} == {"drift_report.csv", "drift_report.json", "drift_report.html"}
    told = json.loads((folder / "drift_report.json").read_text())
    assert told["sentence"] == result["sentence"]
    assert result["sentence"] in (folder / "drift_report.html").read_text()
    (row,) = loop.tables()["drift_reports"]
    assert (row["verdict"], row["folder"], row["worst_psi"]) == ("alarm", str(folder), result["worst_psi"])
    assert json.loads(row["report"])["shifted"] == result["shifted"]


def test_the_challenger_is_compared_on_rows_it_has_not_learned(loop):
    """The weak challenger is worse, on the held-out rows of the dataset that both were trained on."""
    with loop.context() as ctx:
        found = monitor(ctx, loop.project)["comparison"]
        frame = ctx.lake.read(loop.tables()["datasets"][0]["url"])
    held_out = split(frame, loop.project, loop.settings.seed).held_out.height
    assert (found["champion"], found["challenger"], found["rows"], found["verdict"]) == (1, 2, 240, "worse")
    assert found["champion_standing"]["rows"] == found["challenger_standing"]["rows"] == held_out < 80
    assert found["gain"]["high"] < 0
    assert 0 < found["agreement"] < 1


def test_a_broken_challenger_hides_nothing(loop, mlflow_server):
    """A challenger that does not load is left out of the comparison; drift of the champion is still found."""
    broken = replace(loop.project, challenger="Broken")
    with loop.context() as ctx:
        version = ctx.registry.version(loop.name, 1)
        plots = f"{ctx.registry.download_uri(version)}/data_contract"
        made = ctx.registry.create_version(loop.name, source=plots, run_id=version.run_id, tags={})
        ctx.registry.set_alias(loop.name, "Broken", made.version)
        drift_inject(ctx, broken)
        result = monitor(ctx, broken)
    assert (result["verdict"], result["comparison"], result["retrain_requested"]) == ("alarm", None, True)


def test_a_request_that_fell_into_the_cooldown_is_made_later(loop):
    """An alarm soon after another retrain asks for nothing; looked at again after the cooldown, it does."""
    with loop.context() as ctx:
        drift_inject(ctx, loop.project)
        with ctx.db.begin() as connection:
            retrains.request(connection, loop.name, "earlier", "d" * 64, "earlier drift")
        assert not monitor(ctx, loop.project)["retrain_requested"]
        patient = replace(loop.project, drift=replace(loop.project.drift, cooldown=loop.project.drift.cooldown * 0))
        again = monitor(ctx, patient)
    assert (again["status"], again["retrain_requested"]) == ("unchanged", True)
    assert len(requests(loop)) == 2


def test_a_request_that_was_worked_on_is_not_made_again(loop):
    """After a retrain that the gate refused, the same drift of the same version asks for no other."""
    eager = replace(loop.project, drift=replace(loop.project.drift, cooldown=loop.project.drift.cooldown * 0))
    with loop.context() as ctx:
        drift_inject(ctx, eager)
        assert monitor(ctx, eager)["retrain_requested"]
        with ctx.db.begin() as connection:
            retrains.finish(connection, retrains.claim(connection, "somebody").id, ok=True)
        assert not monitor(ctx, eager)["retrain_requested"]
    assert len(requests(loop)) == 1


def test_few_rows_are_said_to_be_few(loop):
    few = loop.project.with_source(lambda window: loop.project.source(window, count=39, seed=4))
    with loop.context() as ctx:
        ingest(ctx, few)
        result = monitor(ctx, few)
    assert (result["verdict"], result["retrain_requested"]) == ("too_few_rows", False)
    assert "at least 40" in result["sentence"]


def test_another_policy_is_another_report(loop):
    """What counts as drift is part of a report's identity."""
    blind = replace(loop.project, drift=replace(loop.project.drift, psi=50.0))
    with loop.context() as ctx:
        drift_inject(ctx, loop.project)
        assert monitor(ctx, blind)["verdict"] == "ok"
        assert monitor(ctx, loop.project)["verdict"] == "alarm"
    assert len(loop.tables()["drift_reports"]) == 2


def test_without_a_dataset_it_says_what_to_do(loop):
    with loop.context() as ctx, pytest.raises(NotFound, match="samovar ingest other"):
        monitor(ctx, replace(loop.project, name="other"))
