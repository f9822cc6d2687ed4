"""Scaling, position by position, each in the order of operations of scikit-learn."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Literal

import numpy as np

from samovar.scoring.ops.base import Array, Kernel, Op

if TYPE_CHECKING:
    from collections.abc import Callable


class Affine(Op, frozen=True):
    """``(x - shift) / scale``, as the standard and robust scalers compute it."""

    shift: Array
    scale: Array

    def open(self) -> Kernel:
        """See `Op.open`."""
        shift, scale = self.shift.open(), self.scale.open()
        shifts, scales = shift.tolist(), scale.tolist()
        return Kernel(
            lambda dense: (dense - shift) / scale,
            lambda dense: [(x - low) / unit for x, low, unit in zip(dense, shifts, scales, strict=True)],
        )


class Scale(Op, frozen=True):
    """``x * factor + offset``, as the min-max scaler computes it."""

    factor: Array
    offset: Array

    def open(self) -> Kernel:
        """See `Op.open`."""
        factor, offset = self.factor.open(), self.offset.open()
        factors, offsets = factor.tolist(), offset.tolist()
        return Kernel(
            lambda dense: dense * factor + offset,
            lambda dense: [x * by + plus for x, by, plus in zip(dense, factors, offsets, strict=True)],
        )


class Clip(Op, frozen=True):
    """Numbers held between two bounds; NaN stays NaN."""

    low: float
    high: float

    def open(self) -> Kernel:
        """See `Op.open`."""
        low, high = self.low, self.high
        return Kernel(
            lambda dense: np.clip(dense, low, high),
            lambda dense: [low if x < low else min(x, high) for x in dense],
        )


class Single(Op, frozen=True):
    """Numbers rounded to float32. One +, -, *, / or square root of float32 numbers in float64, then rounded, is exact."""

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(_single_batch, lambda dense: _single_batch(np.array(dense)).tolist())


def _single_batch(dense: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return dense.astype(np.float32).astype(np.float64)


class Threshold(Op, frozen=True):
    """1 where a number is above the threshold, else 0."""

    threshold: float

    def open(self) -> Kernel:
        """See `Op.open`."""
        threshold = self.threshold
        return Kernel(
            lambda dense: (dense > threshold).astype(np.float64),
            lambda dense: [1.0 if x > threshold else 0.0 for x in dense],
        )


class Normalize(Op, frozen=True):
    """Rows over their norm; a row of zeros stays."""

    norm: Literal["l1", "l2", "max"]

    def open(self) -> Kernel:
        """See `Op.open`."""
        by_rows, by_row = _NORMS[self.norm]

        def batch(dense: np.ndarray) -> np.ndarray:
            norms = by_rows(dense)
            norms[norms < _TINY] = 1.0
            return np.asarray(dense / norms[:, None])

        def row(dense: list[float]) -> list[float]:
            norm = by_row(dense)
            return dense if norm < _TINY else [x / norm for x in dense]

        return Kernel(batch, row)


_TINY = 10 * float(np.finfo(np.float64).eps)  # norms below it are taken for 1, as scikit-learn does

_NORMS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[list[float]], float]]] = {
    "l1": (lambda dense: np.abs(dense).sum(axis=1), lambda dense: sum(map(abs, dense))),
    "l2": (lambda dense: np.sqrt(np.einsum("ij,ij->i", dense, dense)), lambda dense: sqrt(sum([x * x for x in dense]))),
    "max": (lambda dense: np.abs(dense).max(axis=1), lambda dense: max(map(abs, dense))),
}
