"""Arithmetic of single precision in the order of onnxruntime, so that both give the same bits.

Products of float32 numbers are exact in float64; a sum of one with a float32 number, rounded to float32, is a fused multiply-add.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from samovar.scoring.ops.base import Array, Kernel, Op

if TYPE_CHECKING:
    from collections.abc import Sequence

_SMALL = 200  # multiplications that plain Python does faster than numpy
_SPLIT = 2.0**29 + 1.0  # Veltkamp's splitting (Dekker 1971): what is left of a float64 is its 24 leading bits
_SAFE = 1e-30, 1e30  # magnitudes within which the leading bits are a float32; others are left to numpy


class SingleLinear(Op, frozen=True):
    """``x @ coefficients.T + intercept`` in float32: position after position into one fused sum, then the intercept.

    Attributes:
        coefficients: (outputs, k) float32.
        intercept: (outputs) float32.
        block: positions that are summed apart from others, as packed matrices are; 0 for all together.
    """

    coefficients: Array
    intercept: Array
    block: int = 0

    def open(self) -> Kernel:
        """See `Op.open`."""
        matrix, intercept = self.coefficients.open().astype(np.float64), self.intercept.open().astype(np.float64)
        outputs, width = matrix.shape
        step = self.block or max(1, width)
        weights = np.ascontiguousarray(matrix.T)

        def batch(dense: np.ndarray) -> np.ndarray:
            with np.errstate(over="ignore", invalid="ignore"):
                total = np.zeros((len(dense), outputs))
                for start in range(0, width, step):
                    part = np.zeros_like(total)
                    for place in range(start, min(start + step, width)):
                        part = _rounded(part + dense[:, place : place + 1] * weights[place])
                    total = _rounded(total + part)
                return _rounded(total + intercept)

        def by_numpy(dense: Sequence[float]) -> list[float]:
            return batch(np.array([dense]))[0].tolist()  # type: ignore[no-any-return]

        if matrix.size > _SMALL or step < width:
            return Kernel(batch, by_numpy)
        pairs = list(zip(matrix.tolist(), intercept.tolist(), strict=True))

        def row(dense: Sequence[float]) -> list[float]:
            sums = []
            for numbers, constant in pairs:
                total = 0.0
                for weight, x in zip(numbers, dense, strict=True):
                    total += weight * x
                    high = total * _SPLIT
                    total = high - (high - total)
                    if total and not _SAFE[0] < abs(total) < _SAFE[1]:
                        return by_numpy(dense)
                total += constant
                high = total * _SPLIT
                sums.append(high - (high - total))
            return sums

        return Kernel(batch, row)


def _rounded(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(np.float32).astype(np.float64)


_TOP = [4.37031012579801e-11, 1.15627324459942e-07, 6.08574864600143e-05, 8.51377133304701e-03, 2.48287947061529e-01]
_BOTTOM = [
    6.10247389755681e-13,
    5.76102136993427e-09,
    6.29106785017040e-06,
    1.70198817374094e-03,
    1.16817656904453e-01,
    9.93151921023180e-01,
]
"""Coefficients of the rational minimax approximation of the logistic function that Eigen published and onnxruntime uses."""

_LAST = 18.0  # beyond it the approximation is level


class SingleSigmoid(Op, frozen=True):
    """The logistic function of each float32 number, approximated as onnxruntime does: within 2e-7 of the true one."""

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(_sigmoid, lambda dense: _sigmoid(np.array(dense)).tolist())


def _sigmoid(dense: np.ndarray) -> np.ndarray:
    x = np.clip(dense, -_LAST, _LAST)
    square = _rounded(x * x)
    top = _rounded(_polynomial(_TOP, square) * x)
    return np.asarray(np.clip(_rounded(_rounded(top / _polynomial(_BOTTOM, square)) + 0.5), 0.0, 1.0))


def _polynomial(coefficients: Sequence[float], x: np.ndarray) -> np.ndarray:
    first, *others = np.array(coefficients, dtype=np.float32).tolist()
    total = np.full_like(x, first)
    for coefficient in others:
        total = _rounded(total * x + coefficient)
    return total


class SingleLogistic(Op, frozen=True):
    """``1 / (1 + exp(-x))`` of each float32 number, step by step; below zero it is one less that of ``-x``."""

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(_logistic, lambda dense: _logistic(np.array(dense)).tolist())


def _logistic(dense: np.ndarray) -> np.ndarray:
    share = _rounded(1.0 / _rounded(1.0 + _rounded(np.exp(-np.abs(dense)))))
    return np.where(dense < 0.0, _rounded(1.0 - share), share)


class SingleSoftmax(Op, frozen=True):
    """Decisions into probabilities, every step in float32."""

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(_softmax, lambda dense: _softmax(np.array([dense]))[0].tolist())


def _softmax(dense: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        powers = _rounded(np.exp(_rounded(dense - dense.max(axis=1, keepdims=True))))
        total = np.zeros(len(dense))
        for place in range(dense.shape[1]):
            total = _rounded(total + powers[:, place])
        return _rounded(powers / total[:, None])


class SingleOrder(Op, frozen=True):
    """Scores whose greatest is the one that ``>`` finds from the first on: NaN is passed over, but not where it is the first."""

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(_ordered, lambda dense: _ordered(np.array([dense]))[0].tolist())


def _ordered(dense: np.ndarray) -> np.ndarray:
    first = np.arange(dense.shape[1]) == 0
    return np.where(np.isnan(dense), np.where(first, np.inf, -np.inf), dense)


class SingleShares(Op, frozen=True):
    """Rows over the sum of their magnitudes, or over what the norm is, in float32; a row whose norm is zero stays.

    Attributes:
        norm: ``l1``, ``l2``, or ``max`` (of the numbers, not of their magnitudes, as onnxruntime has it).
    """

    norm: Literal["l1", "l2", "max"]

    def open(self) -> Kernel:
        """See `Op.open`."""

        def batch(dense: np.ndarray) -> np.ndarray:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                norms = _norms(dense, self.norm)[:, None]
                return _rounded(np.where(norms == 0.0, dense, dense / norms))

        return Kernel(batch, lambda dense: batch(np.array([dense]))[0].tolist())


def _norms(dense: np.ndarray, norm: str) -> np.ndarray:
    if norm == "max":
        return np.asarray(dense.max(axis=1))
    total = np.zeros(len(dense))
    for place in range(dense.shape[1]):
        column = dense[:, place]
        total = _rounded(total + (np.abs(column) if norm == "l1" else _rounded(column * column)))
    return total if norm == "l1" else _rounded(np.sqrt(total))
