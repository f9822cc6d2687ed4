"""Linear maps."""

from __future__ import annotations

from operator import mul
from typing import TYPE_CHECKING

import numpy as np

from samovar.scoring.ops.base import Array, Csr, Kernel, Op

if TYPE_CHECKING:
    from collections.abc import Sequence


class Linear(Op, frozen=True):
    """``x @ coefficients.T + intercept``; coefficients (outputs, k)."""

    coefficients: Array
    intercept: Array

    def open(self) -> Kernel:
        """See `Op.open`."""
        matrix, intercept = self.coefficients.open(), self.intercept.open()
        pairs = list(zip(matrix.tolist(), intercept.tolist(), strict=True))
        return Kernel(
            lambda dense: dense @ matrix.T + intercept,
            lambda dense: [sum(map(mul, weights, dense)) + constant for weights, constant in pairs],
        )


class SparseLinear(Op, frozen=True):
    """`Linear` of sparse rows."""

    coefficients: Array
    intercept: Array

    def open(self) -> Kernel:
        """See `Op.open`."""
        matrix, intercept = self.coefficients.open(), self.intercept.open()
        pairs = list(zip(matrix.tolist(), intercept.tolist(), strict=True))

        def batch(rows: Csr) -> np.ndarray:
            scores = np.empty((len(rows.starts) - 1, len(matrix)))
            for index, weights in enumerate(matrix):
                sums = np.concatenate(([0.0], np.add.accumulate(weights[rows.indices] * rows.data)))
                scores[:, index] = sums[rows.starts[1:]] - sums[rows.starts[:-1]]
            return np.asarray(scores + intercept)

        def row(sparse: tuple[Sequence[int], Sequence[float]]) -> list[float]:
            positions, numbers = sparse
            return [sum(map(mul, [weights[i] for i in positions], numbers)) + constant for weights, constant in pairs]

        return Kernel(batch, row)
