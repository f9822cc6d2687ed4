"""What stands in for missing values, and signs that they were missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.contracts.spec import Scalar  # noqa: TC001 - msgspec reads the annotation at run time
from samovar.scoring.ops.base import Array, Kernel, Op
from samovar.scoring.ops.checks import not_finite
from samovar.scoring.ops.encode import cells

if TYPE_CHECKING:
    from collections.abc import Callable


class Fill(Op, frozen=True):
    """Puts a number in the place of NaN, or of ``marker``, at each position.

    Attributes:
        values: one for each position.
        marker: the number that means missing; None stands for NaN.
    """

    values: Array
    marker: float | None = None

    def open(self) -> Kernel:
        """See `Op.open`."""
        fills, marker = self.values.open(), self.marker
        pairs = fills.tolist()

        def batch(dense: np.ndarray) -> np.ndarray:
            return np.where(np.isnan(dense) if marker is None else dense == marker, fills, dense)

        def row(dense: list[float]) -> list[float]:
            if marker is None:
                return [fill if x != x else x for x, fill in zip(dense, pairs, strict=True)]  # noqa: PLR0124 - NaN
            return [fill if x == marker else x for x, fill in zip(dense, pairs, strict=True)]

        return Kernel(batch, row)


class FillCell(Op, frozen=True):
    """Puts a value in the place of null and NaN, or of ``marker``, in one column; with a marker, null and NaN are refused.

    Attributes:
        value: what is put there.
        marker: what means missing; None stands for null and NaN.
        name: the column's name, for the error.
    """

    value: Scalar
    marker: Scalar | None = None
    name: str = ""

    def open(self) -> Kernel:
        """See `Op.open`."""
        value, gap, refused = self.value, missing(self.marker), self.marker is not None

        def row(cell: Any) -> Any:
            if gap(cell):
                return value
            if refused and (cell is None or cell != cell):  # noqa: PLR0124 - NaN
                raise not_finite([self.name])
            return cell

        return Kernel(lambda column: [*map(row, cells(column))], row)


class Missing(Op, frozen=True):
    """Whether a column's value is missing (null, NaN, or ``marker``): 1 or 0."""

    marker: Scalar | None = None

    def open(self) -> Kernel:
        """See `Op.open`."""
        gap = missing(self.marker)
        return Kernel(
            lambda column: np.array([float(gap(cell)) for cell in cells(column)]).reshape(-1, 1),
            lambda cell: [1.0 if gap(cell) else 0.0],
        )


def missing(marker: Scalar | None) -> Callable[[Any], bool]:
    """Return what tells a missing cell."""
    if marker is None:
        return lambda cell: cell is None or cell != cell  # noqa: PLR0124 - NaN
    return lambda cell: bool(cell == marker)
