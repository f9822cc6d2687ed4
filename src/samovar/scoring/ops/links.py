"""The links from decisions to probabilities and values."""

from __future__ import annotations

import functools
from math import exp, expm1, inf, log, tanh
from typing import TYPE_CHECKING, Literal

import numpy as np

from samovar.scoring.ops.base import Kernel, Op

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_NARROW = 7  # up to so many numbers are added one after the other by numpy too

Function = Literal["exp", "expm1", "huber", "logistic", "relu", "tanh"]


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
    if decisions.shape[1] <= _NARROW:
        return _softmax_columns(decisions)
    powers = np.exp(decisions - decisions.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _softmax_columns(decisions: np.ndarray) -> np.ndarray:
    """Do the same in the same order, but column by column: numpy is slow along an axis of few numbers."""
    top = functools.reduce(np.maximum, decisions.T)
    powers: np.ndarray = np.exp(decisions - top[:, None])
    powers /= functools.reduce(np.add, powers.T)[:, None]
    return powers


def _softmax(decisions: Sequence[float]) -> list[float]:
    top = max(decisions)
    powers = [exp(value - top) for value in decisions]
    total = sum(powers)
    return [power / total for power in powers]


class Shares(Op, frozen=True):
    """Independent shares of one against the rest, over their sum; all equal where that is zero."""

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(_shares_batch, _shares)


def _shares_batch(shares: np.ndarray) -> np.ndarray:
    totals = shares.sum(axis=1, keepdims=True)
    nobody = totals[:, 0] == 0
    if nobody.any():
        shares, totals = shares.copy(), totals.copy()
        shares[nobody], totals[nobody] = 1.0, shares.shape[1]
    return np.asarray(shares / totals)


def _shares(shares: Sequence[float]) -> list[float]:
    total = sum(shares)
    return [1.0 / len(shares)] * len(shares) if total == 0 else [share / total for share in shares]


class Complement(Op, frozen=True):
    """The share of the second class into those of both."""

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(lambda share: np.concatenate([1.0 - share, share], axis=1), lambda share: [1.0 - share[0], share[0]])


class LogShares(Op, frozen=True):
    """Joint log likelihoods into probabilities, as naive Bayes computes them."""

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(_log_shares_batch, _log_shares)


def _log_shares_batch(logs: np.ndarray) -> np.ndarray:
    tops = logs.max(axis=1, keepdims=True)
    return np.asarray(np.exp(logs - (tops + np.log(np.exp(logs - tops).sum(axis=1, keepdims=True)))))


def _log_shares(logs: Sequence[float]) -> list[float]:
    top = max(logs)
    total = top + log(sum([exp(value - top) for value in logs]))
    return [exp(value - total) for value in logs]


class Activation(Op, frozen=True):
    """One function of each number."""

    function: Function

    def open(self) -> Kernel:
        """See `Op.open`."""
        batch, one = _FUNCTIONS[self.function]
        if self.function == "relu":
            return Kernel(batch, lambda dense: [0.0 if x < 0.0 else x for x in dense])  # noqa: FURB136 - max() takes four times as long
        return Kernel(batch, lambda dense: [*map(one, dense)])


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + exp(-x)) if x > -700 else exp(x)


def _exp(x: float) -> float:
    try:
        return exp(x)
    except OverflowError:
        return inf


def _expm1(x: float) -> float:
    try:
        return expm1(x)
    except OverflowError:
        return inf


def _logistic_batch(dense: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-dense)))


def _exp_batch(dense: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(dense))


_FUNCTIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[float], float]]] = {
    "exp": (_exp_batch, _exp),
    "expm1": (np.expm1, _expm1),
    "huber": (lambda dense: (np.clip(dense, -1.0, 1.0) + 1.0) / 2.0, lambda x: (min(max(x, -1.0), 1.0) + 1.0) / 2.0),
    "logistic": (_logistic_batch, _logistic),
    "relu": (lambda dense: np.maximum(dense, 0.0), lambda x: max(x, 0.0)),
    "tanh": (np.tanh, tanh),
}
