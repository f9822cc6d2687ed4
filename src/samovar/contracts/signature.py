"""A contract and MLflow's column signature: each made from the other, as plain JSON, without mlflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.contracts.spec import ContractSpec, Dtype, FieldSpec
from samovar.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

_TO_MLFLOW: dict[Dtype, str] = {"int": "long", "float": "double", "str": "string", "bool": "boolean", "datetime": "datetime"}

_FROM_MLFLOW: dict[str, Dtype] = {
    "integer": "int",
    "long": "int",
    "float": "float",
    "double": "float",
    "string": "str",
    "boolean": "bool",
    "datetime": "datetime",
}


def to_columns(contract: ContractSpec) -> list[dict[str, Any]]:
    """Return the features (never the key) as MLflow ``ColSpec`` JSON, in order."""
    return [{"name": field.name, "type": column_type(field), "required": not field.may_be_null} for field in contract.features]


def column_type(field: FieldSpec) -> str:
    """Return MLflow's name of the field's type.

    An integer that may be missing is a ``double``: pandas holds such a column as floats, which MLflow refuses for ``long``.
    """
    return "double" if field.dtype == "int" and field.may_be_null else _TO_MLFLOW[field.dtype]


def from_columns(name: str, columns: Sequence[dict[str, Any]]) -> ContractSpec:
    """Make an open contract (names and types, no bounds) from a signature's columns.

    Raises:
        ContractError: there are no columns, a column has no name, or a type that a row of scalars cannot hold.
    """
    if not columns:
        raise ContractError(f"The signature of {name} has no columns.", remedy="Log the model with a column-based signature.")
    return ContractSpec(name=name, fields=tuple(_field(name, column) for column in columns))


def _field(model: str, column: dict[str, Any]) -> FieldSpec:
    column_name, kind = column.get("name"), column.get("type")
    if not column_name or not isinstance(column_name, str):
        raise ContractError(f"The signature of {model} has a column without a name.", remedy="Log the model with a named frame.")
    if kind not in _FROM_MLFLOW:
        raise ContractError(
            f"Column {column_name!r} of {model} has the type {kind}, which typed requests cannot hold.",
            remedy="Ask the model through /invocations.",
        )
    required = bool(column.get("required", True))
    return FieldSpec(name=column_name, dtype=_FROM_MLFLOW[kind], nullable=not required, required=required)
