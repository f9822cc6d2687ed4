"""What each of MLflow's column types takes: from JSON, from a CSV cell, and as a type that msgspec decodes in one pass.

A value is refused rather than changed: ``"1.5"`` is no number, 1.7 no integer, ``"false"`` no boolean. Integers are taken for
doubles and integral floats for integers, as MLflow's scoring server does, as far as a float says which integer it means.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from samovar.contracts.signature import column_type
from samovar.scoring.plan import SignatureColumn

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.scoring.plan import ScorerPlan, TensorInput

WORDS = {
    "boolean": "true or false",
    "integer": "a 32-bit integer",
    "long": "an integer",
    "float": "a number",
    "double": "a number",
    "string": "a string",
    "binary": "base64 text",
    "datetime": "an ISO 8601 time",
}
"""What each of MLflow's column types takes, in words."""

REFUSALS = (ValueError, TypeError, OverflowError, binascii.Error)
"""What the functions of a `Kind` raise for a value that they do not take."""

_TENSORS = {"float64": "double", "float32": "float", "int64": "long", "int32": "integer", "bool": "boolean"}

_TEXTS = frozenset({"str", "object"})

_NULLABLE = frozenset({"double", "float", "string", "datetime"})
"""Types whose columns hold gaps in pandas too, so that MLflow takes null in them whether or not the column is optional."""

_EXACT = 2.0**53  # beyond it a float no longer says which integer it means
_YEARS = range(1678, 2262)  # what 64 bits of nanoseconds hold

_GAPS = frozenset(
    [
        "",
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
    ],
)
"""Cells that pandas reads as missing, and with it MLflow's server."""

_BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of one column are read. Null is None.

    Attributes:
        words: what is expected.
        null: whether null is taken.
        exact: a type for msgspec that takes a part of what ``value`` takes, unchanged.
        value: a JSON value into the column's value; raises one of ``REFUSALS``.
        cell: a CSV cell into the column's value; raises one of ``REFUSALS``.
        finish: whether a value of the type ``exact`` must still go through ``value``.
    """

    words: str
    null: bool
    exact: Any
    value: Callable[[Any], Any]
    cell: Callable[[str], Any]
    finish: bool = False


def inputs_of(plan: ScorerPlan) -> tuple[SignatureColumn, ...]:
    """Return the plain columns that a plan's engine takes, in order; empty when its input is something else.

    A matrix has columns without names. A model that was logged with a contract and without a signature has the contract's features.
    """
    if plan.tensor is not None:
        shape, kind = plan.tensor.shape, _TENSORS.get(plan.tensor.dtype)
        if is_texts(plan.tensor):
            return (SignatureColumn("", "string"),)
        if kind is None or len(shape) != 2 or shape[1] < 1:
            return ()
        return tuple(SignatureColumn("", kind) for _ in range(shape[1]))
    if plan.signature:
        return plan.signature
    return tuple(
        SignatureColumn(field.name, column_type(field), not field.may_be_null) for field in plan.contract.contract.features
    )


def is_texts(tensor: TensorInput | None) -> bool:
    """Tell whether a model takes a list of texts, as vectorizers do."""
    return tensor is not None and len(tensor.shape) == 1 and tensor.dtype in _TEXTS


def kind_of(column: SignatureColumn) -> Kind:
    """Return how the column's values are read."""
    null = column.type in _NULLABLE or not column.required
    value, cell = _READERS[column.type]
    bounds = {"integer": 2**31, "long": 2**63}
    exact: Any = _EXACTLY.get(column.type, str)
    if bound := bounds.get(column.type):
        exact = Annotated[int, Meta(ge=-bound, le=bound - 1)]
    words = f"{WORDS[column.type]} or null" if null else WORDS[column.type]
    finish = column.type in ("binary", "datetime")
    if not null:
        return Kind(words, null, exact, value, _solid(cell), finish)
    return Kind(words, null, exact | None, _or_null(value), _or_gap(cell), finish)


def _or_null(value: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda given: None if given is None or given != given else value(given)  # noqa: PLR0124 - NaN is null too


def _or_gap(cell: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text in _GAPS else cell(text)


def _solid(cell: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if text in _GAPS:
            raise ValueError
        return cell(text)

    return read


def _number(value: Any) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    raise ValueError


def _number_cell(text: str) -> float | None:
    number = float(_plain(text))
    return None if number != number else number  # noqa: PLR0124 - NaN, however it is written


def _plain(text: str) -> str:
    """Return the text of a number; Python would take more than others do (``1_000``, other digits)."""
    if "_" in text or not text.isascii():
        raise ValueError
    return text.strip()


def _integer(bound: int) -> tuple[Callable[[Any], int], Callable[[str], int]]:
    def value(given: Any) -> int:
        if type(given) is float and given.is_integer() and -_EXACT <= given <= _EXACT:
            given = int(given)
        if type(given) is not int or not -bound <= given < bound:
            raise ValueError
        return given

    def cell(text: str) -> int:
        text = _plain(text)
        try:
            return value(int(text))
        except ValueError:
            return value(float(text))

    return value, cell


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise ValueError


def _boolean_cell(text: str) -> bool:
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    raise ValueError


def _string(value: Any) -> str:
    if type(value) is not str:
        raise ValueError
    if not value.isascii():
        value.encode()  # half of a surrogate pair is no text; UnicodeEncodeError is a ValueError
    return value


def _binary(value: Any) -> bytes:
    return base64.b64decode(_string(value).replace("\n", ""), validate=True)


def _datetime(value: Any) -> dt.datetime:
    """Return the time in UTC; without a zone it is UTC already, as everywhere in Samovar."""
    time = dt.datetime.fromisoformat(_string(value))
    time = time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)
    if time.year not in _YEARS:
        raise ValueError
    return time


_EXACTLY: dict[str, Any] = {"double": float, "float": float, "boolean": bool, "string": str}

_READERS: dict[str, tuple[Callable[[Any], Any], Callable[[str], Any]]] = {
    "boolean": (_boolean, _boolean_cell),
    "integer": _integer(2**31),
    "long": _integer(2**63),
    "float": (_number, _number_cell),
    "double": (_number, _number_cell),
    "string": (_string, _string),
    "binary": (_binary, _binary),
    "datetime": (_datetime, _datetime),
}
