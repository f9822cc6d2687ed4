"""Slices part all rows, each once, by what the training rows settled."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import numpy as np
import polars as pl
import pytest

import samovar as sv
from samovar.errors import ProjectError
from samovar.training import slices


class Review(sv.Contract):
    text: sv.Text | None
    shelf: Literal["new", "old"]
    price: Annotated[float, sv.Range(ge=0)] | None


def project(**options):
    declare = sv.project(
        contract=Review,
        target="stars",
        time="at",
        candidates=[sv.kinds.logreg()],
        metric="accuracy",
        gate=sv.Gate(0.5),
        name="tested",
        **options,
    )
    return declare(lambda _window: pl.DataFrame())


def frame(texts, prices, shelves=None):
    start = dt.datetime(2024, 1, 30, tzinfo=dt.UTC)
    return pl.DataFrame(
        {
            "text": texts,
            "price": prices,
            "shelf": shelves or ["new"] * len(texts),
            "stars": [index % 3 for index in range(len(texts))],
            "at": [start + dt.timedelta(days=index) for index in range(len(texts))],
        },
        schema_overrides={"price": pl.Float64, "text": pl.String},
    )


TRAIN = frame(["a" * size for size in range(1, 13)], [float(price) for price in range(12)])
ROWS = frame([None, "", "aaaaaa", "a" * 500], [None, 0.0, 6.0, 99.0], ["new", "old", "new", "new"])


def test_each_row_is_in_one_level_of_every_slice():
    """Also the one with nothing in it."""
    declared = (
        sv.Slice("text", "length"),
        sv.Slice("price", "range", edges=(1, 50)),
        sv.Slice("shelf"),
        sv.Slice("stars"),
        sv.Slice("at", "period"),
    )
    found = slices.masks(project(slices=declared), TRAIN, ROWS)
    assert list(found) == ["text length", "price", "shelf", "stars", "at"]
    for levels in found.values():
        assert (np.sum(list(levels.values()), axis=0) == 1).all()
    assert {level: mask.tolist() for level, mask in found["price"].items()} == {
        "under 1": [False, True, False, False],
        "1 to 50": [False, False, True, False],
        "50 and over": [False, False, False, True],
        "missing": [True, False, False, False],
    }
    assert {level: int(mask.sum()) for level, mask in found["at"].items()} == {"2024-01": 2, "2024-02": 2}


def test_training_rows_settle_the_parts():
    """Other judged rows, the same edges; a value that training never saw is among the others."""
    declared = sv.Slice("price", "range", quantiles=2)
    assert list(slices.levels(declared, TRAIN["price"], ROWS["price"])) == ["under 5.5", "5.5 and over", "missing"]
    assert list(slices.levels(declared, TRAIN["price"], TRAIN["price"])) == ["under 5.5", "5.5 and over"]
    assert list(slices.levels(sv.Slice("shelf"), TRAIN["shelf"], ROWS["shelf"])) == ["new", "other"]


@pytest.mark.parametrize("every", ["day", "week", "month", "quarter", "year"])
def test_periods_are_in_the_order_of_time(every):
    """Whatever their length."""
    levels = slices.levels(sv.Slice("at", "period", every=every), TRAIN["at"], TRAIN["at"])
    firsts = [int(mask.argmax()) for mask in levels.values()]
    assert firsts == sorted(firsts)
    assert len(levels) == {"day": 12, "week": 2, "month": 2, "quarter": 1, "year": 1}[every]


def test_values_that_are_called_as_the_special_levels_lose_no_row():
    """Nor hide the rows without a value."""
    column = pl.Series(["missing", None, "other", "x"])
    levels = slices.levels(sv.Slice("shelf"), column, column)
    assert {level: int(mask.sum()) for level, mask in levels.items()} == {"missing": 2, "other": 1, "x": 1}


def test_default_slices_are_closed_sets_and_text_lengths():
    """A project that declares none is looked at, too; one that declares an empty tuple is not."""
    assert [one.name for one in slices.of(project())] == ["text length", "shelf"]
    assert slices.masks(project(slices=()), TRAIN, ROWS) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: project(slices=(sv.Slice("nowhere"),)),
        lambda: project(slices=(sv.Slice("shelf", "period"),)),
        lambda: project(slices=(sv.Slice("price", "length"),)),
        lambda: project(slices=(sv.Slice("shelf"), sv.Slice("shelf"))),
        lambda: sv.Slice("price", "range", edges=(3, 1)),
        lambda: sv.Slice("price", "range", quantiles=1),
    ],
)
def test_a_slice_that_cannot_be_cut_is_refused_when_it_is_declared(wrong):
    """Not after minutes of training."""
    with pytest.raises(ProjectError):
        wrong()
