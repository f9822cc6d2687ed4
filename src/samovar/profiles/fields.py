"""The profile of one field: counts over fixed bins, and how to choose those bins.

All counts are integers and all sums are exact, so `merged` of two parts equals one pass over both.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from samovar.profiles.exact import exact_sum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from samovar.contracts.spec import FieldSpec

BINS = 10
"""Bins of a number: the deciles of the reference."""

MAX_CATEGORIES = 30
"""Categories that an open set keeps by name (the most frequent of the reference); the rest is counted as "other"."""

_LARGEST = 1e150
"""Numbers beyond it are counted in bins but left out of the moments: their squares would overflow."""


class Moments(msgspec.Struct, frozen=True):
    """Sums of the numbers seen; squares are rounded once per number, the sums never."""

    count: int = 0
    total: Fraction = Fraction(0)
    squares: Fraction = Fraction(0)
    least: float | None = None
    most: float | None = None

    @property
    def mean(self) -> float | None:
        """Arithmetic mean; None without numbers."""
        return float(self.total / self.count) if self.count else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation (population); None without numbers."""
        if not self.count:
            return None
        mean = self.total / self.count
        return math.sqrt(max(0.0, float(self.squares / self.count - mean * mean)))


class NumericProfile(msgspec.Struct, frozen=True, tag="numeric"):
    """Counts of a number (or of a text's length in characters, or of a timestamp in seconds).

    Attributes:
        name: field.
        edges: bin i holds ``edges[i] <= x < edges[i + 1]``; the last bin holds its upper edge too. Empty without a reference.
        counts: rows of each bin.
        below: rows under the first edge, which the reference never saw.
        above: rows over the last edge.
        missing: rows with null or NaN.
        moments: of the finite numbers.
    """

    name: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    below: int = 0
    above: int = 0
    missing: int = 0
    moments: Moments = Moments()

    @property
    def bins(self) -> tuple[int, ...]:
        """All rows over the bins that PSI compares: below, inside, above, missing."""
        return (self.below, *self.counts, self.above, self.missing)

    @property
    def rows(self) -> int:
        """All rows counted."""
        return sum(self.bins)


class CategoryProfile(msgspec.Struct, frozen=True, tag="category"):
    """Counts of a category or boolean.

    Attributes:
        name: field.
        values: category names of the reference.
        counts: rows of each.
        other: rows with a value that ``values`` does not name.
        missing: rows with null.
    """

    name: str
    values: tuple[str, ...]
    counts: tuple[int, ...]
    other: int = 0
    missing: int = 0

    @property
    def bins(self) -> tuple[int, ...]:
        """All rows over the bins that PSI compares: named, other, missing."""
        return (*self.counts, self.other, self.missing)

    @property
    def rows(self) -> int:
        """All rows counted."""
        return sum(self.bins)


FieldProfile = NumericProfile | CategoryProfile


def empty(spec: FieldSpec, column: pl.Series) -> FieldProfile:
    """Choose the bins of a field from a reference column; all counts are zero.

    Numbers with a closed set of choices, booleans and strings become categories; text becomes its length.
    """
    if spec.choices is not None:
        return CategoryProfile(spec.name, tuple(_name(choice) for choice in spec.choices), (0,) * len(spec.choices))
    if spec.dtype == "bool":
        return CategoryProfile(spec.name, ("false", "true"), (0, 0))
    if spec.dtype == "str" and spec.role != "text":
        return by_category(spec.name, column)
    return by_number(spec.name, column)


def by_category(name: str, column: pl.Series) -> CategoryProfile:
    """Bins of an open set: its most frequent values, ties in alphabetical order."""
    counts = _names(column).drop_nulls().value_counts(name="rows")
    if not counts.height:
        return CategoryProfile(name, (), ())
    top = counts.sort(["rows", counts.columns[0]], descending=[True, False]).head(MAX_CATEGORIES)
    values = tuple(sorted(top.to_series(0).to_list()))
    return CategoryProfile(name, values, (0,) * len(values))


def by_number(name: str, column: pl.Series) -> NumericProfile:
    """Bins of a number: reference deciles, or one bin a value where the reference has few distinct ones."""
    numbers = _numbers(column)
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return NumericProfile(name, (), ())
    distinct = np.unique(finite)
    if distinct.size <= BINS:
        edges = np.concatenate([distinct[:1], distinct[:-1] / 2 + distinct[1:] / 2, distinct[-1:]])
    else:
        edges = np.unique(np.quantile(finite, np.linspace(0, 1, BINS + 1)))
    if edges.size == 1:
        edges = np.repeat(edges, 2)
    return NumericProfile(name, tuple(edges.tolist()), (0,) * (edges.size - 1))


def counted(reference: FieldProfile, column: pl.Series) -> FieldProfile:
    """Count a column over the bins of a reference."""
    if isinstance(reference, CategoryProfile):
        return _count_categories(reference, column)
    return _count_numbers(reference, column)


def merged(first: FieldProfile, second: FieldProfile) -> FieldProfile:
    """Add two profiles up.

    Raises:
        ValueError: they were counted over different bins.
    """
    if isinstance(first, NumericProfile) and isinstance(second, NumericProfile) and _same(first.edges, second.edges, first, second):
        return msgspec.structs.replace(
            first,
            counts=_add(first.counts, second.counts),
            below=first.below + second.below,
            above=first.above + second.above,
            missing=first.missing + second.missing,
            moments=_merge_moments(first.moments, second.moments),
        )
    if (
        isinstance(first, CategoryProfile)
        and isinstance(second, CategoryProfile)
        and _same(first.values, second.values, first, second)
    ):
        return msgspec.structs.replace(
            first,
            counts=_add(first.counts, second.counts),
            other=first.other + second.other,
            missing=first.missing + second.missing,
        )
    raise ValueError(f"profiles of {first.name!r} and {second.name!r} were counted over different bins and cannot be merged")


def _same(bins: Any, other_bins: Any, first: FieldProfile, second: FieldProfile) -> bool:
    return bool(bins == other_bins) and first.name == second.name


def _add(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))


def _merge_moments(first: Moments, second: Moments) -> Moments:
    return Moments(
        count=first.count + second.count,
        total=first.total + second.total,
        squares=first.squares + second.squares,
        least=min((x for x in (first.least, second.least) if x is not None), default=None),
        most=max((x for x in (first.most, second.most) if x is not None), default=None),
    )


def _count_categories(reference: CategoryProfile, column: pl.Series) -> CategoryProfile:
    names = _names(column)
    missing = names.null_count()
    found = dict(names.drop_nulls().value_counts(name="rows").iter_rows())
    counts = tuple(found.get(value, 0) for value in reference.values)
    return CategoryProfile(reference.name, reference.values, counts, len(names) - missing - sum(counts), missing)


def _count_numbers(reference: NumericProfile, column: pl.Series) -> NumericProfile:
    numbers = _numbers(column)
    known = numbers[~np.isnan(numbers)]
    moments = _moments(known[np.abs(known) <= _LARGEST])
    missing = numbers.size - known.size
    if not reference.edges:
        # The reference never saw a number: each one is news.
        return NumericProfile(reference.name, (), (), above=known.size, missing=missing, moments=moments)
    edges = np.array(reference.edges)
    inside = known[(known >= edges[0]) & (known <= edges[-1])]
    counts = np.bincount(np.searchsorted(edges[1:-1], inside, side="right"), minlength=edges.size - 1)
    return NumericProfile(
        reference.name,
        reference.edges,
        tuple(counts.tolist()),
        below=int((known < edges[0]).sum()),
        above=int((known > edges[-1]).sum()),
        missing=missing,
        moments=moments,
    )


def _moments(numbers: NDArray[np.float64]) -> Moments:
    if not numbers.size:
        return Moments()
    return Moments(
        count=int(numbers.size),
        total=exact_sum(numbers),
        squares=exact_sum(numbers * numbers),
        least=float(numbers.min()) + 0.0,  # adding zero turns -0.0 into 0.0: the sign would depend on the order
        most=float(numbers.max()) + 0.0,
    )


def _numbers(column: pl.Series) -> NDArray[np.float64]:
    """Turn a column into floats: missing is NaN, text its length in characters, a timestamp its seconds since 1970."""
    if column.dtype == pl.String:
        column = column.str.len_chars()
    elif isinstance(column.dtype, pl.Datetime):
        column = column.dt.epoch("us") / 1e6
    return column.cast(pl.Float64).fill_null(math.nan).to_numpy()


def _names(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Boolean:
        return column.replace_strict({True: "true", False: "false"}, return_dtype=pl.String)
    return column.cast(pl.String)


def _name(choice: object) -> str:
    return str(choice).lower() if isinstance(choice, bool) else str(choice)
