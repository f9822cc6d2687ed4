"""Sparse rows beside other values."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np

from samovar.scoring.ops.base import Csr, Kernel, Op


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
