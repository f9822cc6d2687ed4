"""The signature at the door of ``/invocations``."""

import pytest

from samovar.errors import RequestError
from samovar.scoring.engine import Call, open_engine
from samovar.scoring.forms.reader import Reader
from samovar.scoring.load import load_plan

SECRET = "SECRET-VALUE"
ROW = {"amount": 10.5, "hour": 3, "member": True, "category": "fuel"}


class Asked:
    """A model behind its reader."""

    def __init__(self, plan):
        self.reader, self.engine = Reader(plan), open_engine(plan)

    def invoke(self, call):
        parsed = self.reader.csv(call.data.encode()) if call.form == "csv" else self.reader.general(call)
        return self.engine.invoke(parsed.call) if parsed.call else self.engine.predict(parsed.columns)


@pytest.fixture(scope="module")
def forest(logged):
    return Asked(load_plan(logged("forest").files, "forest", 1))


def ask(engine, *rows, form="dataframe_records"):
    return engine.invoke(Call(form, [ROW | row for row in rows]))


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"amount": SECRET}, "amount"),
        ({"amount": "10.5"}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": [1.0]}, "amount"),
        ({"amount": {"a": 1}}, "amount"),
        ({"hour": 1.5}, "hour"),
        ({"hour": None}, "hour"),
        ({"hour": 10**30}, "hour"),
        ({"hour": SECRET}, "hour"),
        ({"member": "false"}, "member"),
        ({"member": 1}, "member"),
        ({"member": None}, "member"),
        ({"category": 5}, "category"),
        ({"category": [SECRET]}, "category"),
    ],
)
def test_a_wrong_type_names_its_column_and_nothing_else(forest, row, field):
    """A cast that changes the value is refused, and the message never holds what was sent."""
    for rows, path in (([row], field), ([{}, row], f"rows[1].{field}")):
        with pytest.raises(RequestError, match="Expected") as caught:
            ask(forest, *rows)
        assert caught.value.path == path
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "row", [{"amount": 10}, {"amount": None}, {"hour": 3.0}, {"category": "unheard of"}, {"extra": {"any": SECRET}}]
)
def test_harmless_differences_are_taken(forest, row):
    """Integers for doubles, integral floats for integers, gaps in doubles, unknown categories, extra columns."""
    assert ask(forest, row)[0] in (0, 1)


def test_an_optional_column_may_be_left_out(forest):
    """A column that had gaps when the model was logged is optional, and absent means missing."""
    row = {name: value for name, value in ROW.items() if name != "amount"}
    assert forest.invoke(Call("dataframe_records", [row])) == ask(forest, {"amount": None})


@pytest.mark.parametrize("missing", ["category", "hour", "member"])
def test_a_missing_column_is_named(forest, missing):
    """The column is named and its type is said."""
    row = {name: value for name, value in ROW.items() if name != missing}
    with pytest.raises(RequestError, match="missing; expected") as caught:
        forest.invoke(Call("dataframe_records", [row]))
    assert caught.value.path == missing


@pytest.mark.parametrize(
    "call",
    [
        Call("dataframe_split", [1]),
        Call("dataframe_split", {"data": [[1]], SECRET: 1}),
        Call("dataframe_split", {"columns": ["a", "b"], "data": [[1]]}),
        Call("dataframe_split", {"columns": ["hour", "hour"], "data": [[1, 2]]}),
        Call("dataframe_records", {SECRET: 1}),
        Call("dataframe_records", []),
        Call("dataframe_records", [SECRET]),
        Call("instances", []),
        Call("instances", SECRET),
        Call("inputs", []),
        Call("inputs", {"hour": [1, 2], "amount": [1.0]}),
        Call("inputs", None),
        Call("csv", ""),
        Call("csv", "a,b\n1\n2,3,4,5"),
    ],
)
def test_a_malformed_table_is_refused(forest, call):
    """Every malformed form ends as the client's error, without an echo."""
    with pytest.raises(RequestError) as caught:
        forest.invoke(call)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "data", [[[1.0, 2.0]], [[1.0, 2.0, 3.0, SECRET]], [1.0, 2.0, 3.0, 4.0], [[1, 2, 3, 4], [1]], [["1", "2", "3", "4"]]]
)
def test_an_array_of_another_shape_or_type_is_refused(logged, data):
    engine = Asked(load_plan(logged("tensor").files, "tensor", 1))
    with pytest.raises(RequestError) as caught:
        engine.invoke(Call("inputs", data))
    assert SECRET not in str(caught.value)


def test_a_gap_that_the_model_cannot_take_is_the_clients(logged):
    """A double may be null by signature; when the model then refuses it, the column is named."""
    engine = Asked(load_plan(logged("logreg").files, "iris", 1))
    rows = [dict.fromkeys(logged("logreg").frame.columns, 1.0) | {"petal width (cm)": None}]
    with pytest.raises(RequestError, match="takes no missing") as caught:
        engine.invoke(Call("dataframe_records", rows))
    assert caught.value.path == "petal width (cm)"


def test_a_model_without_a_signature_judges_for_itself(logged):
    """What a bare model cannot take is the client's error, not the endpoint's."""
    engine = Asked(load_plan(logged("bare").files, "bare", 1))
    assert engine.invoke(Call("inputs", [[5.1, 3.5, 1.4, 0.2]])) == [0]
    with pytest.raises(RequestError):
        engine.invoke(Call("inputs", [[5.1]]))
    with pytest.raises(RequestError) as caught:
        engine.invoke(Call("dataframe_records", [{SECRET: None, "b": 1, "c": 1, "d": 1}]))
    assert SECRET not in str(caught.value) + caught.value.path
