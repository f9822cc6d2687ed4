"""Held-out rows are always the same ones, share nothing with the training rows, and lie after them where there is time."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import numpy as np
import polars as pl
import pytest

import samovar as sv
from samovar.errors import DataError, ProjectError
from samovar.training.split import split


class Row(sv.Contract):
    x: float
    y: float


class Keyed(sv.Contract):
    customer: sv.Key[str]
    x: float


def project(contract=Row, **options):
    declare = sv.project(
        contract=contract,
        target="label",
        candidates=[sv.kinds.logreg()],
        metric="accuracy",
        gate=sv.Gate(0.5),
        name="tested",
        **options,
    )
    return declare(lambda _window: pl.DataFrame())


def rows(count=300, seed=0):
    random = np.random.default_rng(seed)
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    return pl.DataFrame(
        {
            "x": random.normal(size=count),
            "y": random.normal(size=count),
            "label": random.choice(["a", "b", "c"], size=count),
            "at": [start + dt.timedelta(minutes=int(minute)) for minute in random.integers(0, 100, count)],
        }
    )


def test_the_split_is_by_content_and_not_by_order():
    """A shuffled dataset holds out the same rows."""
    frame = rows()
    one = split(frame, project(), seed=1)
    other = split(frame.sample(fraction=1.0, shuffle=True, seed=3), project(), seed=1)
    assert one.held_out.sort("x").equals(other.held_out.sort("x"))
    assert not one.held_out.sort("x").equals(split(frame, project(), seed=2).held_out.sort("x"))


def test_every_class_is_held_out_in_its_share():
    frame = rows(3000)
    parts = split(frame, project(), seed=1)
    assert parts.train.height + parts.held_out.height == frame.height
    for label in ("a", "b", "c"):
        share = parts.held_out.filter(pl.col("label") == label).height / frame.filter(pl.col("label") == label).height
        assert share == pytest.approx(0.3, abs=0.01)


def test_equal_rows_never_part():
    frame = rows(100)
    parts = split(pl.concat([frame, frame, frame.with_columns(label=pl.lit("a"))]), project(), seed=1)
    seen = set(parts.train.select("x", "y").iter_rows())
    assert not seen & set(parts.held_out.select("x", "y").iter_rows())


def test_rows_of_one_key_never_part():
    frame = rows(600).with_columns(customer=pl.Series([f"c{index % 60}" for index in range(600)]))
    parts = split(frame, project(Keyed), seed=1)
    assert not set(parts.train["customer"]) & set(parts.held_out["customer"])


def test_with_time_the_latest_rows_are_held_out_and_one_moment_never_parts():
    parts = split(rows(), project(time="at"), seed=1)
    assert parts.how == "time"
    assert parts.train["at"].max() < parts.held_out["at"].min()
    assert parts.held_out.height == pytest.approx(90, abs=10)


@pytest.mark.parametrize(
    "frame",
    [rows(4), rows().with_columns(label=pl.lit("a")), rows().head(60).with_columns(label=pl.Series(["rare", *["a"] * 59]))],
    ids=["few", "one class", "rare class"],
)
def test_a_dataset_that_cannot_be_judged_is_refused(frame):
    with pytest.raises(DataError, match="fewer than 2 rows of a class"):
        split(frame, project(), seed=1)


def test_annotated_contracts_split_alike():
    class Ranged(sv.Contract):
        x: Annotated[float, sv.Range(ge=-10)]
        y: float

    assert split(rows(), project(Ranged), seed=1).held_out.equals(split(rows(), project(), seed=1).held_out)


def test_a_label_that_comes_late_is_not_learned_from_before_it_is_known():
    late = dt.timedelta(minutes=10)
    parts = split(rows(), project(time="at", label_delay=late), seed=1)
    assert parts.train["at"].max() <= parts.held_out["at"].min() - late
    plain = split(rows(), project(time="at"), seed=1)
    assert parts.held_out.equals(plain.held_out)
    assert parts.train.height < plain.train.height


def test_a_delay_needs_a_time():
    with pytest.raises(ProjectError, match="label_delay"):
        project(label_delay=dt.timedelta(days=1))


def test_no_group_is_on_both_sides_and_what_was_dropped_is_said():
    random = np.random.default_rng(3)
    frame = rows(900).with_columns(
        reviewer=pl.Series(random.integers(0, 300, 900)).cast(pl.String),
        product=pl.Series(random.integers(0, 200, 900)).cast(pl.String),
    )
    for options in ({}, {"time": "at"}):
        parts = split(frame, project(groups=("reviewer", "product"), **options), seed=1)
        for name in ("reviewer", "product"):
            assert set(parts.train[name]).isdisjoint(parts.held_out[name])
        assert parts.dropped == frame.height - parts.train.height - parts.held_out.height > 0
        assert min(parts.train.height, parts.held_out.height) > 50
        if options:
            assert parts.train["at"].max() < parts.held_out["at"].min()


def test_groups_that_hang_together_little_lose_no_row():
    frame = rows(300).with_columns(reviewer=pl.Series(np.arange(300) // 3).cast(pl.String), product=None)
    parts = split(frame, project(groups=("reviewer", "product")), seed=1)
    assert parts.dropped == 0
    assert parts.how == "hash of blocks"
    assert set(parts.train["reviewer"]).isdisjoint(parts.held_out["reviewer"])
    assert 0.2 < parts.held_out.height / 300 <= 0.3


def test_blocks_are_held_out_by_what_they_are_and_not_by_where_they_stand():
    frame = rows(300).with_columns(reviewer=pl.Series(np.arange(300) // 3).cast(pl.String))
    tested = project(groups=("reviewer",))
    held_out = set(split(frame, tested, seed=1).held_out["reviewer"])
    assert set(split(frame.reverse(), tested, seed=1).held_out["reviewer"]) == held_out
    more = pl.concat([rows(30, seed=5).with_columns(reviewer=pl.lit("new")), frame])
    assert len(held_out ^ (set(split(more, tested, seed=1).held_out["reviewer"]) - {"new"})) < 15


def test_a_large_block_does_not_empty_the_held_out_rows():
    for seed in range(8):
        names = ["large" if index < 120 else str(index // 3) for index in range(300)]
        parts = split(rows(300).with_columns(reviewer=pl.Series(names)), project(groups=("reviewer",)), seed=seed)
        assert 0.25 < parts.held_out.height / 300 <= 0.3


def test_a_rule_holds_out_that_many_rows_of_one_kind_and_no_equal_ones_elsewhere():
    frame = rows(300).with_columns(kind=pl.Series(["a", "b", None]).sample(300, with_replacement=True, seed=1))
    frame = pl.concat([frame, frame.head(40)])
    rule = sv.Holdout(60, of=("x",), where=("kind", "a"))
    parts = split(frame, project(holdout=rule), seed=1)
    assert parts.held_out.height == 60
    assert set(parts.held_out["kind"]) == {"a"}
    assert parts.held_out["x"].n_unique() == 60
    assert set(parts.train["x"]).isdisjoint(parts.held_out["x"])
    assert parts.dropped == frame.height - 60 - parts.train.height > 0
    assert parts.train["kind"].n_unique() == 3
    assert (
        split(frame.sample(fraction=1.0, shuffle=True, seed=2), project(holdout=rule), seed=9)
        .held_out.sort("x")
        .equals(parts.held_out.sort("x"))
    )
