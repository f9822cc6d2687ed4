"""Sparse rows beside other values, and linear maps of them."""

from __future__ import annotations

from itertools import accumulate, pairwise
from operator import mul
from typing import Any

import numpy as np

from samovar.scoring.ops.base import Array, Csr, Kernel, Op

_FEW = 4  # outputs; more of them are faster through numpy even for one row
_LARGE = 200_000  # coefficients; more of them would fill the memory as Python's numbers


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


class SparseLinear(Op, frozen=True):
    """``x @ coefficients.T + intercept`` of sparse rows; coefficients (outputs, k)."""

    coefficients: Array
    intercept: Array

    def open(self) -> Kernel:
        """See `Op.open`."""
        matrix, intercept = self.coefficients.open(), self.intercept.open()
        if len(matrix) > _FEW or matrix.size > _LARGE:
            return _by_numpy(np.ascontiguousarray(matrix.T), intercept)
        pairs = list(zip(matrix.tolist(), intercept.tolist(), strict=True))

        def batch(rows: Csr) -> np.ndarray:
            count = len(rows.starts) - 1
            owners = np.repeat(np.arange(count), np.diff(rows.starts))
            sums = [np.bincount(owners, weights[rows.indices] * rows.data, count) for weights in matrix]
            return np.asarray(np.stack(sums, axis=1) + intercept)

        def row(sparse: tuple[list[int], list[float]]) -> list[float]:
            positions, numbers = sparse
            return [sum(map(mul, [weights[i] for i in positions], numbers)) + constant for weights, constant in pairs]

        return Kernel(batch, row)


def _by_numpy(weights: np.ndarray, intercept: np.ndarray) -> Kernel:
    def row(sparse: tuple[list[int], list[float]]) -> list[float]:
        positions, numbers = sparse
        if not positions:
            return intercept.tolist()  # type: ignore[no-any-return]
        return (np.array(numbers) @ weights[positions] + intercept).tolist()  # type: ignore[no-any-return]

    def batch(rows: Csr) -> np.ndarray:
        scores = np.tile(intercept, (len(rows.starts) - 1, 1))
        for index, (start, end) in enumerate(pairwise(rows.starts.tolist())):
            scores[index] += rows.data[start:end] @ weights[rows.indices[start:end]]
        return scores

    return Kernel(batch, row)


class Add(Op, frozen=True):
    """The sum of dense values of ``width`` positions."""

    width: int

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(lambda *parts: np.sum(parts, axis=0), lambda *parts: [*map(sum, zip(*parts, strict=True))])


def _sparse(part: Csr, offset: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.repeat(np.arange(len(part.starts) - 1), np.diff(part.starts))
    return rows, part.indices + offset, part.data


def _dense(part: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, positions = np.nonzero(part)
    return rows, positions + offset, part[rows, positions]
