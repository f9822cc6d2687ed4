"""Promote, roll back, and move aliases by hand: nothing without a decision, nothing twice, and kills leave no half."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from dataclasses import replace

import pytest

import samovar as sv
from samovar.errors import Conflict, NotFound, Refused, UsageError
from samovar.pipelines import aliases, toolkit
from samovar.pipelines.decision_page import page
from samovar.pipelines.explain import explain_decision
from samovar.pipelines.promote import promote
from samovar.pipelines.rollback import rollback, stack
from samovar.store import decisions
from samovar.store.decisions import Decision

KILLED = """
import os, signal, sys
from samovar import settings, workspace
from samovar.pipelines.context import open_context
from samovar.pipelines.promote import promote
from samovar.pipelines.rollback import rollback
from samovar.registry.client import Registry

step, name, when = sys.argv[1:]
real = Registry.set_alias

def set_alias(*given):
    if when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(*given)
    os.kill(os.getpid(), signal.SIGKILL)

Registry.set_alias = set_alias
with open_context(settings.load(_env_file=None)) as ctx:
    project = workspace.find(name)
    promote(ctx, project) if step == "promote" else rollback(ctx, project.model)
"""


@pytest.fixture
def world(make_world):
    """Version 1 is a fair model, version 2 a challenger that has barely learned; no champion yet."""
    return make_world()


@pytest.fixture(scope="module")
def trained_pair(make_loop):
    return make_loop("promoted")


@pytest.fixture
def make_world(trained_pair, tmp_path):
    """Tables of one's own over shared versions; the aliases are put back for each test."""

    def make():
        loop = trained_pair.copy(tmp_path / "loop")
        with loop.context() as ctx:
            ctx.registry.delete_alias(loop.name, "Production")
            ctx.registry.set_alias(loop.name, "Candidate", 1)
            with ctx.db.begin() as connection:
                connection.exec_driver_sql("delete from decisions")
        return loop

    return make


def where(ctx, name, alias="Production"):
    found = ctx.registry.by_alias(name, alias)
    return found.version if found else None


def made(ctx, name, alias="Production"):
    with ctx.db.read() as connection:
        history = decisions.history(connection, name, alias)
    return [(one.kind, one.verdict, one.from_version, one.to_version, one.applied_at is not None) for one in history]


def rows(ctx):
    with ctx.db.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("select * from decisions order by id")]


def killed(world, step, when):
    environment = os.environ | {
        "SAMOVAR_HOME": str(world.settings.state),
        "MLFLOW_TRACKING_URI": str(world.settings.mlflow_tracking_uri),
    }
    command = [sys.executable, "-c", KILLED, step, world.name, when]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=world.folder, env=environment)
    assert done.returncode == -9, done.stderr


class TestPromote:
    def test_the_first_challenger_over_the_bar_becomes_champion_and_once_more_changes_nothing(self, world):
        with world.context() as ctx:
            first = promote(ctx, world.project)
            assert (first["status"], first["verdict"], first["applied"], first["version"]) == ("done", "approved", True, 1)
            assert where(ctx, world.name) == 1
            before = rows(ctx)
            again = promote(ctx, world.project)
            assert (again["status"], again["verdict"], again["evidence"]) == ("unchanged", "approved", first["evidence"])
            assert rows(ctx) == before

    def test_a_worse_challenger_is_rejected_with_its_evidence_and_nothing_moves(self, world):
        with world.context() as ctx:
            promote(ctx, world.project)
            result = promote(ctx, world.project, version=2)
            assert result["verdict"] == "rejected"
            assert not result["applied"]
            assert result["evidence"]["gain"]["low"] <= 0
            assert result["evidence"]["champion_version"] == 1
            assert where(ctx, world.name) == 1
            assert made(ctx, world.name)[-1] == ("promote", "rejected", 1, 2, False)
            assert promote(ctx, world.project, version=2) == result | {"status": "unchanged"}

    def test_a_better_challenger_replaces_the_champion(self, world):
        with world.context() as ctx:
            toolkit.alias_set(ctx, world.name, "Production", 2)
            result = promote(ctx, world.project, version=1)
            assert (result["verdict"], result["from_version"], result["version"]) == ("approved", 2, 1)
            assert result["evidence"]["gain"]["low"] > 0
            assert where(ctx, world.name) == 1

    def test_the_minimum_bar_refuses_without_a_champion(self, world):
        strict = replace(world.project, gate=sv.Gate(minimum=1.01))
        with world.context() as ctx:
            assert promote(ctx, strict)["verdict"] == "rejected"
            assert where(ctx, world.name) is None
            assert promote(ctx, world.project)["verdict"] == "approved"  # another gate is another decision

    def test_several_challengers_are_judged_together_and_the_best_that_passes_is_promoted_once(self, world):
        with world.context() as ctx:
            result = promote(ctx, world.project, version=[2, 1])
            assert (result["status"], result["verdict"], result["version"]) == ("done", "approved", 1)
            assert [one["version"] for one in result["judged"]] == [1, 2]
            assert where(ctx, world.name) == 1
            before = rows(ctx)
            assert len(before) == 2
            again = promote(ctx, world.project, version=[1, 2])
            assert again["status"] == "unchanged"
            assert [one["version"] for one in again["judged"]] == [1, 2]
            assert rows(ctx) == before

    def test_slices_and_the_compiled_scorers_latency_are_bars_of_a_real_version(self, world):
        gate = sv.Gate(minimum=0.5, max_latency="1s", slice_margin=0.9, slice_rows=10)
        careful = replace(world.project, gate=gate, slices=(sv.Slice("plan"),))
        with world.context() as ctx:
            toolkit.alias_set(ctx, world.name, "Production", 2)
            evidence = promote(ctx, careful, version=1)["evidence"]
        assert evidence["scorer"] == "compiled"
        assert 0 < evidence["latency_ms"] < 1000
        assert {row["slice"] for row in evidence["slices"]} >= {"plan=basic", "plan=plus"}
        assert {bar["name"] for bar in evidence["bars"]} == {"minimum", "latency", "size", "gain", "slice"}
        assert evidence["supporting"]["mcnemar"]["mid_p"] <= 1.0
        assert evidence["judged_together"] == [1]

    def test_manual_promotion_advises_and_a_person_moves_the_alias(self, world):
        manual = replace(world.project, promotion="manual")
        with world.context() as ctx:
            result = promote(ctx, manual)
            assert (result["verdict"], result["applied"]) == ("advised", False)
            assert f"samovar alias set {world.name} Production 1" in result["reason"]
            assert where(ctx, world.name) is None
            toolkit.alias_set(ctx, world.name, "Production", 1)
            assert promote(ctx, manual)["status"] == "unchanged"
            assert made(ctx, world.name)[-1] == ("set", "approved", None, 1, True)

    def test_what_was_rolled_back_is_not_promoted_again_by_the_same_evidence(self, world):
        with world.context() as ctx:
            toolkit.alias_set(ctx, world.name, "Production", 2)
            promote(ctx, world.project, version=1)
            rollback(ctx, world.name)
            result = promote(ctx, world.project, version=1)
            assert result["status"] == "unchanged"
            assert where(ctx, world.name) == 2

    def test_without_a_challenger_it_says_to_train(self, world):
        with world.context() as ctx:
            ctx.registry.delete_alias(world.name, "Candidate")
            with pytest.raises(NotFound, match="samovar train"):
                promote(ctx, world.project)

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_killed_promotion_run_again_ends_as_if_it_ran_once(self, world, when):
        killed(world, "promote", when)
        with world.context() as ctx:
            assert made(ctx, world.name) == [("promote", "approved", None, 1, False)]
            result = promote(ctx, world.project)
            assert (result["verdict"], result["applied"]) == ("approved", True)
            assert where(ctx, world.name) == 1
            assert made(ctx, world.name) == [("promote", "approved", None, 1, True)]
            assert promote(ctx, world.project)["status"] == "unchanged"

    def test_a_move_by_somebody_else_after_the_kill_stands(self, world):
        killed(world, "promote", "before")
        with world.context() as ctx:
            ctx.registry.set_alias(world.name, "Production", 2)
            result = promote(ctx, replace(world.project, gate=sv.Gate(minimum=1.01)))
            assert result["verdict"] == "rejected"
            assert where(ctx, world.name) == 2


class TestRollback:
    def test_it_goes_back_step_by_step_and_then_refuses(self, world):
        with world.context() as ctx:
            for version in (1, 2, 1):
                toolkit.alias_set(ctx, world.name, "Production", version)
            assert rollback(ctx, world.name)["version"] == 2
            assert rollback(ctx, world.name)["version"] == 1
            with pytest.raises(Refused, match="no earlier version"):
                rollback(ctx, world.name)
            assert where(ctx, world.name) == 1
            assert [kind for kind, *_ in made(ctx, world.name)] == ["set"] * 3 + ["rollback"] * 2

    def test_to_names_the_version(self, world):
        with world.context() as ctx:
            toolkit.alias_set(ctx, world.name, "Production", 1)
            assert rollback(ctx, world.name, to=2)["from_version"] == 1
            with pytest.raises(Refused, match="already"):
                rollback(ctx, world.name, to=2)
            with pytest.raises(NotFound):
                rollback(ctx, world.name, to=99)
            assert where(ctx, world.name) == 2

    def test_an_unnoticed_move_made_elsewhere_is_what_is_taken_back(self, world):
        with world.context() as ctx:
            toolkit.alias_set(ctx, world.name, "Production", 1)
            ctx.registry.set_alias(world.name, "Production", 2)
            assert rollback(ctx, world.name)["version"] == 1

    def test_an_alias_that_does_not_exist_is_not_found(self, world):
        with world.context() as ctx, pytest.raises(NotFound, match="samovar alias list"):
            rollback(ctx, world.name)

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_killed_rollback_run_again_goes_back_once(self, world, when):
        with world.context() as ctx:
            toolkit.alias_set(ctx, world.name, "Production", 1)
            toolkit.alias_set(ctx, world.name, "Production", 2)
        killed(world, "rollback", when)
        with world.context() as ctx:
            assert rollback(ctx, world.name)["version"] == 1
            assert where(ctx, world.name) == 1
            assert made(ctx, world.name)[-1] == ("rollback", "approved", 2, 1, True)
            assert len(made(ctx, world.name)) == 3


class TestExplain:
    def test_a_refusal_says_each_bar_and_by_how_much_it_was_missed(self, world, tmp_path):
        with world.context() as ctx:
            promote(ctx, world.project)
            promote(ctx, world.project, version=2)
            told = explain_decision(ctx, world.name)
            assert (told["verdict"], told["to_version"], told["from_version"]) == ("rejected", 2, 1)
            gain = next(bar for bar in told["bars"] if bar["name"] == "gain")
            assert not gain["passed"]
            assert gain["by"] == pytest.approx(gain["low"] - gain["limit"])
            text = " ".join(told["sentences"])
            assert "before the gate" in text
            assert "McNemar" in text
            assert told["evidence"]["dataset"][:12] in text
            assert explain_decision(ctx, told["key"][:10])["key"] == told["key"]
            assert explain_decision(ctx)["key"] == told["key"]
            shown = page(told)
            assert "<svg" in shown
            assert "rejected" in shown
            with pytest.raises(NotFound, match="no decision"):
                explain_decision(ctx, "nobody")

    def test_a_move_by_hand_is_told_as_one(self, world):
        with world.context() as ctx:
            toolkit.alias_set(ctx, world.name, "Production", 2)
            told = explain_decision(ctx, world.name)
            assert told["bars"] == []
            assert "moved" in told["sentences"][0]


class TestStack:
    @pytest.mark.parametrize(
        ("moves", "expected"),
        [
            ([], []),
            ([("promote", None, 1)], [1]),
            ([("promote", None, 1), ("promote", 1, 3), ("rollback", 3, 1)], [1]),
            ([("promote", None, 1), ("promote", 1, 2), ("promote", 2, 3), ("rollback", 3, 2), ("promote", 2, 4)], [1, 2, 4]),
            ([("external", 5, 6)], [5, 6]),
            ([("set", None, 1), ("set", 1, 2), ("rollback", 2, 7)], [1, 2, 7]),
            ([("set", None, 1), ("delete", 1, None), ("set", None, 3)], [3]),
            ([("set", None, 1), ("set", 1, 2), ("external", 2, 2)], [1, 2]),
        ],
    )
    def test_history_is_a_stack(self, moves, expected):
        start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        history = [
            Decision(
                key=str(number), kind=kind, model="m", alias="a", from_version=before, to_version=after, verdict="approved",
                reason="", actor="", applied_at=start + dt.timedelta(seconds=number),
            )
            for number, (kind, before, after) in enumerate(moves)
        ]  # fmt: skip
        assert stack(history) == expected

    def test_what_was_never_applied_does_not_count(self):
        refused = Decision(
            key="k", kind="promote", model="m", alias="a", from_version=1, to_version=2, verdict="rejected", reason="", actor=""
        )
        assert stack([refused]) == []


class TestToolkit:
    def test_an_alias_is_set_once_and_its_decision_names_the_person(self, world):
        with world.context() as ctx:
            assert toolkit.alias_set(ctx, world.name, "Shadow", 2)["status"] == "done"
            before = rows(ctx)
            assert toolkit.alias_set(ctx, world.name, "Shadow", 2)["status"] == "unchanged"
            assert rows(ctx) == before
            with ctx.db.read() as connection:
                assert decisions.last_applied(connection, world.name, "Shadow").actor
            assert {"model": world.name, "alias": "Shadow", "version": 2} in toolkit.alias_list(ctx, world.name)["aliases"]
            assert toolkit.alias_delete(ctx, world.name, "Shadow")["from_version"] == 2
            with pytest.raises(NotFound):
                toolkit.alias_delete(ctx, world.name, "Shadow")
            assert toolkit.alias_set(ctx, world.name, "Shadow", 2)["status"] == "done"  # the same move, later, is another decision
            toolkit.alias_delete(ctx, world.name, "Shadow")

    def test_what_does_not_exist_or_may_not_be_is_said_and_leaves_no_decision(self, world):
        with world.context() as ctx:
            with pytest.raises(NotFound):
                toolkit.alias_set(ctx, world.name, "Shadow", 99)
            with pytest.raises(NotFound):
                toolkit.alias_set(ctx, "no such model", "Shadow", 1)
            with pytest.raises(UsageError):
                toolkit.alias_set(ctx, world.name, "v7", 1)
            assert made(ctx, world.name, "Shadow") == made(ctx, world.name, "v7") == made(ctx, "no such model", "Shadow") == []

    def test_two_movers_at_once_do_not_overwrite_each_other(self, world):
        """The alias moved between the record and the move: the newer move stands, and the decision says it was never applied."""
        with world.context() as ctx:
            wanted = aliases.Move(
                key="race", kind="set", model=world.name, alias="Production", to_version=1, reason="race", actor="test"
            )
            decision = aliases.record(ctx, wanted)
            ctx.registry.set_alias(world.name, "Production", 2)
            with pytest.raises(Conflict, match="somebody else"):
                aliases.apply(ctx, decision)
            assert where(ctx, world.name) == 2
            assert made(ctx, world.name)[-1][-1] is False

    def test_artifacts_go_up_and_come_down_by_version_or_alias(self, world, tmp_path):
        (tmp_path / "notes.txt").write_text("seen by a person")
        with world.context() as ctx:
            assert toolkit.artifact_upload(ctx, world.name, 1, tmp_path / "notes.txt", "review")["written"] == ["review/notes.txt"]
            assert "review/notes.txt" in toolkit.artifact_list(ctx, world.name, "Candidate")["artifacts"]
            written = toolkit.artifact_download(ctx, world.name, "1", "review", tmp_path / "back")["written"]
            assert written == [str(tmp_path / "back/review/notes.txt")]
            with pytest.raises(NotFound):
                toolkit.artifact_list(ctx, world.name, "Nobody")

    def test_models_are_listed_with_their_aliases(self, world):
        with world.context() as ctx:
            listed = {one["model"]: one for one in toolkit.models(ctx)["models"]}
        assert listed[world.name]["latest"] == 2
        assert listed[world.name]["aliases"]["Candidate"] == 1

    def test_trust_is_recorded_once(self, world):
        with world.context() as ctx:
            assert toolkit.trust(ctx, world.name, 1)["status"] == "done"
            assert toolkit.trust(ctx, world.name, 1)["status"] == "unchanged"
            assert toolkit.trust(ctx, world.name)["status"] == "done"
            assert toolkit.trust(ctx, world.name, 2)["status"] == "unchanged"
            with pytest.raises(NotFound):
                toolkit.trust(ctx, world.name, 99)


def test_a_move_made_while_the_gate_judges_stands(world, monkeypatch):
    """Measured against no champion; meanwhile a person made one. Theirs stands; the decision is kept and not applied."""
    with world.context() as ctx:
        record = aliases.record

        def slow(context, wanted):
            ctx.registry.set_alias(world.name, "Production", 2)  # a person, while the gate was at work
            return record(context, wanted)

        monkeypatch.setattr(aliases, "record", slow)
        with pytest.raises(Conflict, match="that move stands"):
            promote(ctx, world.project)
        assert where(ctx, world.name) == 2
        assert made(ctx, world.name)[-1][2:] == (None, 1, False)
