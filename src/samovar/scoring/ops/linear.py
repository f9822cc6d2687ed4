"""Scaling, linear maps, and the links from decisions to probabilities."""

from __future__ import annotations

from math import exp, fsum
from operator import mul
from typing import TYPE_CHECKING

import numpy as np

from samovar.scoring.ops.base import Array, Csr, Kernel, Op

if TYPE_CHECKING:
    from collections.abc import Sequence


class Affine(Op, frozen=True):
    """``(x - shift) / scale``, position by position, as the standard and robust scalers compute it."""

    shift: Array
    scale: Array

    def open(self) -> Kernel:
        """See `Op.open`."""
        shift, scale = self.shift.open(), self.scale.open()
        pairs = list(zip(shift.tolist(), scale.tolist(), strict=True))
        return Kernel(
            lambda dense: (dense - shift) / scale,
            lambda dense: [(value - low) / unit for value, (low, unit) in zip(dense, pairs, strict=True)],
        )


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
            return scores + intercept

        def row(sparse: tuple[Sequence[int], Sequence[float]]) -> list[float]:
            positions, numbers = sparse
            return [sum(map(mul, [weights[i] for i in positions], numbers)) + constant for weights, constant in pairs]

        return Kernel(batch, row)


class Sigmoid(Op, frozen=True):
    """One decision into the probabilities of two classes."""

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(_sigmoid_batch, lambda decision: _sigmoid(decision[0]))


def _sigmoid_batch(decision: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        share = 1.0 / (1.0 + np.exp(-decision[:, 0]))
    return np.stack([1.0 - share, share], axis=1)


def _sigmoid(decision: float) -> list[float]:
    share = 1.0 / (1.0 + exp(-decision)) if decision > -700 else exp(decision)  # exp(-x) would overflow
    return [1.0 - share, share]


class Softmax(Op, frozen=True):
    """Decisions into probabilities that sum to one."""

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(_softmax_batch, _softmax)


def _softmax_batch(decisions: np.ndarray) -> np.ndarray:
    powers = np.exp(decisions - decisions.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _softmax(decisions: Sequence[float]) -> list[float]:
    top = max(decisions)
    powers = [exp(value - top) for value in decisions]
    total = fsum(powers)
    return [power / total for power in powers]
