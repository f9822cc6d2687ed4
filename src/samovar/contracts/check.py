"""A frame against a contract: which rows may be used, and why the others may not.

Values are brought to the contract's types only where nothing is lost (an integral float is an integer, ``"12"`` from a CSV file
is a number, 12.5 is no integer). A cell that does not fit rejects its row; a reason names what was expected, never the value.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from samovar import texts
from samovar.contracts.words import expected
from samovar.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.contracts.spec import ContractSpec, Dtype, FieldSpec, Scalar

DTYPES: dict[Dtype, pl.DataType] = {
    "int": pl.Int64(),
    "float": pl.Float64(),
    "str": pl.String(),
    "bool": pl.Boolean(),
    "datetime": pl.Datetime("us", "UTC"),
}
"""Physical type of each logical type, in every frame that left ``check``."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one cell keeps its row out.

    Attributes:
        row_index: position in the checked frame, from 0.
        field: column that does not fit.
        reason: what was expected.
    """

    row_index: int
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of a check.

    Attributes:
        accepted: rows that fit: the contract's fields, the target and the time, in this order, in the types of ``DTYPES``.
        rejected: one entry per cell that does not fit, by row, then by column.
        mismatches: computed field -> rows in which the source said something else than the texts; their values are replaced.
    """

    accepted: pl.DataFrame
    rejected: tuple[Rejection, ...]
    mismatches: dict[str, int] = field(default_factory=dict)

    @property
    def bad_rows(self) -> int:
        """How many rows were rejected."""
        return len({rejection.row_index for rejection in self.rejected})


@dataclass(frozen=True, slots=True)
class _Column:
    """A column brought to its type, with the reason that each refused row gets."""

    values: pl.Series
    refused: dict[str, pl.Series]  # reason -> boolean mask


def check(  # noqa: PLR0913 - the roles that a column can have
    frame: pl.DataFrame,
    contract: ContractSpec,
    *,
    target: str | None,
    time: str | None = None,
    classes: Sequence[Scalar] | None = None,
    carried: Sequence[str] = (),
) -> Checked:
    """Sort the rows of ``frame`` into those that fit the contract and those that do not.

    Args:
        frame: rows as a source gave them; columns beyond contract, target, time and ``carried`` are left out.
        contract: what a row must look like.
        target: label column; a row without a label is rejected. None for rows that have none.
        time: event-time column, if the project names one.
        classes: labels that are allowed; None leaves the set open.
        carried: further columns to keep, as text; null is allowed in them.

    Raises:
        DataError: a column is missing from the whole frame.
    """
    _require_columns(frame, contract, target, time, carried)
    names = {field.name for field in contract.fields}
    columns = {field.name: _checked_column(frame, field) for field in contract.fields}
    if target is not None:
        columns[target] = _labels(frame[target], classes)
    if time is not None and time not in names:
        columns[time] = _times(frame[time], time)
    columns |= {name: _Column(cast(frame[name], "str"), {}) for name in carried}
    accepted = pl.DataFrame([column.values.alias(name) for name, column in columns.items()])
    rejected = _rejections(columns)
    if rejected:
        bad = pl.Series(sorted({rejection.row_index for rejection in rejected}), dtype=pl.UInt32)
        accepted = accepted.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(bad.implode()))
    accepted, mismatches = _computed(accepted, contract)
    return Checked(accepted, rejected, mismatches)


def _computed(frame: pl.DataFrame, contract: ContractSpec) -> tuple[pl.DataFrame, dict[str, int]]:
    """Let the computed fields be what their texts say, and count the rows that said otherwise."""
    mismatches: dict[str, int] = {}
    for one in contract.computed:
        rows = zip(*(frame[name].to_list() for name in one.of), strict=True)
        values = [texts.number(one.computed, row) for row in rows]
        odd = sum(not texts.agrees(sent, value) for sent, value in zip(frame[one.name].to_list(), values, strict=True))
        mismatches |= {one.name: odd} if odd else {}
        frame = frame.with_columns(pl.Series(one.name, values, dtype=pl.Float64))
    return frame, mismatches


def _require_columns(
    frame: pl.DataFrame, contract: ContractSpec, target: str | None, time: str | None, carried: Sequence[str]
) -> None:
    """A field that may be left out of a request may be left out of a frame too."""
    needed = [field.name for field in contract.fields if field.required]
    needed += [name for name in (target, time, *carried) if name is not None]
    missing = [name for name in needed if name not in frame.columns]
    if not missing:
        return
    first = missing[0]
    known = {field.name: f" ({expected(field)})" for field in contract.fields}
    more = f", and {len(missing) - 1} more ({', '.join(missing[1:6])})" if len(missing) > 1 else ""
    raise DataError(
        f"The rows have no column {first!r}{known.get(first, '')}{more}, which {contract.name} needs.",
        remedy="Let the source return it under this name, or take it out of the contract.",
    )


def _checked_column(frame: pl.DataFrame, field: FieldSpec) -> _Column:
    if field.name not in frame.columns:
        return _Column(pl.Series(field.name, [None] * frame.height, dtype=DTYPES[field.dtype]), {})
    raw = _nan_to_null(frame[field.name])
    values = cast(raw, field.dtype)
    refused = {f"expected {expected(field)}": (raw.is_not_null() & values.is_null()) | _outside(values, field)}
    if not field.may_be_null:
        refused["missing"] = raw.is_null()
    return _Column(values, refused)


def _outside(values: pl.Series, field: FieldSpec) -> pl.Series:
    """Mark the values that break the field's bounds; nulls are judged elsewhere."""
    tests: list[pl.Series] = []
    if field.dtype == "float":
        tests.append(~values.is_finite())
    if field.choices is not None:
        tests.append(~values.is_in(list(field.choices)))
    if field.max_length is not None:
        tests.append(values.str.len_chars() > field.max_length)
    bounds: tuple[tuple[float | None, Callable[[pl.Series, Any], pl.Series]], ...] = (
        (field.ge, pl.Series.__lt__),
        (field.gt, pl.Series.__le__),
        (field.le, pl.Series.__gt__),
        (field.lt, pl.Series.__ge__),
    )
    tests += [breaks(values, bound) for bound, breaks in bounds if bound is not None]
    outside = pl.repeat(False, values.len(), dtype=pl.Boolean, eager=True)
    for test in tests:
        outside |= test.fill_null(False)
    return outside


def cast(raw: pl.Series, dtype: Dtype) -> pl.Series:
    """Bring a column to a logical type; what cannot be brought there without loss becomes null."""
    if raw.dtype.is_nested() or raw.dtype in (pl.Object, pl.Binary):
        return _cells(raw, dtype)
    match dtype:
        case "int":
            return _to_int(raw)
        case "float":
            return _to_float(raw)
        case "str":
            keeps = raw.dtype.is_integer() or raw.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)
            return raw.cast(pl.String) if keeps else _nulls(raw, dtype)
        case "bool":
            return _to_bool(raw)
        case "datetime":
            return _to_time(raw)


def _to_int(raw: pl.Series) -> pl.Series:
    if raw.dtype == pl.String:
        raw = _number_text(raw)
    if raw.dtype.is_float():
        # Beyond 2**53 a float no longer says which integer it means.
        whole = (raw.floor() == raw) & (raw.abs() <= 2.0**53)
        return pl.select(pl.when(whole).then(raw)).to_series().cast(pl.Int64, strict=False)
    if raw.dtype.is_integer() or raw.dtype == pl.Null:
        return raw.cast(pl.Int64, strict=False)
    return _nulls(raw, "int")


def _number_text(raw: pl.Series) -> pl.Series:
    """Read text as integers where all of it is, else as floats (``12.0`` in a CSV file)."""
    text = raw.str.strip_chars()
    integers = text.cast(pl.Int64, strict=False)
    floats = text.cast(pl.Float64, strict=False)
    return integers if integers.null_count() == floats.null_count() else floats


def _to_float(raw: pl.Series) -> pl.Series:
    if raw.dtype == pl.String:
        return raw.str.strip_chars().cast(pl.Float64, strict=False)
    if raw.dtype.is_numeric() or raw.dtype == pl.Null:
        return raw.cast(pl.Float64, strict=False)
    return _nulls(raw, "float")


_TRUE, _FALSE = ["true", "1"], ["false", "0"]


def _to_bool(raw: pl.Series) -> pl.Series:
    if raw.dtype in (pl.Boolean, pl.Null):
        return raw.cast(pl.Boolean)
    if not (raw.dtype == pl.String or raw.dtype.is_integer()):
        return _nulls(raw, "bool")
    text = raw.cast(pl.String).str.strip_chars().str.to_lowercase()
    return pl.select(pl.when(text.is_in(_TRUE)).then(True).when(text.is_in(_FALSE)).then(False)).to_series()


def _to_time(raw: pl.Series) -> pl.Series:
    if raw.dtype == pl.String:
        return _time_text(raw)
    if isinstance(raw.dtype, pl.Datetime):
        # A time without a zone is UTC: it is the only zone in which a feed's times compare everywhere.
        zoned = raw.dt.replace_time_zone("UTC") if raw.dtype.time_zone is None else raw.dt.convert_time_zone("UTC")
        return zoned.cast(DTYPES["datetime"])
    if raw.dtype in (pl.Date, pl.Null):
        return raw.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return _nulls(raw, "datetime")


def _time_text(raw: pl.Series) -> pl.Series:
    """Read ISO 8601, each cell by itself: polars would guess one format from the first cell and lose the rest."""
    text = raw.str.strip_chars().str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T").str.replace(r"[zZ]$", "+00:00")
    plain = text.str.replace(r"^(\d{4}-\d{2}-\d{2})$", "${1}T00:00:00").str.replace(r"(T\d{2}:\d{2})$", "${1}:00")
    utc = plain.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False).dt.replace_time_zone("UTC")
    zoned = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False)
    return pl.select(pl.coalesce(zoned, utc)).to_series()


def _cells(raw: pl.Series, dtype: Dtype) -> pl.Series:
    """Judge cell by cell a column of mixed Python objects; only exact types pass."""
    if raw.dtype != pl.Object:
        return _nulls(raw, dtype)
    allowed: dict[Dtype, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}
    kept = [value if type(value) in allowed.get(dtype, ()) else None for value in raw.to_list()]
    return pl.Series(raw.name, kept, dtype=DTYPES[dtype], strict=False)


def _nulls(raw: pl.Series, dtype: Dtype) -> pl.Series:
    return pl.Series(raw.name, [None] * raw.len(), dtype=DTYPES[dtype])


def _nan_to_null(raw: pl.Series) -> pl.Series:
    """NaN is how other tools write a missing number."""
    return raw.fill_nan(None) if raw.dtype.is_float() else raw


def _labels(raw: pl.Series, classes: Sequence[Scalar] | None) -> _Column:
    raw = _nan_to_null(raw)
    values = cast(raw, _label_dtype(raw, classes))
    refused = {
        "the label is missing": raw.is_null(),
        "the label has no type that labels have": raw.is_not_null() & values.is_null(),
    }
    if classes is not None:
        known = ", ".join(str(label) for label in classes)
        refused[f"expected one of the labels {known}"] = (raw.is_not_null() & ~values.is_in(list(classes))).fill_null(True)
    return _Column(values, refused)


def _label_dtype(raw: pl.Series, classes: Sequence[Scalar] | None) -> Dtype:
    by_python: dict[type, Dtype] = {bool: "bool", int: "int", float: "float", str: "str"}
    if classes:
        return by_python[type(classes[0])]
    if raw.dtype == pl.Boolean:
        return "bool"
    if raw.dtype.is_float():
        whole = ((raw.floor() == raw) | raw.is_null()).all()
        return "int" if whole else "float"
    return "int" if raw.dtype.is_integer() else "str"


def _times(raw: pl.Series, name: str) -> _Column:
    values = cast(raw, "datetime").alias(name)
    return _Column(values, {"missing": raw.is_null(), "expected an ISO 8601 time": raw.is_not_null() & values.is_null()})


def _rejections(columns: dict[str, _Column]) -> tuple[Rejection, ...]:
    found: dict[int, list[Rejection]] = defaultdict(list)
    for name, column in columns.items():
        seen: set[int] = set()
        for reason, mask in column.refused.items():
            for row in mask.arg_true().to_list():
                if row not in seen:
                    seen.add(row)
                    found[row].append(Rejection(row, name, reason))
    return tuple(rejection for row in sorted(found) for rejection in found[row])
