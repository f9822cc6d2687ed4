"""Sparse rows into other sparse rows: weights, norms, choices; and what fills them up."""

from __future__ import annotations

from math import log, sqrt
from operator import mul
from typing import TYPE_CHECKING, Literal

import numpy as np

from samovar.errors import RequestError
from samovar.scoring.ops.base import Array, Csr, Kernel, Op

if TYPE_CHECKING:
    from collections.abc import Callable

Row = tuple[list[int], list[float]]

Norm = Literal["l1", "l2", "max"]


class SparseScale(Op, frozen=True):
    """Numbers times the factor of their position."""

    factors: Array

    def open(self) -> Kernel:
        """See `Op.open`."""
        factors = self.factors.open()
        by_position = factors.tolist()

        def row(sparse: Row) -> Row:
            positions, numbers = sparse
            return positions, [*map(mul, numbers, map(by_position.__getitem__, positions))]

        return Kernel(lambda rows: _with(rows, rows.data * factors[rows.indices]), row)


class SparseThreshold(Op, frozen=True):
    """1 where a number is above the threshold, which is not negative; else nothing."""

    threshold: float

    def open(self) -> Kernel:
        """See `Op.open`."""
        threshold = self.threshold
        if threshold < 0:
            raise ValueError("a threshold of sparse rows is negative")

        def row(sparse: Row) -> Row:
            kept = [position for position, number in zip(*sparse, strict=True) if number > threshold]
            return kept, [1.0] * len(kept)

        return Kernel(lambda rows: _with(rows, (rows.data > threshold).astype(np.float64)), row)


class SparseSelect(Op, frozen=True):
    """Some positions, in the order given, numbered anew.

    Attributes:
        positions: those that stay, none twice.
        width: how many there were.
    """

    positions: tuple[int, ...]
    width: int

    def open(self) -> Kernel:
        """See `Op.open`."""
        new = np.full(self.width, -1, dtype=np.intp)
        new[np.array(self.positions, dtype=np.intp)] = np.arange(len(self.positions))
        places = {old: place for place, old in enumerate(self.positions)}

        def batch(rows: Csr) -> Csr:
            indices = new[rows.indices]
            kept = indices >= 0
            starts = np.concatenate(([0], np.cumsum(kept)))[rows.starts]
            return Csr(starts, indices[kept], rows.data[kept], len(places))

        def row(sparse: Row) -> Row:
            pairs = [(places[old], number) for old, number in zip(*sparse, strict=True) if old in places]
            return [place for place, _ in pairs], [number for _, number in pairs]

        return Kernel(batch, row)


class SparseLog(Op, frozen=True):
    """``1 + log(x)`` of the numbers; a number that has no logarithm is refused, as the next step would."""

    def open(self) -> Kernel:
        """See `Op.open`."""

        def batch(rows: Csr) -> Csr:
            if len(rows.data) and rows.data.min() <= 0:
                raise _no_logarithm()
            return _with(rows, np.log(rows.data) + 1.0)

        def row(sparse: Row) -> Row:
            positions, numbers = sparse
            try:
                return positions, [log(number) + 1.0 for number in numbers]
            except ValueError:
                raise _no_logarithm() from None

        return Kernel(batch, row)


class SparseNorm(Op, frozen=True):
    """Rows over their norm; a row of zeros stays."""

    norm: Norm

    def open(self) -> Kernel:
        """See `Op.open`."""
        of_row = NORMS[self.norm]

        def batch(rows: Csr) -> Csr:
            lengths = np.diff(rows.starts)
            owners = np.repeat(np.arange(len(lengths)), lengths)
            norms = norms_of(self.norm, owners, rows.data, len(lengths))
            norms[norms == 0.0] = 1.0
            return _with(rows, rows.data / norms[owners])

        def row(sparse: Row) -> Row:
            positions, numbers = sparse
            norm = of_row(numbers)
            return sparse if norm == 0.0 else (positions, [number / norm for number in numbers])

        return Kernel(batch, row)


class Densify(Op, frozen=True):
    """Sparse rows into a dense value of ``width`` positions."""

    width: int

    def open(self) -> Kernel:
        """See `Op.open`."""
        width = self.width

        def batch(rows: Csr) -> np.ndarray:
            dense = np.zeros((len(rows.starts) - 1, width))
            dense[np.repeat(np.arange(len(dense)), np.diff(rows.starts)), rows.indices] = rows.data
            return dense

        def row(sparse: Row) -> list[float]:
            dense = [0.0] * width
            for position, number in zip(*sparse, strict=True):
                dense[position] = number
            return dense

        return Kernel(batch, row)


def norms_of(norm: Norm, owners: np.ndarray, numbers: np.ndarray, count: int) -> np.ndarray:
    """Return the norm of each of so many rows, given whose each number is."""
    match norm:
        case "l1":
            return np.bincount(owners, np.abs(numbers), count)
        case "l2":
            return np.sqrt(np.bincount(owners, numbers * numbers, count))
        case "max":
            norms = np.zeros(count)
            np.maximum.at(norms, owners, np.abs(numbers))
            return norms


def _with(rows: Csr, data: np.ndarray) -> Csr:
    return Csr(rows.starts, rows.indices, data, rows.width)


def _no_logarithm() -> RequestError:
    return RequestError("The model does not take this text: a count that it takes the logarithm of is not positive.")


def _l1(numbers: list[float]) -> float:
    return sum(map(abs, numbers))


def _l2(numbers: list[float]) -> float:
    return sqrt(sum(map(mul, numbers, numbers)))


def _max(numbers: list[float]) -> float:
    return max(map(abs, numbers), default=0.0)


NORMS: dict[Norm, Callable[[list[float]], float]] = {"l1": _l1, "l2": _l2, "max": _max}
"""The norm of a row's numbers."""
