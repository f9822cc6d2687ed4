"""Large bodies of nothing but numbers: what the quick reader takes, the others take, and to the same columns."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.contracts.spec import ContractSpec, ModelContract, ResponseSpec
from samovar.scoring.forms.matrix import LARGE
from samovar.scoring.forms.reader import Reader
from samovar.scoring.plan import FORMAT, ScorerPlan, SignatureColumn, TensorInput


def plan(signature, tensor=None, engine="sklearn"):
    contract = ModelContract(ContractSpec("m", ()), ResponseSpec("r", ()))
    return ScorerPlan(FORMAT, "m", 1, "v1", "r", "d", engine, True, {}, "m", contract, signature=signature, tensor=tensor)


COLUMNS = tuple(SignatureColumn(name, "double", True) for name in "abc")
READER = Reader(plan(COLUMNS, engine="compiled"))
ROWS = [[number / 7, -number, 1e-300 * number] for number in range(100)]
SHORT = [[number / 4, -number, number / 100] for number in range(100)]
"""Numbers that are read all at once, and not one by one."""
SPLIT = {"columns": ["a", "b", "c"]}


def split(rows=ROWS, **more):
    return json.dumps({"dataframe_split": {**SPLIT, "data": rows, **more}}, separators=(",", ":")).encode()


def read(body, reader=READER):
    found = reader._matrix.read(body)
    return None if found is None else [column.tolist() for column in found]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {**SPLIT, "data": ROWS}},
        {"dataframe_split": {"data": ROWS, **SPLIT}},
        {"dataframe_split": {**SPLIT, "data": ROWS}, "params": None},
        {"dataframe_split": {**SPLIT, "data": SHORT}},
        {"dataframe_split": {**SPLIT, "data": [*SHORT, *ROWS]}},
    ],
)
def test_a_matrix_becomes_the_same_columns(body, separators):
    data = json.dumps(body, separators=separators).encode()
    assert read(data) == [list(column) for column in READER.exact(data).columns]


def test_rows_without_names_are_read_too():
    reader = Reader(plan((), tensor=TensorInput("float64", (-1, 3)), engine="compiled"))
    for form in ("instances", "inputs"):
        assert read(json.dumps({form: ROWS}).encode(), reader) == [list(column) for column in zip(*ROWS, strict=True)]


def changed(rows, row, column, value):
    changed = [list(row) for row in rows]
    changed[row][column] = value
    return split(changed)


def others(rows):
    return {
        "null": changed(rows, 50, 1, None),
        "a text": changed(rows, 50, 1, "1"),
        "a truth": changed(rows, 99, 2, True),
        "a list": changed(rows, 50, 1, [1]),
        "a row too short, one too long": split([*rows[:50], [1, 2], [1, 2, 3, 4], *rows[52:]]),
        "a row too short": split([*rows, [1, 2]]),
        "no comma": split(rows).replace(b"],[", b"][", 1),
        "brackets inside": split(rows).replace(b"-50,", b"[-50],"),
        "a gap in a number": split(rows).replace(b"-50,", b"-5 0,"),
        "a digit after a row": split(rows).replace(b"],[", b"]1,[", 50),
        "a digit before a row": split(rows).replace(b"],[", b"],1[", 50),
        "a line": split(rows).replace(b"-50,", b"-50,\n"),
        "two points": split(rows).replace(b"-50,", b"-5.0.1,"),
        "a plus": split(rows).replace(b"-50,", b"+50,"),
        "too large": split(rows).replace(b"-50,", b"-5e999,"),
        "an index": split(rows, index=[0]),
        "a whole index": split(rows, index=list(range(100))),
        "other names": split(rows).replace(b'"a"', b'"x"'),
        "params": json.dumps({"dataframe_split": {**SPLIT, "data": rows}, "params": {"x": 1}}).encode(),
        "rows in the params": json.dumps({"dataframe_split": {**SPLIT, "data": []}, "params": {"x": rows}}).encode(),
        "two tables": split(rows)[:-2] + b',"data":' + json.dumps(rows).encode() + b"}}",
        "rows beside the records": json.dumps({"x": rows, "dataframe_records": [{"a": 1, "b": 2, "c": 3}]}).encode(),
        "rows in a record": json.dumps({"dataframe_records": [{"a": 1, "b": 2, "c": 3, "x": rows}]}).encode(),
        "few rows": split(rows[:10]),
        "one form too many": split(rows)[:-1] + b',"inputs":[[1,2,3]]}',
        "torn": split(rows)[:-3],
        "nothing": b"",
        "brackets": b"]][[",
    }


OTHERS = {f"{name}, {kind}": body for kind, rows in (("long", ROWS), ("short", SHORT)) for name, body in others(rows).items()}


@pytest.mark.parametrize("body", OTHERS.values(), ids=OTHERS.keys())
def test_what_is_no_matrix_is_left_to_the_others(body):
    """They say what is wrong, or take what is only unusual."""
    assert read(body) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_body_is_never_read_in_two_ways(data):
    """Bytes are changed at random: the quick reader gives the others' columns, or none."""
    body = bytearray(split(data.draw(st.sampled_from([ROWS, SHORT]))))
    for _ in range(data.draw(st.integers(0, 2))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b"[", b"]", b",", b" ", b"1", b"-", b".", b"e"])
        )
    found = read(bytes(body))
    if found is not None:
        assert found == [list(column) for column in READER.exact(bytes(body)).columns]


FORMS = st.sampled_from(("dataframe_split", "dataframe_records", "instances", "inputs"))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_matrix_in_a_field_that_nobody_reads_is_no_rows(data):
    """Fields that the model does not know are put anywhere, with matrices, lists, texts of them: the others' columns, or none."""
    count = data.draw(st.sampled_from([0, 1, 2, 100]))
    matrix = [[float(number)] * 3 for number in range(100)]
    unknown = st.dictionaries(
        st.sampled_from(["x", "y", "data", "columns", "params", "inputs"]),
        st.sampled_from([matrix, matrix[:1], [matrix], {"x": matrix}, "[[1,2,3],[4,5,6]]", [], {}, None]),
        max_size=2,
    )
    named = [{**dict(zip("abc", row, strict=True)), **data.draw(unknown)} for row in ROWS[:1] * count]
    form = data.draw(FORMS)
    sent = {**SPLIT, "data": ROWS[:count], **data.draw(unknown)} if form == "dataframe_split" else named
    whole = list({**data.draw(unknown), form: sent, **data.draw(unknown)}.items())
    body = json.dumps(dict(data.draw(st.permutations(whole))), separators=data.draw(st.sampled_from([(",", ":"), (", ", ": ")])))
    found = read(body.encode())
    if found is not None:
        assert found == [list(column) for column in READER.exact(body.encode()).columns]


def test_only_compiled_models_of_doubles_are_read_so():
    """The others' frames have types of their own."""
    assert Reader(plan(COLUMNS))._matrix is None
    assert Reader(plan((*COLUMNS, SignatureColumn("d", "long", True)), engine="compiled"))._matrix is None
    assert Reader(plan(COLUMNS[:1], engine="compiled"))._matrix is None


def test_a_large_body_is_read_so_and_a_small_one_is_not():
    rows = [[0.123456789, 2.5, 3.25]] * (LARGE // 20)
    assert isinstance(READER.json(split(rows)).columns[0], np.ndarray)
    assert not isinstance(READER.json(split()).columns[0], np.ndarray)
