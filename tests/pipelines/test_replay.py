"""Replay: a version answers again what an endpoint logged, through the real spool, its shipment and the database."""

from __future__ import annotations

from dataclasses import replace

import pytest

import samovar as sv
from samovar.errors import NotFound, Refused
from samovar.pipelines import versions
from samovar.pipelines.explain import explain_decision
from samovar.pipelines.infer import answers
from samovar.pipelines.promote import promote
from samovar.pipelines.replay import replay
from samovar.pipelines.ship import ship
from samovar.serving.jobs import Job
from samovar.serving.metrics import Metrics
from samovar.serving.protocols.answers import Scored
from samovar.serving.spool.opening import header, logged_fields
from samovar.serving.spool.privacy import Hasher, Privacy
from samovar.serving.spool.records import LoggedField
from samovar.serving.spool.writer import Limits, SegmentSpool
from samovar.store import labels
from samovar.store.labels import Label

BATCH, BATCHES = 40, 12


def log(ctx, loop, policy="keep"):
    """Log what version 1 answers to the project's rows, a batch a request, in several files, and ship them."""
    loaded = versions.load(ctx, ctx.registry.version(loop.name, 1))
    fields, key = logged_fields(loaded.plan)
    fields = tuple(LoggedField(one.name, policy if one.name == "amount" else one.log) for one in fields)
    privacy = Privacy(fields, key, Hasher(b"k" * 32))
    folder = ctx.settings.spool_folder / "one"
    counts = Metrics({"model": loop.name}, [], {"version": "1"}, []).spool
    opened = SegmentSpool(
        folder, header(loaded.plan, "Production", privacy), privacy, Limits(fsync_seconds=0, segment_bytes=6000), counts
    )
    rows = loop.project.source(None, count=BATCH * BATCHES, seed=8)
    for start in range(0, rows.height, BATCH):
        part = rows.slice(start, BATCH)
        scores = loaded.engine.score(part)
        said, _ = answers(loaded.plan.contract, loaded.engine.classes, scores)
        columns = [part[one.name].to_list() for one in fields]
        job = Job(columns, BATCH, None, None, keys=part["payment_id"].to_list())
        opened.job(b"0123456789abcdef", "/batch_predict", job, Scored([int(one) for one in said], scores.probabilities.tolist()))
        opened.flush()
    opened.close()
    assert ship(ctx.db, ctx.settings.spool_folder)["rows"] == BATCH * BATCHES
    return rows


def test_a_version_agrees_with_itself_and_another_is_compared_with_interval_and_labels(loop):
    with loop.context() as ctx:
        rows = log(ctx, loop)
        same = replay(ctx, loop.name, 1)
        assert (same["rows"], same["disagreement"]["value"], same["scorer"]) == (BATCH * BATCHES, 0.0, "compiled")
        assert same["score_difference"] < 1e-9
        assert same["metrics"] == {}
        weak = replay(ctx, loop.name, 2)
        assert 0.05 < weak["disagreement"]["low"] < weak["disagreement"]["value"] < weak["disagreement"]["high"]
        with ctx.db.begin() as connection:
            known = zip(rows["payment_id"].to_list(), rows["late"].to_list(), strict=True)
            labels.add(connection, [Label(loop.name, key, str(label)) for key, label in known])
        judged = replay(ctx, loop.name, 2)
        assert (judged["scored"], judged["known"], judged["labelled"]) == (0, weak["scored"], BATCH * BATCHES)
        assert judged["metrics"]["accuracy"]["gain"]["high"] < 0
        assert judged["metrics"]["accuracy"]["then"] > 0.8
        assert {"f1_macro", "roc_auc", "neg_log_loss"} <= set(judged["metrics"])


def test_a_replay_that_ends_in_the_middle_goes_on_where_it_was(loop):
    class Killed(BaseException):
        pass

    def kill(done, total):
        if done > total / 2:
            raise Killed

    with loop.context() as ctx:
        log(ctx, loop)
        with pytest.raises(Killed):
            replay(ctx, loop.name, 2, progress=kill)
        seen = []
        done = replay(ctx, loop.name, 2, progress=lambda *told: seen.append(told))
        assert done["known"] > 0
        assert done["scored"] > 0
        assert done["known"] + done["scored"] == done["rows"] == BATCH * BATCHES
        assert seen[-1] == (BATCH * BATCHES, BATCH * BATCHES)
        clean = replay(ctx, loop.name, 2)
        assert (clean["scored"], clean["disagreement"]) == (0, done["disagreement"])
        for file in (ctx.settings.state / "replays").rglob("*"):
            file.is_file() and file.write_bytes(b"torn")
        assert replay(ctx, loop.name, 2)["disagreement"] == done["disagreement"]


@pytest.mark.parametrize(("policy", "words"), [("hash", "amount is hashed"), ("drop", "amount is not logged")])
def test_rows_that_lack_what_the_version_needs_are_refused_by_the_fields_name(loop, policy, words):
    with loop.context() as ctx:
        log(ctx, loop, policy)
        with pytest.raises(Refused, match=words):
            replay(ctx, loop.name, 2)


def test_nothing_logged_is_said(loop):
    with loop.context() as ctx, pytest.raises(NotFound, match="--since"):
        replay(ctx, loop.name, 2)


def test_the_gate_asks_for_a_replay_and_keeps_it_with_the_decision(loop):
    gate = sv.Gate(minimum=0.1, replay="3650d", max_disagreement=0.01)
    with loop.context() as ctx:
        without = promote(ctx, replace(loop.project, gate=gate), version=2)["evidence"]
        assert without["replay"]["rows"] == 0
        assert "prediction log" in without["replay"]["reason"]
        log(ctx, loop)
        careful = replace(loop.project, gate=replace(gate, max_disagreement=0.02))
        result = promote(ctx, careful, version=2)
        assert result["evidence"]["replay"]["rows"] == BATCH * BATCHES
        bar = next(bar for bar in result["evidence"]["bars"] if bar["name"] == "replay")
        assert not bar["passed"]
        assert bar["sentence"] in result["evidence"]["missed"]
        assert "answered again" in " ".join(explain_decision(ctx, loop.name)["sentences"])
