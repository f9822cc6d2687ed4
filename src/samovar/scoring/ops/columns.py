"""Columns into matrices, and matrices into others: nothing is computed here."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import numpy as np

from samovar.scoring.ops.base import Kernel, Op

_NAN = math.nan


def number(value: Any) -> float:
    """Return a cell of a numeric column as a float; null is NaN."""
    return _NAN if value is None else float(value)


class Gather(Op, frozen=True):
    """Numeric columns side by side: a dense value. Columns of float32 were rounded before they came here."""

    def open(self) -> Kernel:
        """See `Op.open`."""

        def batch(*columns: Any) -> np.ndarray:
            matrix = np.empty((len(columns[0]), len(columns)))
            for index, column in enumerate(columns):
                matrix[:, index] = column  # None becomes NaN
            return matrix

        def row(*values: Any) -> list[float]:
            return [number(value) for value in values]

        return Kernel(batch, row)


class Concat(Op, frozen=True):
    """Dense values side by side."""

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(lambda *parts: np.concatenate(parts, axis=1), lambda *parts: list(chain.from_iterable(parts)))


class Select(Op, frozen=True):
    """Some positions of a dense value, in the order given."""

    positions: tuple[int, ...]

    def open(self) -> Kernel:
        """See `Op.open`."""
        index = np.array(self.positions, dtype=np.intp)
        return Kernel(lambda dense: dense[:, index], lambda dense: [dense[i] for i in self.positions])


class Pick(Op, frozen=True):
    """One position of a dense value as a column."""

    position: int

    def open(self) -> Kernel:
        """See `Op.open`."""
        position = self.position
        return Kernel(lambda dense: dense[:, position], lambda dense: dense[position])
