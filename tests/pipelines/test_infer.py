"""Infer: every row is answered once per version, as the endpoint would answer it, whatever is killed or called twice."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from samovar.contracts.answers import default_response
from samovar.contracts.spec import ContractSpec, FieldSpec, ModelContract
from samovar.errors import DataError, NotFound
from samovar.pipelines import infer as infer_step
from samovar.pipelines import versions
from samovar.pipelines.infer import answers, infer
from samovar.pipelines.ingest import ingest
from samovar.scoring.engine import Scores
from samovar.training import table


def test_champion_and_shadow_answer_every_row_once(loop):
    """Each row has one prediction of each version, under the row's key."""
    with loop.context() as ctx:
        result = infer(ctx, loop.project)
    rows = loop.tables()["predictions"]
    assert (result["rows"], result["version"], result["shadow"]) == (240, 1, 2)
    assert Counter((row["version"], row["role"]) for row in rows) == {(1, "champion"): 240, (2, "shadow"): 240}
    assert [row["key"] for row in rows if row["version"] == 1] == [f"p{number}" for number in range(240)]
    assert len({(row["version"], row["row_index"]) for row in rows}) == 480


def test_labels_follow_the_versions_own_threshold(loop):
    """What is stored is what the model says, cut at the threshold saved with the version, not at one half."""
    with loop.context() as ctx:
        infer(ctx, loop.project)
        champion = versions.load(ctx, infer_step.champion_of(ctx, loop.project))
        frame = ctx.lake.read(loop.tables()["datasets"][0]["url"])
    chance = champion.engine.score(table.columns(frame, loop.project.contract)).probabilities[:, 1]
    limit = champion.plan.contract.threshold
    stored = [row for row in loop.tables()["predictions"] if row["version"] == 1]
    assert limit != 0.5
    assert [row["probability"] for row in stored] == pytest.approx(chance.tolist())
    assert [row["prediction"] for row in stored] == [str(int(value >= limit)) for value in chance]


def test_the_second_time_changes_nothing(loop):
    with loop.context() as ctx:
        assert infer(ctx, loop.project)["status"] == "done"
        before = loop.tables()
        again = infer(ctx, loop.project)
    assert again["status"] == "unchanged"
    assert again["rows"] == 240
    assert loop.tables() == before


def test_killed_anywhere_and_run_again_ends_as_if_it_ran_once(loop, tmp_path):
    """SIGKILL as the champion's or its shadow's rows go in, or as a step ends; the tables equal those of an undisturbed run."""
    whole = loop.copy(tmp_path / "whole")
    with whole.context() as ctx:
        infer(ctx, loop.project)
    for count, statement in ((1, "INSERT INTO predictions"), (2, "INSERT INTO predictions"), (2, "UPDATE pipeline_runs")):
        killed = loop.copy(tmp_path / f"killed{count}{statement[0]}")
        assert killed.run("infer", count, statement) is None
        assert killed.tables(all_columns=False) != whole.tables(all_columns=False)
        with killed.context() as ctx:
            assert infer(ctx, loop.project)["rows"] == 240
        assert killed.tables(all_columns=False) == whole.tables(all_columns=False)


def test_twelve_thousand_rows_take_less_than_three_seconds(loop):
    """Processor time of the whole step, model loading and inserts included; wall time would measure the neighbours."""
    many = loop.project.with_source(lambda window: loop.project.source(window, count=12_000))
    with loop.context() as ctx:
        ingest(ctx, many)
        began = time.process_time()
        assert infer_step.run_inference(ctx, many, infer_step.find_dataset(ctx, many, None)).result["rows"] == 12_000
        assert time.process_time() - began < 3


def test_a_dataset_can_be_named_by_the_start_of_its_digest(loop):
    with loop.context() as ctx:
        other = ingest(ctx, loop.project.with_source(lambda window: loop.project.source(window, seed=9)))
        first = next(row["digest"] for row in loop.tables()["datasets"] if row["digest"] != other["dataset"])
        assert infer(ctx, loop.project, first[:10])["dataset"] == first
        assert infer(ctx, loop.project)["dataset"] == other["dataset"]
        with pytest.raises(NotFound, match="samovar ingest"):
            infer(ctx, loop.project, "f" * 64)


def test_without_a_champion_it_says_what_to_do(loop):
    with loop.context() as ctx, pytest.raises(NotFound, match=r"samovar train shop`, then `samovar promote shop"):
        infer(ctx, replace(loop.project, alias="Nobody"))
    assert loop.tables()["predictions"] == []


def test_a_dataset_without_a_column_of_the_model_is_named(loop):
    """A contract that lost a field since the version was trained: one clear line, nothing stored."""
    slim = ContractSpec("Slim", tuple(field for field in loop.project.contract.fields if field.name != "age"))
    changed = replace(loop.project, contract=slim)
    with loop.context() as ctx:
        ingest(ctx, changed)
        with pytest.raises(DataError, match=r"needs the column age.*train a new version"):
            infer(ctx, changed)
    assert loop.tables()["predictions"] == []


def contract(**changes):
    row = ContractSpec("Row", (FieldSpec("x", "float"),))
    return ModelContract(row, default_response(row, ()), **changes)


def test_many_classes_are_answered_by_the_likeliest():
    scores = Scores(labels=["?", "?"], probabilities=np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]))
    assert answers(contract(), ("a", "b", "c"), scores) == (["b", "a"], [0.5, 0.6])


def test_the_positive_class_may_come_first():
    """Probabilities and labels are of the declared positive class, wherever its column is."""
    given = contract(classes=("no", "yes"), positive="no", threshold=0.8)
    scores = Scores(labels=["?", "?"], probabilities=np.array([[0.7, 0.3], [0.8, 0.2]]))
    assert answers(given, ("no", "yes"), scores) == (["yes", "no"], [0.7, 0.8])


def test_a_model_without_probabilities_gives_its_labels():
    scores = Scores(labels=np.array([1, 0]))
    assert answers(contract(), (), scores) == (["1", "0"], [None, None])


def test_keys_of_rows_without_a_key_are_empty(loop):
    bare = replace(loop.project, contract=ContractSpec("Bare", loop.project.contract.features))
    assert infer_step._keys(pl.DataFrame({"amount": [1.0, 2.0]}), bare) == ["", ""]
