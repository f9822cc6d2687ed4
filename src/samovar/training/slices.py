"""Rows in parts that people care about: a model that is good on the whole may fail one kind of row.

What the parts are is settled by the declaration and the training rows, never by the rows that are judged: two models, or the same
one today and tomorrow, are compared on the same parts.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from samovar.project import Slice

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.contracts.spec import FieldSpec
    from samovar.project import Project

Levels = dict[str, np.ndarray]
"""Level -> which rows are in it, booleans of shape (n,). Every row is in exactly one level; a level without rows is left out."""

MISSING = "missing"
OTHER = "other"
_MOST_LEVELS = 12  # of a column parted by value; rarer ones are one level together
_MOST_BY_DEFAULT = 4  # slices of a project that declares none
_LENGTH_PARTS = 3
_PERIODS = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "year": "%Y"}


def masks(project: Project, train: pl.DataFrame, rows: pl.DataFrame) -> dict[str, Levels]:
    """Part rows by every slice of the project.

    Args:
        project: whose slices; where it declares none, `default` ones.
        train: training rows, which settle quantiles and which values are frequent.
        rows: what is parted.

    Returns:
        slice name -> its levels in their natural order.
    """
    return {one.name: levels(one, train[one.column], rows[one.column]) for one in of(project)}


def of(project: Project) -> tuple[Slice, ...]:
    """The project's slices, or the default ones."""
    return default(project) if project.slices is None else project.slices


def default(project: Project) -> tuple[Slice, ...]:
    """What is looked at where nothing is declared: the first few closed sets of the contract, and the length of its texts."""
    found = (_default(field) for field in project.contract.features)
    return tuple(one for one in found if one is not None)[:_MOST_BY_DEFAULT]


def _default(field: FieldSpec) -> Slice | None:
    if field.log != "keep":  # a level's name is a value of the field
        return None
    if field.role == "text":
        return Slice(field.name, "length", quantiles=_LENGTH_PARTS)
    if field.dtype == "bool" or (field.choices is not None and 2 <= len(field.choices) <= _MOST_LEVELS):
        return Slice(field.name)
    return None


def levels(one: Slice, train: pl.Series, values: pl.Series) -> Levels:
    """Part one column; ``train`` is the same column of the training rows."""
    if one.by == "value":
        return _by_value(train, values)
    if one.by == "period":
        return _by_name(_periods(one, values), sorted)
    if one.by == "length":
        train, values = train.str.len_chars(), values.str.len_chars()
    edges = np.unique(np.asarray(one.edges or _quantiles(train, one.quantiles), dtype=float))
    return _by_range(edges, values)


def _by_value(train: pl.Series, values: pl.Series) -> Levels:
    frequent = train.drop_nulls().value_counts(sort=True).head(_MOST_LEVELS).to_series().cast(pl.String)
    named = values.cast(pl.String)
    known = pl.select(pl.when(named.is_in(frequent.to_list()) | named.is_null()).then(named).otherwise(pl.lit(OTHER))).to_series()
    order = [*sorted(frequent.to_list()), OTHER]
    return _by_name(known, lambda names: sorted(names, key=order.index))


def _periods(one: Slice, values: pl.Series) -> pl.Series:
    if one.every == "quarter":
        return values.dt.strftime("%Y-Q") + values.dt.quarter().cast(pl.String)
    return values.dt.strftime(_PERIODS[one.every])


def _by_name(names: pl.Series, order: Callable[[list[str]], list[str]]) -> Levels:
    found = {level: (names == level).fill_null(value=False).to_numpy() for level in order(names.drop_nulls().unique().to_list())}
    return _with_missing(found, names.is_null().to_numpy())


def _by_range(edges: np.ndarray, values: pl.Series) -> Levels:
    """Half-open ranges ``low <= value < high``."""
    numbers = values.cast(pl.Float64).to_numpy()
    part = np.searchsorted(edges, numbers, side="right")
    marks = [f"{edge:.4g}" if abs(edge) < 1e4 else f"{edge:.0f}" for edge in edges]
    names = ["all"] if not marks else [f"under {marks[0]}", *(f"{a} to {b}" for a, b in pairwise(marks)), f"{marks[-1]} and over"]
    missing = np.isnan(numbers)
    found = {name: (part == index) & ~missing for index, name in enumerate(names)}
    return _with_missing({name: mask for name, mask in found.items() if mask.any()}, missing)


def _quantiles(train: pl.Series, parts: int) -> np.ndarray:
    numbers = train.drop_nulls().cast(pl.Float64).drop_nans().to_numpy()
    return np.quantile(numbers, np.linspace(0, 1, parts + 1)[1:-1]) if numbers.size else np.empty(0)


def _with_missing(found: Levels, missing: np.ndarray) -> Levels:
    return found | {MISSING: missing | found.get(MISSING, False)} if missing.any() else found
