"""Bodies into columns: what pandas and a signature made of them, made without pandas.

`samovar.scoring.engines.frames` reads a request as mlflow's server does, through pandas. The reader without pandas must take and
refuse the same rows and give the same values. It differs on purpose where pandas lets a row's neighbours judge it, or fills rows up
that are too short: every row is judged by itself here, so one row at a time is compared, and many rows with each of them alone.
"""

import json
import math

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.contracts.spec import ContractSpec, ModelContract, ResponseSpec
from samovar.errors import RequestError
from samovar.scoring import invocations
from samovar.scoring.engines import frames
from samovar.scoring.engines.tables import Tables
from samovar.scoring.forms.reader import Reader
from samovar.scoring.plan import FORMAT, ScorerPlan, SignatureColumn, TensorInput

TYPES = ("double", "float", "long", "integer", "boolean", "string", "datetime", "binary")
SIGNATURE = tuple(SignatureColumn(f"{kind} {need}", kind, need == "must") for kind in TYPES for need in ("must", "may"))
NAMES = [column.name for column in SIGNATURE]
GOOD = dict(
    zip(NAMES, [1.5, 2, 0.5, None, 3, None, 4, 5.0, True, False, "a", None, "2026-01-01", None, "YQ==", "YWI="], strict=True)
)


def plan(signature=SIGNATURE, tensor=None, engine="sklearn"):
    contract = ModelContract(ContractSpec("m", ()), ResponseSpec("r", ()))
    return ScorerPlan(FORMAT, "m", 1, "v1", "r", "d", engine, True, {}, "m", contract, signature=signature, tensor=tensor)


PLAN = plan()
READER = Reader(PLAN)
TABLES = Tables(PLAN)


def plain(frame):
    """A frame as lists, null as None."""
    columns = [frame.iloc[:, k].tolist() for k in range(frame.shape[1])] if isinstance(frame, pd.DataFrame) else frame.T.tolist()
    return [[None if value is None or pd.isna(value) else value for value in column] for column in columns]


def by_pandas(body, where=PLAN):
    call = invocations.parse_csv(body) if isinstance(body, bytes) and body[:1] != b"{" else invocations.parse_json(body)
    try:
        return plain(frames.read(call, where))
    except RequestError:
        return None


def by_columns(body, where=READER, tables=TABLES):
    try:
        parsed = where.json(body) if body[:1] == b"{" else where.csv(body)
    except RequestError as error:
        return pytest.fail("no expectation") if "xpected" not in str(error) and "differ" not in str(error) else None
    return plain(tables.of_columns(parsed.columns))


def near(left, right):
    """Equal; numbers of CSV to the last bit but one, which pandas does not always read exactly."""
    if left is None or right is None:
        return left is right
    return all(
        mine == theirs or (isinstance(mine, float) and isinstance(theirs, float) and math.isclose(mine, theirs, rel_tol=1e-15))
        for ours, other in zip(left, right, strict=True)
        for mine, theirs in zip(ours, other, strict=True)
    )


# --- what clients write --------------------------------------------------------------------------------------------------------

INTEGERS = st.integers(-(2**53), 2**53) | st.sampled_from(
    [2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, 2**63, -(2**63), 10**30]
)
ODD = st.sampled_from(["x", "1.5", "true", "", [1], {"a": 1}, True, False, 1.5, 1])
VALUES = {
    "double": st.floats() | INTEGERS | st.none(),
    "long": INTEGERS | st.integers(-100, 100).map(float) | st.floats() | st.none(),
    "boolean": st.booleans() | st.none(),
    "string": st.text(st.characters(exclude_categories=["Cs"])) | st.none(),
    "datetime": st.datetimes(pd.Timestamp("1700-01-01").to_pydatetime(), pd.Timestamp("2200-01-01").to_pydatetime()).map(str)
    | st.sampled_from(["2026-01-01", "2026-01-01T10:00:00Z", "2026-01-01T10:00:00.5+02:00", "2026-13-01", "x", None]),
    "binary": st.binary(max_size=9).map(lambda data: __import__("base64").b64encode(data).decode()) | st.sampled_from(["x", "é"]),
}
VALUES |= {"float": VALUES["double"], "integer": VALUES["long"]}


def values(column):
    odd = ODD.filter(lambda value: value != "") if column.type == "datetime" else ODD  # pandas reads empty text as a gap there
    return st.one_of(VALUES[column.type], VALUES[column.type], VALUES[column.type], odd)


@st.composite
def rows(draw, least=1, most=1, mistakes=2):
    """Good rows with some cells drawn anew."""
    table = [dict(GOOD) for _ in range(draw(st.integers(least, most)))]
    for row in table:
        for column in draw(st.lists(st.sampled_from(SIGNATURE), max_size=mistakes, unique=True)):
            row[column.name] = draw(values(column))
    return table


@st.composite
def bodies(draw, table=None):
    """The same rows in one of the forms, as text."""
    table = draw(rows()) if table is None else table
    names = draw(st.permutations(NAMES)) if draw(st.booleans()) else NAMES
    names = [name for name in names if not (name.endswith("may") and draw(st.integers(0, 9)) == 0)]
    if draw(st.integers(0, 19)) == 0:
        names = names[1:]
    extra = draw(st.sampled_from([{}, {}, {"more": 1}]))
    records = [{name: row[name] for name in names} | extra for row in table]
    split = {"columns": [*names, *extra], "data": [list(record.values()) for record in records]}
    if draw(st.booleans()):
        split["index"] = list(range(len(table)))
    form = draw(st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs", "columns"]))
    columns = {name: [record[name] for record in records] for name in [*names, *extra]}
    data = {"dataframe_split": split, "columns": columns}.get(form, records)
    return json.dumps({"inputs" if form == "columns" else form: data}).encode()


@settings(max_examples=300, deadline=None)
@given(bodies())
@pytest.mark.filterwarnings("ignore")
def test_a_row_is_read_as_pandas_and_the_signature_read_it(body):
    """Every form, every type, required and optional, in order and not, with and without mistakes."""
    assert near(by_columns(body), by_pandas(body))


@settings(max_examples=80, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_a_row_is_judged_without_its_neighbours(data):
    """Many rows are good if each is, and have the values that each has alone."""
    table = data.draw(rows(least=2, most=4, mistakes=1))
    alone = [values_of(json.dumps({"dataframe_records": [row]}).encode()) for row in table]
    together = None if None in alone else [[column[0] for column in columns] for columns in zip(*alone, strict=True)]
    complete = bodies(table).filter(lambda body: all(name.encode() in body for name in NAMES))
    for _ in range(4):
        assert values_of(data.draw(complete)) == together


def values_of(body):
    try:
        return [list(column) for column in READER.json(body).columns]
    except RequestError:
        return None


CELLS = {
    "double": ["1.5", "2", "-0", "1e3", "inf", "-Infinity", "nan", "NA", "", "x", "True", "1_0", "7e-320"],
    "long": ["3", "-4", "3.0", "3.5", "1e3", "", "NULL", "x", "99999999999999999999", "True", "4000000000"],
    "boolean": ["True", "false", "TRUE", "1", "yes"],
    "string": ["a", "5", "1.0", "True", '"a ""b"", c"', "nan", ""],
    "datetime": ["2026-01-01", "2026-01-01 10:00:00", "x"],
    "binary": ["YQ==", "x"],
}
CELLS |= {"float": CELLS["double"], "integer": CELLS["long"]}


@settings(max_examples=150, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_a_csv_line_is_read_as_pandas_and_the_signature_read_it(data):
    """Numbers, booleans and gaps as pandas knows them; quotes; columns in any order."""
    row = {column.name: CELLS[column.type][0] for column in SIGNATURE}
    for column in data.draw(st.lists(st.sampled_from(SIGNATURE), max_size=2, unique=True)):
        row[column.name] = data.draw(st.sampled_from(CELLS[column.type]))
    names = data.draw(st.permutations(NAMES))
    body = ",".join(names) + "\n\n" + ",".join(row[name] for name in names) + data.draw(st.sampled_from(["", "\n", "\r\n"]))
    assert near(by_columns(body.encode()), by_pandas(body.encode()))


@settings(max_examples=120, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_a_matrix_is_read_as_numpy_read_it(data):
    """Rows, frames and records of a model that was logged with arrays."""
    dtype = data.draw(st.sampled_from(["float64", "float32", "int64", "int32", "bool"]))
    where = plan((), TensorInput(dtype, (-1, 3)))
    kind = {"float64": "double", "float32": "float", "int64": "long", "int32": "integer", "bool": "boolean"}[dtype]
    # numpy wraps integers around that are too large; a gap in integers or booleans is an object there
    sane = VALUES[kind].filter(lambda value: value is None or kind[0] in "df" or not abs(value) >= 2**31)
    row = data.draw(st.lists(sane, min_size=data.draw(st.sampled_from([3, 3, 3, 2])), max_size=3))
    forms = {
        "inputs": [row],
        "instances": [row],
        "dataframe_split": {"data": [row]},
        "dataframe_records": [dict(zip("abc", row, strict=False))],
    }
    form = data.draw(st.sampled_from(sorted(forms)))
    body = json.dumps({form: forms[form]}).encode()
    assert near(by_columns(body, Reader(where), Tables(where)), by_pandas(body, where))


def test_the_comparison_sees_a_difference(monkeypatch):
    """A reader that takes text for numbers is found out."""
    from dataclasses import replace

    kinds = tuple(replace(kind, value=lambda value: value if value is None else float(value)) for kind in READER.layout.kinds[:1])
    monkeypatch.setattr(READER.layout, "kinds", kinds + READER.layout.kinds[1:])
    body = json.dumps({"dataframe_records": [GOOD | {"double must": "1.5"}]}).encode()
    assert not near(by_columns(body), by_pandas(body))


# --- what is different on purpose ----------------------------------------------------------------------------------------------


def refused(body, reader=READER):
    with pytest.raises(RequestError) as caught:
        reader.json(json.dumps(body).encode()) if isinstance(body, dict) else reader.csv(body)
    return caught.value.path, caught.value.message


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"dataframe_split": {"columns": NAMES, "data": [list(GOOD.values()), [1.0]]}}, "dataframe_split[1]"),
        ({"dataframe_records": [GOOD, {"long must": 1}]}, "rows[1].double must"),
        ({"dataframe_records": [GOOD | {"long may": 1.5}, GOOD | {"long may": None}]}, "rows[0].long may"),
        ({"instances": [GOOD, 5]}, "instances[1]"),
        ({"inputs": {"double must": [1.0], "long must": [1, 2]}}, "inputs"),
        (b"a,b\n1,2\n3\n", "csv[1]"),
        (b"a,b\n", "csv"),
        (b"\n\n", "csv"),
        (b"\xff", ""),
        ({"dataframe_records": [GOOD | {"string must": "\ud800"}]}, "string must"),
        ({"dataframe_records": [GOOD | {"datetime must": ""}]}, "datetime must"),
        ({"dataframe_records": [GOOD | {"datetime must": "0001-01-01"}]}, "datetime must"),
        ({"dataframe_records": [GOOD | {"binary must": None}]}, "binary must"),
    ],
)
def test_a_row_that_pandas_would_mend_or_misread_is_refused(body, path):
    """Rows of another length are not filled up, an integer stays one beside a gap, half a surrogate pair is no text."""
    assert refused(body)[0] == path


def test_gaps_in_csv_are_null_in_every_optional_column():
    nullable = [column.type in ("double", "float", "string", "datetime") or not column.required for column in SIGNATURE]
    cells = ["NA" if null else CELLS[column.type][0] for null, column in zip(nullable, SIGNATURE, strict=True)]
    columns = READER.csv(f"{','.join(NAMES)}\n{','.join(cells)}".encode()).columns
    assert [column[0] is None for column in columns] == nullable


def test_missing_text_may_be_written_as_nan():
    """Python clients write NaN for a gap in any column."""
    parsed = READER.json(b'{"dataframe_records": [' + json.dumps(GOOD | {"string may": math.nan}).encode() + b"]}")
    assert parsed.columns[NAMES.index("string may")] == [None]


def test_an_optional_column_that_was_not_sent_is_the_engines_affair_for_pyfunc():
    """MLflow hands such a frame to the model as it is; with every column there, pyfunc gets columns too."""
    reader = Reader(plan(engine="pyfunc"))
    whole = reader.json(json.dumps({"dataframe_records": [GOOD]}).encode())
    assert whole.call is None
    lacking = {name: value for name, value in GOOD.items() if name != "long may"}
    parsed = reader.json(json.dumps({"dataframe_records": [lacking]}).encode())
    assert parsed.call is not None
    assert "long may" not in frames.read(parsed.call, plan(engine="pyfunc")).columns


def test_a_matrix_of_a_certain_height_has_that_height():
    reader = Reader(plan((), TensorInput("float64", (2, 2))))
    assert reader.json(b'{"inputs": [[1, 2], [3, 4]]}').columns == [[1.0, 3.0], [2.0, 4.0]]
    assert refused({"inputs": [[1, 2]]}, reader) == ("", "Expected 2 rows.")


def test_one_column_may_be_a_plain_list():
    reader = Reader(plan((SignatureColumn("text", "string"),)))
    for body in (
        {"inputs": ["a", "b"]},
        {"instances": ["a", "b"]},
        {"inputs": {"text": ["a", "b"]}},
        {"dataframe_split": {"columns": ["text"], "data": ["a", "b"]}},
        {"dataframe_split": {"columns": ["text"], "data": [["a"], ["b"]]}},
        {"dataframe_records": [{"text": "a"}, {"text": "b"}]},
    ):
        assert list(map(list, reader.json(json.dumps(body).encode()).columns)) == [["a", "b"]]


# --- speed ---------------------------------------------------------------------------------------------------------------------


def test_usual_bodies_take_one_pass():
    """Columns in the signature's order and records of any order are decoded by msgspec alone, null and integers included."""
    row = list(GOOD.values())
    row[NAMES.index("integer may")] = 5  # an integral float takes the general way
    record = dict(zip(NAMES, row, strict=True))
    for body in (
        {"dataframe_split": {"columns": NAMES, "data": [row, row]}},
        {"dataframe_split": {"data": [row], "index": [0], "columns": NAMES}, "params": {"a": 1}},
        {"dataframe_records": [record, dict(reversed(record.items()))]},
        {"instances": [record | {"extra": [1, {"a": 2}]}]},
        {"inputs": {name: [value] for name, value in record.items()}},
        {"inputs": [record]},
    ):
        assert READER.exact(msgspec.json.encode(body)) is not None


def test_what_one_pass_reads_is_what_the_general_way_reads():
    row = [1, None, 2.5, 3, 4, 5, 6, 7, True, None, "ü", None, "2026-01-01T00:00:00+02:00", None, "YQ==", None]
    for body in (
        {"dataframe_split": {"columns": NAMES, "data": [row]}},
        {"dataframe_records": [dict(zip(NAMES, row, strict=True))]},
    ):
        text = msgspec.json.encode(body)
        exact, general = READER.exact(text), READER.general(invocations.parse_json(text))
        assert np.array_equal([list(column) for column in exact.columns], [list(column) for column in general.columns])
