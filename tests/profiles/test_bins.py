"""Bins are the reference's deciles, its few values or its categories."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import numpy as np
import polars as pl

import samovar as sv
from samovar.profiles import profile
from samovar.profiles.fields import MAX_CATEGORIES, CategoryProfile, NumericProfile


class Row(sv.Contract):
    amount: float
    day: int
    plan: Literal[1, 2, 3]
    city: str
    note: sv.Text
    member: bool
    at: dt.datetime


def rows(n: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "amount": rng.lognormal(3, 1, n),
            "day": rng.integers(0, 7, n),
            "plan": rng.integers(1, 4, n),
            "city": [f"c{int(i):03d}" for i in rng.integers(0, 200, n)],
            "note": ["é" * int(i) for i in rng.integers(0, 300, n)],
            "member": rng.random(n) < 0.2,
            "at": [dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=int(i)) for i in rng.integers(0, 9999, n)],
        }
    )


def test_numbers_are_cut_at_deciles():
    """Each bin of a continuous number holds a tenth of the reference, and none of it lies outside."""
    amount = profile.build(rows(2000), Row.spec).field("amount")
    assert isinstance(amount, NumericProfile)
    assert amount.counts == (200,) * 10
    assert (amount.below, amount.above, amount.missing) == (0, 0, 0)


def test_few_values_get_a_bin_each():
    """A number with few distinct values is counted value by value."""
    frame = rows(700)
    day = profile.build(frame, Row.spec).field("day")
    assert list(day.counts) == [frame.filter(pl.col("day") == value).height for value in range(7)]


def test_closed_sets_keep_the_contracts_order():
    """A Literal, also of integers, is a category with the contract's values; a boolean has two."""
    built = profile.build(rows(100), Row.spec)
    assert built.field("plan").values == ("1", "2", "3")
    assert sum(built.field("plan").counts) == 100
    assert built.field("member").values == ("false", "true")
    assert sum(built.field("member").counts) == 100


def test_open_sets_keep_the_most_frequent():
    """Of two hundred cities thirty keep their name; the others are counted together, and so is a new one."""
    frame = rows(4000)
    built = profile.build(frame, Row.spec)
    city = built.field("city")
    assert isinstance(city, CategoryProfile)
    assert len(city.values) == MAX_CATEGORIES
    named = frame.filter(pl.col("city").is_in(city.values)).height
    assert (sum(city.counts), city.other) == (named, 4000 - named)
    least_kept = min(city.counts)
    assert least_kept >= frame.filter(~pl.col("city").is_in(city.values))["city"].value_counts()["count"].max()
    assert profile.count(built, frame.head(5).with_columns(city=pl.lit("new"))).field("city").other == 5


def test_text_and_time_become_numbers():
    """Text is profiled by its length in characters, a timestamp by its seconds."""
    frame = rows(500)
    built = profile.build(frame, Row.spec)
    assert built.field("note").moments.mean == frame["note"].str.len_chars().mean()
    assert built.field("at").moments.least == frame["at"].min().timestamp()


def test_out_of_range_and_missing_are_counted_apart():
    """Values that the reference never saw do not hide in the outer bins."""
    built = profile.build(rows(300), Row.spec)
    odd = rows(4).with_columns(amount=pl.Series([-1.0, 1e9, None, float("nan")], strict=False))
    amount = profile.count(built, odd).field("amount")
    assert (amount.below, amount.above, amount.missing, sum(amount.counts)) == (1, 1, 2, 0)


def test_predictions_are_profiled_by_their_type():
    """Float predictions are probabilities (bins), anything else labels (categories)."""
    frame = rows(200)
    assert isinstance(profile.build(frame, Row.spec, frame["amount"]).prediction, NumericProfile)
    assert isinstance(profile.build(frame, Row.spec, frame["plan"]).prediction, CategoryProfile)
    assert profile.build(frame, Row.spec).prediction is None
