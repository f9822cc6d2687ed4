"""Numbers bent towards a distribution."""

from __future__ import annotations

from math import expm1, log1p
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from samovar.scoring.ops.base import Array, Kernel, Op

if TYPE_CHECKING:
    from collections.abc import Callable

_EPS = float(np.finfo(np.float64).eps)
_NEAR = 1e-7  # scikit-learn's distance from a bound within which a number counts as beyond it
_NORMAL = NormalDist()
_LOW, _HIGH = (_NORMAL.inv_cdf(share) for share in (_NEAR - np.spacing(1), 1 - (_NEAR - np.spacing(1))))


class Power(Op, frozen=True):
    """The Yeo-Johnson transformation of each position; NaN stays NaN.

    Attributes:
        powers: its lambda, one for each position.
    """

    powers: Array

    def open(self) -> Kernel:
        """See `Op.open`."""
        powers = self.powers.open()
        ones = [_bent(power) for power in powers.tolist()]

        def batch(dense: np.ndarray) -> np.ndarray:
            bent = np.empty(dense.shape)
            with np.errstate(over="ignore", invalid="ignore"):
                for index, power in enumerate(powers.tolist()):
                    bent[:, index] = _bend(dense[:, index], power)
            return bent

        def row(dense: list[float]) -> list[float]:
            try:
                return [one(x) for one, x in zip(ones, dense, strict=True)]
            except OverflowError:
                return batch(np.array([dense]))[0].tolist()  # type: ignore[no-any-return]

        return Kernel(batch, row)


def _bend(x: np.ndarray, power: float) -> np.ndarray:
    bent, up = np.empty(x.shape), x >= 0
    logs = np.log1p(np.abs(x))
    bent[up] = logs[up] if abs(power) < _EPS else np.expm1(power * logs[up]) / power
    down = 2.0 - power
    bent[~up] = -logs[~up] if abs(power - 2.0) <= _EPS else -np.expm1(down * logs[~up]) / down
    return bent


def _bent(power: float) -> Callable[[float], float]:
    down = 2.0 - power

    def one(x: float) -> float:
        log = log1p(abs(x))
        if x >= 0:
            return log if abs(power) < _EPS else expm1(power * log) / power
        return -log if abs(power - 2.0) <= _EPS else -expm1(down * log) / down

    return one


class Quantiles(Op, frozen=True):
    """The share of the fitted rows below each position's number, or the normal number of that share; NaN stays NaN.

    Attributes:
        quantiles: (n, k), ascending.
        references: the share of each of the n.
        normal: whether shares become numbers of the normal distribution.
    """

    quantiles: Array
    references: Array
    normal: bool

    def open(self) -> Kernel:
        """See `Op.open`."""
        columns, shares = np.ascontiguousarray(self.quantiles.open().T), self.references.open()

        def batch(dense: np.ndarray) -> np.ndarray:
            ranked = np.empty(dense.shape)
            for index, quantiles in enumerate(columns):
                ranked[:, index] = self._ranked(dense[:, index], quantiles, shares)
            return ranked

        return Kernel(batch, lambda dense: batch(np.array([dense]))[0].tolist())

    def _ranked(self, x: np.ndarray, quantiles: np.ndarray, shares: np.ndarray) -> np.ndarray:
        near = _NEAR if self.normal else 0.0
        low = x - near < quantiles[0] if self.normal else x == quantiles[0]
        high = x + near > quantiles[-1] if self.normal else x == quantiles[-1]
        # The mean of both directions, because quantiles may be repeated.
        ranked = 0.5 * (np.interp(x, quantiles, shares) - np.interp(-x, -quantiles[::-1], -shares[::-1]))
        ranked[high], ranked[low] = 1.0, 0.0
        ranked[np.isnan(x)] = np.nan
        return np.array([*map(_normal, ranked.tolist())]) if self.normal else ranked


def _normal(share: float) -> float:
    if 0.0 < share < 1.0:
        return min(max(_NORMAL.inv_cdf(share), _LOW), _HIGH)
    return share if share != share else _LOW if share <= 0.0 else _HIGH  # noqa: PLR0124 - NaN
