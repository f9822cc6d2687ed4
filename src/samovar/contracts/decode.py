"""JSON bodies straight into a contract's rows: the decoding is the validation.

msgspec decodes into a struct made from the contract. Its own messages may hold a submitted value or an unknown field's name, so
none of them leaves this module: the path is read from them, and the sentence comes from the contract.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta
from msgspec.structs import astuple

from samovar.contracts.words import expected
from samovar.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.contracts.spec import ContractSpec, FieldSpec

_INT64 = (-(2**63), 2**63 - 1)
_EXACT = 2.0**53  # beyond it a float no longer says which integer it means

_PATH = re.compile(r"^`\$(?:\.rows)?(?:\[(?P<row>\d+)\])?(?:\.(?P<field>.*))?`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<field>.*?)`(?: - at `\$[^`]*`)?$", re.DOTALL)
_UNKNOWN = "Object contains unknown field"


class _Refused(Exception):
    """A value that the struct let through breaks its field.

    Attributes:
        field: the field's position.
        row: the row's position.
    """

    def __init__(self, field: int = 0) -> None:
        self.field = field
        self.row: int | None = None


class _Reader:
    """Decoders of one struct.

    Args:
        contract: the row.
        exact: whether only values are taken that need no change: integers written as integers. It is faster, and refuses more.
    """

    def __init__(self, contract: ContractSpec, *, exact: bool) -> None:
        row = _struct(contract, exact=exact)
        rows = msgspec.defstruct("Rows", [("rows", list[row])], forbid_unknown_fields=True)  # type: ignore[valid-type]
        self.one: Any = msgspec.json.Decoder(row).decode
        self.list: Any = msgspec.json.Decoder(list[row]).decode  # type: ignore[valid-type]
        self.wrapped: Any = msgspec.json.Decoder(rows).decode
        finishers = [(index, _finisher(field, exact=exact)) for index, field in enumerate(contract.fields)]
        self._finish = tuple((index, finish) for index, finish in finishers if finish is not None)
        self.values: Callable[[Any], Sequence[Any]] = self._finished if self._finish else astuple

    def _finished(self, decoded: Any) -> Sequence[Any]:
        row = list(astuple(decoded))
        for index, finish in self._finish:
            if (value := row[index]) is not None:
                try:
                    row[index] = finish(value)
                except _Refused:
                    raise _Refused(index) from None
        return row


class RowDecoder:
    """Decodes request bodies into rows of one contract.

    Args:
        contract: what a row must look like.
    """

    def __init__(self, contract: ContractSpec) -> None:
        self.contract = contract
        self._names = tuple(field.name for field in contract.fields)
        self._fields = {field.name: field for field in contract.fields}
        self._exact = _Reader(contract, exact=True)
        self._full = _Reader(contract, exact=False)

    def one(self, body: bytes) -> dict[str, Any]:
        """Decode one row, a JSON object, by field names; raises as ``values``."""
        return dict(zip(self._names, self.values(body), strict=True))

    def many(self, body: bytes) -> list[dict[str, Any]]:
        """Decode rows by field names; takes and raises what ``rows`` does."""
        return [dict(zip(self._names, row, strict=True)) for row in self.rows(body)]

    def values(self, body: bytes) -> Sequence[Any]:
        """Decode one row, a JSON object, into the fields' values in order; null, or what was left out, is None.

        Raises:
            RequestError: the body is no such row; ``path`` names the contract's field, the message what was expected.
        """
        try:  # what most clients send: one pass, and nothing left to do
            return self._exact.values(self._exact.one(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, _Refused):
            pass
        try:
            return self._full.values(self._full.one(body))
        except _Refused as refused:
            raise self._error(self._names[refused.field], "") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._refuse(error)

    def rows(self, body: bytes) -> list[Sequence[Any]]:
        """Decode rows: a JSON array of objects, or ``{"rows": [...]}``.

        Raises:
            RequestError: as ``values``; the path starts with ``rows[<index>]``.
        """
        wrapped = body.lstrip()[:1] == b"{"
        try:
            return self._rows(self._exact, body, wrapped=wrapped)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, _Refused):
            pass
        try:
            return self._rows(self._full, body, wrapped=wrapped)
        except _Refused as refused:
            raise self._error(self._names[refused.field], _prefix(refused.row)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._refuse(error, many=True)

    def _rows(self, reader: _Reader, body: bytes, *, wrapped: bool) -> list[Sequence[Any]]:
        decoded = reader.wrapped(body).rows if wrapped else reader.list(body)
        if not decoded:
            raise RequestError("Expected at least one row.", path="rows")
        rows = []
        for index, row in enumerate(decoded):
            try:
                rows.append(reader.values(row))
            except _Refused as refused:
                refused.row = index
                raise
        return rows

    def _refuse(self, error: Exception, *, many: bool = False) -> NoReturn:
        if not isinstance(error, msgspec.ValidationError):
            raise RequestError("The body is not valid JSON.", remedy="Send one UTF-8 JSON document.") from None
        text = str(error)
        where = _PATH.match(text.rpartition(" - at ")[2])
        row = where["row"] if where else None
        prefix = _prefix(int(row)) if many and row is not None else ""
        missing = _MISSING.match(text)
        if missing and missing["field"] in self._fields:
            raise self._error(missing["field"], prefix, "This field is missing; expected") from None
        # Anything that is not a contract's field name may be the caller's own text: it is not repeated.
        name = where["field"] if where else None
        if name in self._fields and not text.startswith(_UNKNOWN):
            raise self._error(name, prefix) from None
        raise RequestError(self._about_object(text, prefix, many=many), path=prefix or ("rows" if many else "")) from None

    def _about_object(self, text: str, prefix: str, *, many: bool) -> str:
        if many and not prefix:
            return 'Expected a JSON array of rows, or {"rows": [...]}.'
        if text.startswith(_UNKNOWN):
            return f"Unknown field; {self.contract.name} has {', '.join(self._names)}."
        return f"Expected a JSON object with the fields {', '.join(self._names)}."

    def _error(self, name: str, prefix: str, words: str = "Expected") -> RequestError:
        return RequestError(f"{words} {expected(self._fields[name])}.", path=f"{prefix}.{name}" if prefix else name)


def _prefix(index: int | None) -> str:
    return "" if index is None else f"rows[{index}]"


def _struct(contract: ContractSpec, *, exact: bool) -> Any:
    """Make the struct; attributes are f0, f1, ... because a column's name need not be an identifier."""
    fields: list[Any] = []
    for index, field in enumerate(contract.fields):
        kind = _type(field, exact=exact)
        if field.may_be_null:
            kind = kind | None
        fields.append((f"f{index}", kind) if field.required else (f"f{index}", kind, None))
    rename = {f"f{index}": field.name for index, field in enumerate(contract.fields)}
    return msgspec.defstruct("Row", fields, rename=rename, forbid_unknown_fields=True, kw_only=True, gc=False)


def _type(field: FieldSpec, *, exact: bool) -> Any:
    match field.dtype:
        case "int":
            whole: Any = Annotated[int, _int_bounds(field)]
            return whole if exact else whole | Annotated[float, Meta(ge=-_EXACT, le=_EXACT)]
        case "float":
            return Annotated[float, _float_bounds(field)]
        case "bool":
            return bool
        case "datetime":
            return dt.datetime
        case "str" if field.choices is not None:
            return Literal[field.choices]
        case "str":
            return str if field.max_length is None else Annotated[str, Meta(max_length=field.max_length)]


def _int_bounds(field: FieldSpec) -> Meta:
    low = [_INT64[0], *([math.ceil(field.ge)] if field.ge is not None else [])]
    low += [math.floor(field.gt) + 1] if field.gt is not None else []
    high = [_INT64[1], *([math.floor(field.le)] if field.le is not None else [])]
    high += [math.ceil(field.lt) - 1] if field.lt is not None else []
    return Meta(ge=max(low), le=min(high))


def _float_bounds(field: FieldSpec) -> Meta:
    """Of an inclusive and an exclusive bound on one side, the stricter holds (the exclusive one when they are equal)."""
    bounds: dict[str, Any] = {}
    if field.gt is not None and (field.ge is None or field.gt >= field.ge):
        bounds["gt"] = field.gt
    elif field.ge is not None:
        bounds["ge"] = field.ge
    if field.lt is not None and (field.le is None or field.lt <= field.le):
        bounds["lt"] = field.lt
    elif field.le is not None:
        bounds["le"] = field.le
    meta: Meta = Meta(**bounds)
    return meta


def _finisher(field: FieldSpec, *, exact: bool) -> Callable[[Any], Any] | None:
    """Return what is left to do with a decoded value, None where nothing is."""
    match field.dtype:
        case "int" if exact and field.choices is None:
            return None
        case "int":
            bounds = _int_bounds(field)
            return _integer(bounds.ge, bounds.le, frozenset(field.choices) if field.choices is not None else None)
        case "bool" if field.choices is not None:
            return _member(frozenset(field.choices))
        case "datetime":
            return _utc
        case _:
            return None


def _integer(low: Any, high: Any, choices: frozenset[Any] | None) -> Callable[[Any], Any]:
    def finish(value: Any) -> Any:
        if type(value) is float:
            if not value.is_integer() or not low <= value <= high:
                raise _Refused
            value = int(value)
        if choices is not None and value not in choices:
            raise _Refused
        return value

    return finish


def _member(choices: frozenset[Any]) -> Callable[[Any], Any]:
    def finish(value: Any) -> Any:
        if value not in choices:
            raise _Refused
        return value

    return finish


def _utc(value: dt.datetime) -> dt.datetime:
    """A time without a zone is UTC, as in every frame."""
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
