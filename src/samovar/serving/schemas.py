"""JSON Schema of what ``/invocations`` and the Open Inference Protocol take and give, from a plan's signature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.scoring.forms.kinds import inputs_of, is_texts, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from samovar.scoring.plan import ScorerPlan, SignatureColumn

Schema = dict[str, Any]

_VALUES: dict[str, Schema] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"type": "number"},
    "double": {"type": "number"},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "datetime": {"type": "string", "format": "date-time"},
}

_RECORDS = "A list of records, one a row."
_SPLIT = "Columns in any order; more than the model's own are ignored. MLflow's usual form, and the fastest in the order shown."


def forms(plan: ScorerPlan) -> Schema:
    """Return the schema of a JSON body of ``/invocations``: one of the forms, and params."""
    columns = inputs_of(plan) if plan.signature or plan.tensor is not None else ()
    if not columns:
        loose: Schema = {"description": "The model has no signature of plain columns: it judges for itself."}
        return _any_of(dict.fromkeys(("dataframe_split", "dataframe_records", "instances", "inputs"), loose), plan)
    row = _row(columns)
    rows = {"type": "array", "items": row, "minItems": 1}
    split = _split(columns, rows)
    if not columns[0].name:
        rows = {"type": "array", "items": _value(columns[0]), "minItems": 1} if is_texts(plan.tensor) else rows
        return _any_of({"dataframe_split": split, "instances": rows, "inputs": rows}, plan)
    records = {"type": "array", "items": _record(columns), "minItems": 1, "description": _RECORDS}
    if len(columns) == 1:
        single = {"type": "array", "items": _value(columns[0]), "minItems": 1}
        return _any_of({"dataframe_split": split, "dataframe_records": records, "instances": single, "inputs": single}, plan)
    return _any_of({"dataframe_split": split, "dataframe_records": records, "instances": records, "inputs": records}, plan)


def infer(plan: ScorerPlan) -> Schema:
    """Return the schema of a request of the Open Inference Protocol."""
    names = [column.name for column in inputs_of(plan) if column.name]
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string"} | ({"examples": names} if names else {}),
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
            "datatype": {"type": "string", "examples": ["FP64", "INT64", "BOOL", "BYTES"]},
            "parameters": {"type": "object"},
            "data": {"type": "array"},
        },
    }
    output = {"type": "object", "required": ["name"], "properties": {"name": {"enum": ["labels", "probabilities"]}}}
    return {
        "type": "object",
        "description": "One input for each column, of the shape [n], or one matrix.",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "items": tensor, "minItems": 1},
            "outputs": {"type": "array", "items": output},
        },
    }


def inferred() -> Schema:
    """Return the schema of an answer of the Open Inference Protocol."""
    output = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"type": "string"},
            "shape": {"type": "array"},
            "data": {"type": "array"},
        },
    }
    properties = {"model_name": {"type": "string"}, "model_version": {"type": "string"}, "id": {"type": "string"}}
    return {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {**properties, "parameters": {"type": "object"}, "outputs": {"type": "array", "items": output}},
    }


def _any_of(forms: Mapping[str, Schema], plan: ScorerPlan) -> Schema:
    params = {"type": ["object", "null"], "properties": {name: {"default": default} for name, default in plan.params.items()}}
    found = [{"type": "object", "required": [name], "properties": {name: form, "params": params}} for name, form in forms.items()]
    return {"description": "Exactly one of the forms, and params if the model has any.", "anyOf": found}


def _value(column: SignatureColumn) -> Schema:
    schema = dict(_VALUES[column.type])
    if kind_of(column).null:
        schema["type"] = [schema["type"], "null"]
    return schema


def _record(columns: tuple[SignatureColumn, ...]) -> Schema:
    required = [column.name for column in columns if column.required]
    return {"type": "object", "properties": {column.name: _value(column) for column in columns}, "required": required}


def _row(columns: tuple[SignatureColumn, ...]) -> Schema:
    width = len(columns)
    schema: Schema = {"type": "array", "minItems": width, "maxItems": width}
    if all(column.type == columns[0].type for column in columns):
        return {**schema, "items": _value(columns[0])}
    return {**schema, "prefixItems": [_value(column) for column in columns]}


def _split(columns: tuple[SignatureColumn, ...], rows: Schema) -> Schema:
    names = [column.name for column in columns]
    schema: Schema = {"type": "object", "required": ["data"], "properties": {"data": rows}, "additionalProperties": False}
    if names[0]:
        schema["properties"]["columns"] = {"const": names, "type": "array"}
        schema |= {"required": ["columns", "data"], "description": _SPLIT}
    return schema
