"""The forms of a contract: document, signature, default answer."""

import json
from typing import Annotated, Literal

import msgspec
import pytest

import samovar as sv
from samovar.contracts import document, signature
from samovar.contracts.answers import default_response
from samovar.contracts.spec import ModelContract
from samovar.errors import ContractError


class Row(sv.Contract):
    """A row."""

    id: sv.Key[str]
    hour: Annotated[int, sv.Range(ge=0, le=23), sv.Doc("Hour of the day.")]
    amount: Annotated[float, sv.Range(gt=0)]
    plan: Literal["basic", "pro"]
    calls: int | None = None
    note: sv.Text | None


def _model(**options):
    return ModelContract(contract=Row.spec, response=default_response(Row.spec, (0, 1)), **options)


def test_a_contract_survives_its_document():
    contract = _model(project="p", target="y", classes=(0, 1), positive=1, threshold=0.3)
    assert document.load(document.dump(contract)) == contract
    assert document.dump(contract) == document.dump(document.load(document.dump(contract)))


def test_the_document_is_a_json_schema_of_the_row():
    schema = json.loads(document.dump(_model()))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["id", "hour", "amount", "plan", "note"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["hour"] == {"type": "integer", "minimum": 0, "maximum": 23, "description": "Hour of the day."}
    assert schema["properties"]["amount"] == {"type": "number", "exclusiveMinimum": 0}
    assert schema["properties"]["plan"]["enum"] == ["basic", "pro"]
    assert schema["properties"]["calls"]["type"] == ["integer", "null"]


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"x-samovar": {}}', b'{"x-samovar": 1}', b"\xff"])
def test_what_is_no_such_document_is_a_contract_error(data):
    with pytest.raises(ContractError, match="cannot be read"):
        document.load(data)


def test_the_digest_is_of_the_meaning_not_of_the_words():
    """A new description asks for no new dataset; a new bound does."""
    fields = tuple(msgspec.structs.replace(field, description="other") for field in Row.spec.fields)
    assert document.digest(msgspec.structs.replace(Row.spec, fields=fields)) == document.digest(Row.spec)
    stricter = tuple(msgspec.structs.replace(field, le=22.0) if field.name == "hour" else field for field in Row.spec.fields)
    assert document.digest(msgspec.structs.replace(Row.spec, fields=stricter)) != document.digest(Row.spec)


def test_the_signature_holds_the_features_and_never_the_key():
    assert signature.to_columns(Row.spec) == [
        {"name": "hour", "type": "long", "required": True},
        {"name": "amount", "type": "double", "required": True},
        {"name": "plan", "type": "string", "required": True},
        {"name": "calls", "type": "double", "required": False},
        {"name": "note", "type": "string", "required": False},
    ]


def test_the_signature_is_one_that_mlflow_reads():
    from mlflow.types import Schema

    assert Schema.from_json(json.dumps(signature.to_columns(Row.spec))).input_names() == ["hour", "amount", "plan", "calls", "note"]


def test_a_signature_makes_an_open_contract():
    contract = signature.from_columns("m", [{"name": "a b", "type": "float"}, {"name": "n", "type": "integer", "required": False}])
    assert [(field.name, field.dtype, field.may_be_null) for field in contract.fields] == [
        ("a b", "float", False),
        ("n", "int", True),
    ]


@pytest.mark.parametrize(
    "columns", [[], [{"type": "double"}], [{"name": "x", "type": "tensor"}], [{"name": "x", "type": "object"}]]
)
def test_a_signature_that_no_row_can_hold_is_a_contract_error(columns):
    with pytest.raises(ContractError):
        signature.from_columns("m", columns)


def test_the_default_answer_fits_the_number_of_classes():
    binary = [field.name for field in default_response(Row.spec, (0, 1)).fields]
    assert binary == ["id", "prediction", "probability", "confidence", "model_version", "prediction_time"]
    assert "probability" not in [field.name for field in default_response(Row.spec, ("a", "b", "c")).fields]
    number = {field.name: field.dtype for field in default_response(Row.spec, ()).fields}
    assert number["prediction"] == "float"
    assert "confidence" not in number


def test_no_two_fields_of_the_default_answer_have_one_name():
    class Odd(sv.Contract):
        prediction: sv.Key[int]
        x: float

    names = [field.name for field in default_response(Odd.spec, ("a", "b")).fields]
    assert len(set(names)) == len(names)
