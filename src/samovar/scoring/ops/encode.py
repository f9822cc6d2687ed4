"""Categories into numbers: lookups of one column's values.

A key that is a number matches every number equal to it (``1``, ``1.0`` and ``True`` are one key), as numpy compares them. A null
or a NaN is never a key: ``missing`` says what becomes of it, ``unknown`` what becomes of every other value that is no key.
"""

from __future__ import annotations

from math import isinf
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.contracts.spec import Scalar  # noqa: TC001 - msgspec reads the annotation at run time
from samovar.errors import RequestError
from samovar.scoring.ops.base import Kernel, Op

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOTHING = -1
"""As a code: no position is set."""

REFUSE = -2
"""As a code: the model takes no such value."""


def refusal(name: str) -> RequestError:
    """Return the error for a value that is not among the categories."""
    return RequestError("Expected a value that the model knows.", path=name)


def lookup(table: Mapping[Any, Any], missing: Any, unknown: Any, refused: Any = REFUSE) -> Callable[[Any], Any]:
    """Return a function from a cell to its entry; ``refused`` is that of an infinite number, which no encoder takes."""

    def find(value: Any) -> Any:
        found = table.get(value)
        if found is not None:
            return found
        if value is None or value != value:  # noqa: PLR0124 - NaN
            return missing
        return refused if isinstance(value, float) and isinf(value) else unknown

    return find


def cells(column: Any) -> Any:
    """Return a column of a batch as plain Python values, which are found in a dict faster than numpy's."""
    return column.tolist() if isinstance(column, np.ndarray) else column


def find_all(find: Callable[[Any], Any], table: Mapping[Any, Any], column: Any) -> list[Any]:
    """Return the entry of each cell of a batch's column."""
    found = [*map(table.get, values := cells(column))]
    if None in found:
        return [find(value) if entry is None else entry for entry, value in zip(found, values, strict=True)]
    return found


class OneHot(Op, frozen=True):
    """One column into ``width`` positions, of which the one of the value's code is 1 and the others are 0.

    Attributes:
        keys: the categories.
        codes: the position of each; several may share one (infrequent categories), NOTHING stands for a dropped one.
        width: number of positions.
        missing: code of null and NaN.
        unknown: code of what is no key.
        name: the column's name, for the error.
    """

    keys: tuple[Scalar, ...]
    codes: tuple[int, ...]
    width: int
    missing: int
    unknown: int
    name: str = ""

    def open(self) -> Kernel:
        """See `Op.open`."""
        table = dict(zip(self.keys, self.codes, strict=True))
        if not all(REFUSE <= code < self.width for code in (*self.codes, self.missing, self.unknown)):
            raise ValueError("a code lies outside the one-hot positions")
        find = lookup(table, self.missing, self.unknown)
        none = [0.0] * self.width

        def batch(column: Any) -> np.ndarray:
            codes = np.array(find_all(find, table, column), dtype=np.intp)
            if (codes == REFUSE).any():
                raise refusal(self.name)
            matrix = np.zeros((len(codes), self.width))
            hits = np.flatnonzero(codes >= 0)
            matrix[hits, codes[hits]] = 1.0
            return matrix

        def row(value: Any) -> list[float]:
            code = find(value)
            if code == REFUSE:
                raise refusal(self.name)
            made = none.copy()
            if code >= 0:
                made[code] = 1.0
            return made

        return Kernel(batch, row)


class Ordinal(Op, frozen=True):
    """One column into one position: the number of its value.

    Attributes:
        keys: the categories.
        numbers: the number of each.
        missing: number of null and NaN; None when the model takes none.
        unknown: number of what is no key; None when the model takes none.
        name: the column's name, for the error.
    """

    keys: tuple[Scalar, ...]
    numbers: tuple[float, ...]
    missing: float | None
    unknown: float | None
    name: str = ""

    def open(self) -> Kernel:
        """See `Op.open`."""
        table = dict(zip(self.keys, self.numbers, strict=True))
        find = lookup(table, self.missing, self.unknown, None)

        def batch(column: Any) -> np.ndarray:
            numbers = find_all(find, table, column)
            if None in numbers:
                raise refusal(self.name)
            return np.array(numbers, dtype=np.float64).reshape(-1, 1)

        def row(value: Any) -> list[float]:
            number = find(value)
            if number is None:
                raise refusal(self.name)
            return [number]

        return Kernel(batch, row)
