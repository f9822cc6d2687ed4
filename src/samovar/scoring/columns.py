"""Rows of the contract, in whichever form they come, taken apart into columns of builtin values. No library of frames is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def given(rows: Any) -> set[str]:
    """Return the names of the columns of a mapping of columns, or of a polars or pandas frame."""
    return set(rows) if isinstance(rows, Mapping) else set(rows.columns)


def named(rows: Any, names: Sequence[str]) -> list[list[Any]]:
    """Return the columns of these names, null (also NaN and NaT) as None; one that is not there is null throughout."""
    present = given(rows)
    count = len(next(iter(rows.values()))) if isinstance(rows, Mapping) else len(rows)
    return [plain(rows[name]) if name in present else [None] * count for name in names]


def plain(column: Any) -> list[Any]:
    """Return a column as builtin values, null as None."""
    values = column if isinstance(column, list | tuple) else _listed(column)
    return [None if value is None or value != value else value for value in values]  # noqa: PLR0124 - NaN, NaT


def _listed(column: Any) -> list[Any]:
    return column.to_list() if hasattr(column, "to_list") else column.tolist()  # type: ignore[no-any-return]
