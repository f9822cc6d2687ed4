"""A frame against a contract."""

import datetime as dt
from typing import Annotated, Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import samovar as sv
from samovar.contracts.check import DTYPES, cast, check
from samovar.errors import DataError


class Row(sv.Contract):
    id: sv.Key[str]
    hour: Annotated[int, sv.Range(ge=0, le=23)]
    amount: Annotated[float, sv.Range(gt=0)]
    plan: Literal["basic", "pro"]
    active: bool | None
    note: Annotated[sv.Text, sv.MaxLength(5)] | None = None


GOOD = {"id": ["a"], "hour": [1], "amount": [1.5], "plan": ["pro"], "active": [None], "y": [1]}


def _with(**columns):
    return pl.DataFrame({**GOOD, **columns}, strict=False)


def _reasons(frame, **options):
    return {(r.row_index, r.field): r.reason for r in check(frame, Row.spec, target="y", **options).rejected}


def test_good_rows_come_out_in_contract_order_and_in_the_contracts_types():
    """Whatever order and types a source has, every dataset looks the same."""
    frame = pl.DataFrame({"extra": [0], "y": [1], **{name: GOOD[name] for name in reversed(GOOD)}})
    accepted = check(frame, Row.spec, target="y").accepted
    assert accepted.columns == ["id", "hour", "amount", "plan", "active", "note", "y"]
    assert [accepted.schema[field.name] for field in Row.spec.fields] == [DTYPES[field.dtype] for field in Row.spec.fields]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("hour", 24, "expected an integer from 0 to 23"),
        ("hour", 2.5, "expected an integer from 0 to 23"),
        ("hour", None, "missing"),
        ("hour", float("nan"), "missing"),
        ("amount", 0.0, "expected a number > 0"),
        ("amount", float("inf"), "expected a number > 0"),
        ("amount", "ten", "expected a number > 0"),
        ("plan", "gold", 'expected one of "basic", "pro"'),
        ("plan", 3.5, 'expected one of "basic", "pro"'),
        ("active", "maybe", "expected true or false or null"),
        ("note", "too long", "expected a string of at most 5 characters or null"),
    ],
)
def test_a_cell_that_does_not_fit_rejects_its_row_and_says_what_was_expected(field, value, reason):
    frame = pl.concat([_with(), _with(**{field: [value]})], how="diagonal_relaxed")
    checked = check(frame, Row.spec, target="y")
    assert [(r.row_index, r.field, r.reason) for r in checked.rejected] == [(1, field, reason)]
    assert checked.accepted.height == 1
    assert str(value) not in reason or value is None


def test_one_row_with_two_bad_cells_is_one_bad_row_with_two_reasons():
    checked = check(_with(hour=[30], plan=["gold"]), Row.spec, target="y")
    assert [r.field for r in checked.rejected] == ["hour", "plan"]
    assert checked.bad_rows == 1


def test_values_from_text_files_are_read_where_nothing_is_lost():
    """A CSV feed gives text; "12" is a number, 12.0 is an integer, 12.5 is none."""
    frame = _with(id=[7], hour=["12.0"], amount=[" 3 "], active=["True"])
    assert check(frame, Row.spec, target="y").accepted.row(0)[:5] == ("7", 12, 3.0, "pro", True)


def test_a_missing_column_is_one_clear_error():
    with pytest.raises(DataError, match=r"no column 'hour' \(an integer from 0 to 23\).*Row needs"):
        check(_with().drop("hour"), Row.spec, target="y")
    with pytest.raises(DataError, match="no column 'y'"):
        check(_with().drop("y"), Row.spec, target="y")


def test_a_field_that_may_be_left_out_is_null_when_the_column_is_missing():
    assert check(_with(), Row.spec, target="y").accepted["note"].to_list() == [None]


def test_a_row_without_a_known_label_is_rejected():
    assert _reasons(_with(y=[None])) == {(0, "y"): "the label is missing"}
    assert _reasons(_with(y=[2]), classes=[0, 1]) == {(0, "y"): "expected one of the labels 0, 1"}


def test_times_are_read_cell_by_cell_and_without_a_zone_they_are_utc():
    """One odd cell must not change how its neighbours are read."""
    texts = ["2026-01-01", "soon", "2026-01-01 10:00", "2026-01-01T10:00:00.5Z", "2026-01-01T10:00:00+02:00", None]
    read = cast(pl.Series(texts), "datetime").to_list()
    utc = dt.UTC
    assert read == [
        dt.datetime(2026, 1, 1, tzinfo=utc),
        None,
        dt.datetime(2026, 1, 1, 10, tzinfo=utc),
        dt.datetime(2026, 1, 1, 10, 0, 0, 500_000, tzinfo=utc),
        dt.datetime(2026, 1, 1, 8, tzinfo=utc),
        None,
    ]
    frame = pl.concat([_with(t=[text]) for text in ("2026-01-01", "soon")])
    assert _reasons(frame, time="t") == {(1, "t"): "expected an ISO 8601 time"}


def test_an_empty_frame_has_the_types_all_the_same():
    accepted = check(_with().clear(), Row.spec, target="y").accepted
    assert accepted.height == 0
    assert accepted.schema["hour"] == pl.Int64


CELLS = st.one_of(st.none(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8), st.booleans(), st.datetimes())


@settings(max_examples=60, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=6), st.sampled_from(["id", "hour", "amount", "plan", "active", "note", "y", "t"]))
def test_no_column_whatever_makes_the_check_fail(values, column):
    """Every row is either accepted and fits, or rejected with a reason; nothing else happens."""
    frame = pl.DataFrame({name: cells * len(values) for name, cells in {**GOOD, "t": ["2026-01-01"]}.items()})
    try:
        odd = pl.Series(column, values, strict=False)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        odd = pl.Series(column, values, dtype=pl.Object)
    checked = check(frame.with_columns(odd), Row.spec, target="y", time="t")
    assert checked.accepted.height + checked.bad_rows == len(values)
    again = check(checked.accepted, Row.spec, target="y", time="t")
    assert again.rejected == ()
    assert again.accepted.equals(checked.accepted)
