"""JSON bodies into a contract's rows."""

import datetime as dt
import json
import subprocess
import sys
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import samovar as sv
from samovar.contracts.decode import RowDecoder
from samovar.contracts.spec import ContractSpec, FieldSpec
from samovar.errors import RequestError


class Row(sv.Contract):
    id: sv.Key[str]
    hour: Annotated[int, sv.Range(ge=0, le=23)]
    amount: Annotated[float, sv.Range(gt=0)]
    plan: Literal["basic", "pro"]
    grade: Literal[1, 2] | None = None
    sure: Literal[True] | None = None
    active: bool | None
    when: dt.datetime | None = None
    note: Annotated[sv.Text, sv.MaxLength(5)] | None = None


GOOD = {"id": "a", "hour": 1, "amount": 1.5, "plan": "pro", "active": None}
DECODER = RowDecoder(Row.spec)


def _body(**changes):
    return json.dumps({**GOOD, **changes}).encode()


def test_a_good_row_has_every_field_and_nothing_is_the_null_of_what_was_left_out():
    assert DECODER.one(_body()) == {**GOOD, "grade": None, "sure": None, "when": None, "note": None}


def test_numbers_are_read_generously_only_where_nothing_is_lost():
    row = DECODER.one(_body(hour=12.0, amount=3, grade=2.0))
    assert (row["hour"], row["amount"], row["grade"]) == (12, 3.0, 2)
    assert type(row["hour"]) is int
    assert type(row["amount"]) is float


def test_a_time_without_a_zone_is_utc():
    assert DECODER.one(_body(when="2026-01-01T10:00:00"))["when"] == dt.datetime(2026, 1, 1, 10, tzinfo=dt.UTC)
    assert DECODER.one(_body(when="2026-01-01T10:00:00+02:00"))["when"] == dt.datetime(2026, 1, 1, 8, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("hour", 24, "an integer from 0 to 23"),
        ("hour", -1.0, "an integer from 0 to 23"),
        ("hour", 1.5, "an integer from 0 to 23"),
        ("hour", "12", "an integer from 0 to 23"),
        ("hour", True, "an integer from 0 to 23"),
        ("hour", None, "an integer from 0 to 23"),
        ("amount", 0, "a number > 0"),
        ("amount", "7.25", "a number > 0"),
        ("plan", "secret", 'one of "basic", "pro"'),
        ("grade", 3, "one of 1, 2 or null"),
        ("sure", False, "one of true or null"),
        ("active", "secret", "true or false or null"),
        ("when", "secret", "an ISO 8601 time or null"),
        ("note", "secret", "a string of at most 5 characters or null"),
        ("id", 5, "a string"),
    ],
)
def test_a_wrong_value_is_refused_by_its_fields_path_and_never_repeated(field, value, expected):
    with pytest.raises(RequestError) as refused:
        DECODER.one(_body(**{field: value}))
    assert refused.value.path == field
    assert str(refused.value) == f"Expected {expected}."
    with pytest.raises(RequestError) as refused:
        DECODER.many(b"[" + _body() + b"," + _body(**{field: value}) + b"]")
    assert refused.value.path == f"rows[1].{field}"


def test_a_missing_field_is_named():
    body = json.dumps({name: value for name, value in GOOD.items() if name != "amount"}).encode()
    with pytest.raises(RequestError) as refused:
        DECODER.one(body)
    assert (refused.value.path, str(refused.value)) == ("amount", "This field is missing; expected a number > 0.")


def test_a_field_missing_from_one_row_of_many_is_named_with_its_row():
    lacking = json.dumps({name: value for name, value in GOOD.items() if name != "amount"}).encode()
    with pytest.raises(RequestError) as refused:
        DECODER.many(b"[" + _body() + b"," + lacking + b"]")
    assert (refused.value.path, str(refused.value)) == ("rows[1].amount", "This field is missing; expected a number > 0.")


@pytest.mark.parametrize(
    "name", ["secret", "secret - at `$.hour`", "secret - at `$.hour", "x` - at `$[0].secret", "secret\n - at `$.rows[0].secret`"]
)
def test_an_unknown_field_is_refused_without_repeating_its_name(name):
    for decode, body in ((DECODER.one, _body(**{name: 1})), (DECODER.many, b"[" + _body(**{name: 1}) + b"]")):
        with pytest.raises(RequestError, match="Unknown field") as refused:
            decode(body)
        assert "secret" not in f"{refused.value.path} {refused.value}"


@pytest.mark.parametrize("body", [b"", b"{", b"{'id': 1}", b"\xff\xfe", b'{"id": "\\ud800"}', b'{"amount": NaN}', b"{}}"])
def test_what_is_no_json_is_refused_in_one_sentence(body):
    for decode in (DECODER.one, DECODER.many):
        with pytest.raises(RequestError):
            decode(body)


def test_rows_come_as_an_array_or_wrapped():
    assert DECODER.many(b"[" + _body() + b"]") == DECODER.many(b' {"rows": [' + _body() + b"]}") == [DECODER.one(_body())]


@pytest.mark.parametrize("body", [b"[]", b'{"rows": []}', b'{"rows": 1}', b'{"lines": []}', b"3", b'"x"', b"{}"])
def test_a_batch_that_is_no_list_of_rows_is_refused(body):
    with pytest.raises(RequestError) as refused:
        DECODER.many(body)
    assert refused.value.path == "rows"


def test_a_number_too_long_for_its_type_is_refused():
    for text in (b"1e999", b"1" * 5000, b"-99999999999999999999999"):
        with pytest.raises(RequestError) as refused:
            DECODER.one(_body(hour="X").replace(b'"X"', text))
        assert refused.value.path == "hour"


def test_a_column_name_need_not_be_an_identifier():
    names = ("sepal length (cm)", "class", "f1", "a.b", "ü", "x` - at `$.y")
    decoder = RowDecoder(ContractSpec("Odd", tuple(FieldSpec(name, "float") for name in names)))
    row = {name: float(index) for index, name in enumerate(names)}
    assert decoder.one(json.dumps(row).encode()) == row
    for name in names[:5]:
        with pytest.raises(RequestError) as refused:
            decoder.one(json.dumps({**row, name: "x"}).encode())
        assert refused.value.path == name


def test_of_two_bounds_on_one_side_the_stricter_holds():
    decoder = RowDecoder(ContractSpec("Odd", (FieldSpec("x", "float", ge=0, gt=1), FieldSpec("n", "int", ge=0, gt=1.5, lt=4))))
    assert decoder.one(b'{"x": 1.1, "n": 2}') == {"x": 1.1, "n": 2}
    for body in (b'{"x": 1, "n": 2}', b'{"x": 2, "n": 1}', b'{"x": 2, "n": 4}'):
        with pytest.raises(RequestError):
            decoder.one(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "note", "rows", "other"]), inner, max_size=5)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(JSON, st.sampled_from(["one", "many"]))
def test_any_json_gives_rows_or_a_request_error(value, how):
    try:
        getattr(DECODER, how)(json.dumps(value).encode())
    except RequestError:
        return


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_give_rows_or_a_request_error(body):
    for decode in (DECODER.one, DECODER.many):
        with pytest.raises(RequestError):
            decode(body)


def test_the_decoder_brings_no_heavy_library_into_an_endpoint():
    heavy = {"mlflow", "polars", "pandas", "numpy", "pydantic"}
    code = f"import sys, samovar.contracts.decode; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
