"""Linear maps."""

from __future__ import annotations

from operator import mul

import numpy as np

from samovar.scoring.ops.base import Array, Kernel, Op

_SMALL = 150  # multiplications that plain Python does faster than numpy


class Linear(Op, frozen=True):
    """``x @ coefficients.T + intercept``; coefficients (outputs, k). ``single``: computed in float32."""

    coefficients: Array
    intercept: Array
    single: bool = False

    def open(self) -> Kernel:
        """See `Op.open`."""
        matrix, intercept = self.coefficients.open(), self.intercept.open()
        if self.single:
            return _single(matrix.astype(np.float32), intercept.astype(np.float32))
        if matrix.size > _SMALL:
            return Kernel(lambda dense: dense @ matrix.T + intercept, lambda dense: (matrix @ np.array(dense) + intercept).tolist())
        pairs = list(zip(matrix.tolist(), intercept.tolist(), strict=True))
        return Kernel(
            lambda dense: dense @ matrix.T + intercept,
            lambda dense: [sum(map(mul, weights, dense)) + constant for weights, constant in pairs],
        )


def _single(matrix: np.ndarray, intercept: np.ndarray) -> Kernel:
    def batch(dense: np.ndarray) -> np.ndarray:
        return np.asarray(dense.astype(np.float32) @ matrix.T + intercept, dtype=np.float64)

    return Kernel(batch, lambda dense: batch(np.array([dense]))[0].tolist())
