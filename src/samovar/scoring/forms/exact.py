"""The usual bodies in one pass: msgspec decoders made from a signature.

They take a part of what `samovar.scoring.forms.shapes` takes and give the same columns. A body that they do not take is not refused
here: the general way reads it, or says what is wrong with it.
"""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import astuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.scoring.forms.layout import Layout

Columns = list["Sequence[Any]"]


class ExactReader:
    """Decodes bodies of one layout.

    Raises:
        ValueError: the layout is none that msgspec can decode in one pass.
    """

    def __init__(self, layout: Layout) -> None:
        if not layout.columns or layout.length is not None:
            raise ValueError("no columns, or a certain number of rows")
        try:
            self._decoder: Any = msgspec.json.Decoder(_body(layout))
        except (TypeError, ValueError) as error:  # two columns of one name
            raise ValueError("no plain columns") from error

    def read(self, body: bytes) -> tuple[Columns, dict[str, Any] | None] | None:
        """Return the columns and the params of a body; None when it must be read the general way."""
        try:
            sent = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        forms = [form for form in (sent.f0, sent.f1, sent.f2, sent.f3) if form is not UNSET]
        columns = _columns(forms[0]) if len(forms) == 1 else None
        return None if columns is None else (columns, sent.params)

    def row(self, body: bytes) -> Sequence[Any] | None:
        """Return the values of a body of one row without params; None for any other body."""
        try:
            sent = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if sent.params:
            return None
        split = sent.f0
        if split is not UNSET and split.index is None and len(split.data) == 1 and sent.f1 is sent.f2 is sent.f3 is UNSET:
            return split.data[0]  # type: ignore[no-any-return]
        forms = [form for form in (sent.f0, sent.f1, sent.f2, sent.f3) if form is not UNSET]
        columns = _columns(forms[0]) if len(forms) == 1 else None
        return None if columns is None or len(columns[0]) != 1 else [column[0] for column in columns]


def _columns(form: Any) -> Columns | None:
    """Return the columns of what one form was decoded to; None when it has no rows, or columns of different lengths."""
    if isinstance(form, _Split):
        index: Any = form.index  # type: ignore[attr-defined]
        form = form.data  # type: ignore[attr-defined]
        if index is not None and len(index) != len(form):
            return None
    if isinstance(form, list):
        if not form:
            return None
        if isinstance(form[0], _Record):
            form = list(map(astuple, form))
        return list(zip(*form, strict=True)) if isinstance(form[0], tuple) else [form]
    columns = list(astuple(form))
    length = len(columns[0])
    return columns if length and all(len(column) == length for column in columns) else None


class _Split(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """``dataframe_split``; the fields are the layout's."""


class _Record(msgspec.Struct, gc=False):
    """A row by names."""


class _Mapping(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Columns by names."""


def _body(layout: Layout) -> Any:
    """Make the struct of a body: exactly one form, and params."""
    row = _rows_of(*(kind.exact for kind in layout.kinds))
    rows = _list(layout.kinds[0].exact if layout.texts else row)
    types = _named(layout, row) if layout.named else (_split(layout, row), UnsetType, rows, rows)
    names = ("dataframe_split", "dataframe_records", "instances", "inputs")
    fields: list[Any] = [(f"f{index}", kind | UnsetType, UNSET) for index, kind in enumerate(types)]
    rename = {f"f{index}": name for index, name in enumerate(names)}
    return msgspec.defstruct("Body", [*fields, ("params", dict[str, Any] | None, None)], rename=rename, gc=False)


def _list(kind: Any) -> Any:
    return GenericAlias(list, (kind,))


def _rows_of(*kinds: Any) -> Any:
    return GenericAlias(tuple, kinds)


def _named(layout: Layout, row: Any) -> tuple[Any, ...]:
    record = _struct("Record", layout, _Record, [kind.exact for kind in layout.kinds])
    mapping = _struct("Mapping", layout, _Mapping, [_list(kind.exact) for kind in layout.kinds])
    rows = _list(layout.kinds[0].exact) if len(layout.kinds) == 1 else _list(record)
    return _split(layout, row), _list(record), rows, rows | mapping


def _struct(name: str, layout: Layout, base: Any, types: list[Any]) -> Any:
    """Make a struct whose attributes are f0, f1, ... because a column's name need not be an identifier."""
    fields: list[Any] = []
    for index, (column, kind) in enumerate(zip(layout.columns, types, strict=True)):
        optional = base is _Record and layout.fills and not column.required
        fields.append((f"f{index}", kind, None) if optional else (f"f{index}", kind))
    rename = {f"f{index}": column.name for index, column in enumerate(layout.columns)}
    return msgspec.defstruct(name, fields, bases=(base,), rename=rename, kw_only=True, gc=False)


def _split(layout: Layout, row: Any) -> Any:
    """Rows whose columns are the layout's, in its order; without names, rows of its width with whatever names."""
    if layout.named:
        columns: Any = ("columns", _rows_of(*(Literal[column.name] for column in layout.columns)))
    else:
        columns = ("columns", _rows_of(*[str | int | float] * len(layout.columns)) | None, None)
    fields = [columns, ("data", _list(row)), ("index", list[Any] | None, None)]
    return msgspec.defstruct("Split", fields, bases=(_Split,), kw_only=True, gc=False)
