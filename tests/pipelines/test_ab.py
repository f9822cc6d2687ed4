"""A/B: logged answers meet what came true, and the better version is named when that is sure."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from samovar.errors import NotFound, UsageError
from samovar.pipelines.ab import ab
from samovar.store import labels, prediction_log, query
from samovar.store.labels import Label
from samovar.store.prediction_log import LogRows, ShippedSegment

START = 1_790_000_000_000_000
"""UNIX microseconds."""


def log(connection, loop, role, version, right, *, name="", keys=None, request="r", alias="Production"):
    """Log answers of a version: right or wrong about rows whose truth is 1 and 0 in turn."""
    truth = np.arange(len(right)) % 2
    said = np.where(right, truth, 1 - truth)
    shares = [[0.9, 0.1] if one == 0 else [0.1, 0.9] for one in said]
    segment = ShippedSegment(
        segment=f"{role}{version}{name}", project=loop.name, model=loop.name, alias=alias, version=version, role=role,
        contract="c" * 64, classes=[0, 1],
    )  # fmt: skip
    shipment = prediction_log.begin(connection, segment)
    count = len(right)
    times = [START + at for at in range(count)]
    requests = [f"{request}{at}" for at in range(count)]
    names = keys if keys is not None else [""] * count
    shipment.add(LogRows(times, requests, [0] * count, ["/predict"] * count, names, said.tolist(), shares, []))
    shipment.finish(requests=count, torn=0, first_at=START, last_at=START + count)


def label(connection, loop, keys, truth=None):
    found = np.arange(len(keys)) % 2 if truth is None else truth
    labels.add(connection, [Label(loop.name, key, str(one)) for key, one in zip(keys, found, strict=True)])


def mixed(count, wrong, seed=1):
    right = np.ones(count, dtype=bool)
    right[np.random.default_rng(seed).choice(count, wrong, replace=False)] = False
    return right


def test_a_better_challenger_is_named_once_labels_are_there(loop):
    ours, theirs = ([f"{side}{at}" for at in range(2000)] for side in "ab")
    with loop.context() as ctx:
        with ctx.db.begin() as connection:
            log(connection, loop, "champion", 1, mixed(2000, 300), keys=theirs)
            log(connection, loop, "challenger", 2, mixed(2000, 100, 2), keys=ours)
        early = ab(ctx, loop.name, "Candidate")
        assert (early["verdict"], early["labelled"]) == ("too early", {"champion": 0, "challenger": 0})
        with ctx.db.begin() as connection:
            label(connection, loop, ours)
            label(connection, loop, theirs)
        found = ab(ctx, loop.name, "Candidate")
        assert (found["verdict"], found["how"]) == ("challenger", "split")
        assert found["metrics"]["accuracy"]["low"] > 0
        assert found["metrics"]["accuracy"]["challenger"] == pytest.approx(0.95)
        assert set(found["metrics"]) == {"accuracy", "precision", "recall", "neg_log_loss"}
        assert found["labelled"] == {"champion": 2000, "challenger": 2000}
        assert ab(ctx, loop.name, "Candidate", metric="neg_log_loss")["verdict"] == "challenger"
        with pytest.raises(UsageError):
            ab(ctx, loop.name, "Candidate", metric="beauty")


def test_a_shadow_is_compared_on_the_same_rows_by_request_id(loop):
    """Three points apart on 1,500 rows: of two groups nobody could tell, of the same rows it is clear."""
    right = mixed(1500, 150)
    better = right.copy()
    better[np.flatnonzero(~right)[:45]] = True
    with loop.context() as ctx:
        with ctx.db.begin() as connection:
            log(connection, loop, "champion", 1, right)
            log(connection, loop, "shadow", 2, better)
            label(connection, loop, [f"r{at}" for at in range(1500)])
        found = ab(ctx, loop.name, "Candidate")
    assert (found["how"], found["verdict"]) == ("shadow", "challenger")
    assert found["metrics"]["accuracy"]["difference"] == pytest.approx(0.03)


def test_many_rows_of_few_customers_prove_little(loop):
    """Thirty customers of each version, a hundred rows each; the champion fails every third of them, the challenger every fifth."""
    customer = np.arange(3000) // 100
    truth = customer % 2
    with loop.context() as ctx:
        with ctx.db.begin() as connection:
            for role, version, every in (("champion", 1, 3), ("challenger", 2, 5)):
                said = np.where(customer % every == 0, 1 - truth, truth)
                log(connection, loop, role, version, said == np.arange(3000) % 2, keys=[f"{role}{one}" for one in customer])
                label(connection, loop, [f"{role}{one}" for one in range(30)], np.arange(30) % 2)
        found = ab(ctx, loop.name, "Candidate")["metrics"]["accuracy"]
    assert found["difference"] == pytest.approx(2 / 15, abs=1e-6)
    assert found["verdict"] == "undecided"  # as independent rows it would be beyond doubt
    assert found["low"] < -0.1


def test_what_is_not_there_is_said(loop):
    with loop.context() as ctx:
        with pytest.raises(NotFound, match="no alias"):
            ab(ctx, loop.name, "Nobody")
        with pytest.raises(NotFound, match="samovar traffic"):
            ab(ctx, loop.name, "Candidate", since=query.now() - dt.timedelta(days=1))
