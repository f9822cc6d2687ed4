"""Sparse rows beside other values."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.ops.base import Array, Csr, Kernel, Op

if TYPE_CHECKING:
    from collections.abc import Sequence


class SparseSelect(Op, frozen=True):
    """Some positions of sparse rows, in the order given."""

    positions: tuple[int, ...]
    width: int

    def open(self) -> Kernel:
        """See `Op.open`."""
        new = np.full(self.width, -1, dtype=np.intp)
        new[list(self.positions)] = np.arange(len(self.positions))
        places = {old: place for place, old in enumerate(self.positions)}

        def batch(rows: Csr) -> Csr:
            indices = new[rows.indices]
            kept = indices >= 0
            starts = np.concatenate(([0], np.cumsum(kept)))[rows.starts]
            return Csr(starts, indices[kept], rows.data[kept], len(self.positions))

        def row(sparse: tuple[Sequence[int], Sequence[float]]) -> tuple[list[int], list[float]]:
            pairs = [(places[old], number) for old, number in zip(*sparse, strict=True) if old in places]
            return [place for place, _ in pairs], [number for _, number in pairs]

        return Kernel(batch, row)


class SparseScale(Op, frozen=True):
    """Sparse rows, each position times its factor."""

    factor: Array

    def open(self) -> Kernel:
        """See `Op.open`."""
        factor = self.factor.open()
        factors = factor.tolist()
        return Kernel(
            lambda rows: Csr(rows.starts, rows.indices, rows.data * factor[rows.indices], rows.width),
            lambda sparse: (sparse[0], [number * factors[place] for place, number in zip(*sparse, strict=True)]),
        )


class SparseThreshold(Op, frozen=True):
    """Sparse rows with 1 where a number is above the threshold, which is not negative, else 0."""

    threshold: float

    def open(self) -> Kernel:
        """See `Op.open`."""
        threshold = self.threshold
        return Kernel(
            lambda rows: Csr(rows.starts, rows.indices, (rows.data > threshold).astype(np.float64), rows.width),
            lambda sparse: (sparse[0], [1.0 if number > threshold else 0.0 for number in sparse[1]]),
        )


class Stack(Op, frozen=True):
    """Dense and sparse values side by side: a sparse value.

    Attributes:
        widths: number of positions of each input.
        sparse: whether each input is sparse.
    """

    widths: tuple[int, ...]
    sparse: tuple[bool, ...]

    def open(self) -> Kernel:
        """See `Op.open`."""
        offsets = [0, *accumulate(self.widths)]
        plan = list(zip(offsets, self.sparse, strict=False))
        width = offsets[-1]

        def batch(*parts: Any) -> Csr:
            triples = [
                _sparse(part, offset) if sparse else _dense(part, offset)
                for part, (offset, sparse) in zip(parts, plan, strict=True)
            ]
            rows = np.concatenate([triple[0] for triple in triples])
            order = np.argsort(rows, kind="stable")
            count = len(parts[0].starts) - 1 if self.sparse[0] else len(parts[0])
            starts = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=count))))
            indices = np.concatenate([triple[1] for triple in triples])[order]
            return Csr(starts, indices, np.concatenate([triple[2] for triple in triples])[order], width)

        def row(*parts: Any) -> tuple[list[int], list[float]]:
            positions: list[int] = []
            numbers: list[float] = []
            for part, (offset, sparse) in zip(parts, plan, strict=True):
                pairs = zip(*part, strict=True) if sparse else enumerate(part)
                for position, number in pairs:
                    if number != 0.0:
                        positions.append(position + offset)
                        numbers.append(number)
            return positions, numbers

        return Kernel(batch, row)


def _sparse(part: Csr, offset: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.repeat(np.arange(len(part.starts) - 1), np.diff(part.starts))
    return rows, part.indices + offset, part.data


def _dense(part: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, positions = np.nonzero(part)
    return rows, positions + offset, part[rows, positions]
