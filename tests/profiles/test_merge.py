"""A profile of partitions, merged, is the profile of the whole, to the last bit."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import samovar as sv
from samovar.profiles import profile
from samovar.profiles.exact import exact_sum


class Row(sv.Contract):
    row_id: sv.Key[str]
    amount: float | None
    hour: Annotated[int, sv.Range(ge=0, le=23)]
    plan: Literal["basic", "pro"]
    city: str | None
    note: sv.Text | None = None
    member: bool | None = None


SCHEMA = {
    "row_id": pl.String,
    "amount": pl.Float64,
    "hour": pl.Int64,
    "plan": pl.String,
    "city": pl.String,
    "note": pl.String,
    "member": pl.Boolean,
}
floats = st.floats(allow_infinity=True, allow_nan=True, allow_subnormal=True)
rows = st.fixed_dictionaries(
    {
        "row_id": st.just("r"),
        "amount": st.none() | floats,
        "hour": st.integers(0, 23),
        "plan": st.sampled_from(["basic", "pro"]),
        "city": st.none() | st.sampled_from(["Bern", "Oslo", "Riga", "Ürümqi"]),
        "note": st.none() | st.text(max_size=40),
        "member": st.none() | st.booleans(),
    }
)


def frame_of(records):
    return pl.DataFrame(records, schema=SCHEMA)


@settings(max_examples=80, deadline=None)
@given(reference=st.lists(rows, max_size=40), records=st.lists(rows, max_size=60), cuts=st.lists(st.integers(0, 60), max_size=4))
def test_any_partition_merges_to_one_pass(reference, records, cuts):
    """However rows are cut into parts, the merged counts equal one count, as values and as bytes."""
    bins = profile.build(frame_of(reference), Row.spec, pl.Series([str(i % 3) for i in range(len(reference))], dtype=pl.String))
    whole, answers = frame_of(records), pl.Series([str(i % 4) for i in range(len(records))], dtype=pl.String)
    edges = sorted({0, len(records), *(min(cut, len(records)) for cut in cuts)})
    parts = [
        profile.count(bins, whole[start:stop], answers[start:stop]) for start, stop in zip(edges, edges[1:] or edges, strict=False)
    ]
    once = profile.count(bins, whole, answers)
    assert profile.merge_all(parts) == once
    assert profile.merge_all(reversed(parts)) == once
    assert profile.encode(profile.merge_all(parts)) == profile.encode(once)


@settings(max_examples=60, deadline=None)
@given(records=st.lists(rows, max_size=40))
def test_every_row_lands_in_exactly_one_bin(records):
    """Counts of each field add up to the rows, whatever the values are: null, NaN, infinite, unseen."""
    bins = profile.build(frame_of(records[:10]), Row.spec)
    counted = profile.count(bins, frame_of(records))
    assert [field.rows for field in counted.fields] == [len(records)] * len(Row.spec.features)


@settings(max_examples=60, deadline=None)
@given(records=st.lists(rows, max_size=30))
def test_json_round_trip_keeps_everything(records):
    """What is read is what was written, exact sums included."""
    built = profile.build(frame_of(records), Row.spec)
    assert profile.decode(profile.encode(built)) == built


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_sums_are_exact(values):
    """The sum is the rational number that the floats add up to."""
    assert exact_sum(np.array(values, dtype=np.float64)) == sum((Fraction(v) for v in values), Fraction(0))


def test_moments_are_right():
    """Mean, deviation and range are those of the numbers seen; missing and infinite values are left out."""
    values = [1.0, 2.0, 4.0, None, math.nan, math.inf]
    frame = pl.DataFrame({"x": pl.Series(values, strict=False)})
    contract = type("X", (sv.Contract,), {"__annotations__": {"x": float}}).spec
    moments = profile.build(frame, contract).field("x").moments
    assert moments.mean == pytest.approx(7 / 3)
    assert moments.deviation == pytest.approx(np.std([1, 2, 4]))
    assert (moments.count, moments.least, moments.most) == (3, 1.0, 4.0)


def test_different_bins_do_not_merge():
    """Counts over different bins cannot be added up silently."""
    one = profile.build(frame_of([]), Row.spec)
    other = profile.build(pl.DataFrame({name: [None] for name in SCHEMA}, schema=SCHEMA).with_columns(amount=pl.lit(3.0)), Row.spec)
    with pytest.raises(ValueError, match="different bins"):
        profile.merge(one, other)


def test_other_formats_are_refused():
    """Bytes that are no profile, or one of another format, are named as such."""
    with pytest.raises(ValueError, match="no reference profile"):
        profile.decode(b"{}")
    built = profile.encode(profile.build(frame_of([]), Row.spec))
    with pytest.raises(ValueError, match="format 2"):
        profile.decode(built.replace(b'"format": 1', b'"format": 2'))
