"""A contract as a document: JSON Schema 2020-12 of the row, with the whole `ModelContract` inside.

People and tools read the schema; an endpoint reads ``x-samovar``. The file is ``data_contract/input_schema.json`` of a version.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from samovar.contracts.spec import ContractSpec, ModelContract
from samovar.errors import ContractError

if TYPE_CHECKING:
    from samovar.contracts.spec import AnswerField, FieldSpec

T = TypeVar("T", ContractSpec, ModelContract)

PATH = "data_contract/input_schema.json"
"""Where the document lives inside a model's folder."""

_EXTENSION = "x-samovar"

_TYPES: dict[str, dict[str, Any]] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
}

_BOUNDS = (("ge", "minimum"), ("gt", "exclusiveMinimum"), ("le", "maximum"), ("lt", "exclusiveMaximum"))


def dump(contract: ModelContract) -> bytes:
    """Write the document; the same contract gives the same bytes."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **row_schema(contract.contract),
        _EXTENSION: msgspec.to_builtins(_canonical(contract)),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def load(data: bytes) -> ModelContract:
    """Read what ``dump`` wrote.

    Raises:
        ContractError: the bytes are no such document.
    """
    try:
        document = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        return msgspec.json.decode(document[_EXTENSION], type=ModelContract)
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError) as error:
        raise ContractError(
            f"The contract document cannot be read ({type(error).__name__}).",
            remedy=f"Log the file {PATH} as Samovar wrote it, or leave it out to serve by the signature.",
        ) from None


def digest(contract: ContractSpec) -> str:
    """Return the SHA-256 of what the contract means; descriptions do not count."""
    bare = msgspec.structs.replace(
        contract, description="", fields=tuple(msgspec.structs.replace(field, description="") for field in contract.fields)
    )
    return hashlib.sha256(msgspec.json.encode(_canonical(bare), order="deterministic")).hexdigest()


def _canonical(spec: T) -> T:
    """Return the spec as it is after a journey through JSON: a bound written as 0 is 0.0, and both are one contract."""
    return msgspec.convert(msgspec.to_builtins(spec), type(spec))


def row_schema(contract: ContractSpec) -> dict[str, Any]:
    """Return the JSON Schema of one row."""
    schema: dict[str, Any] = {
        "title": contract.name,
        "type": "object",
        "properties": {field.name: field_schema(field) for field in contract.fields},
        "required": [field.name for field in contract.fields if field.required],
        "additionalProperties": False,
    }
    return {**schema, "description": contract.description} if contract.description else schema


def field_schema(field: FieldSpec) -> dict[str, Any]:
    """Return the JSON Schema of one value."""
    schema = dict(_TYPES[field.dtype])
    if field.choices is not None:
        schema["enum"] = [*field.choices, *([None] if field.may_be_null else [])]
    schema |= {word: _plain(bound) for name, word in _BOUNDS if (bound := getattr(field, name)) is not None}
    if field.max_length is not None:
        schema["maxLength"] = field.max_length
    if field.may_be_null:
        schema["type"] = [schema["type"], "null"]
    words = field.description or (f"Computed from {' and '.join(field.of)}; may be left out." if field.computed else "")
    return {**schema, "description": words} if words else schema


def answer_schema(field: AnswerField) -> dict[str, Any]:
    """Return the JSON Schema of one field of an answer."""
    schema = dict(_TYPES[field.dtype])
    return {**schema, "description": field.description} if field.description else schema


def _plain(bound: float) -> float:
    """Write 23 rather than 23.0."""
    return int(bound) if float(bound).is_integer() else bound
