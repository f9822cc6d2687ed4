"""When two answers are the same.

In double precision a number may differ by one part in 10^9 (or 10^-12 near zero): both sides add up the same terms, in another
order. A model that computes in single precision may differ by four units in the last place of single precision. A label may
differ only where the model itself is undecided within that tolerance: a tie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from samovar.scoring.engine import Scores

Precision = Literal["float64", "float32"]

_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
_UNITS = 4


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing n rows gave.

    Attributes:
        wrong: rows that differ.
        ties: rows whose labels differ where the model is undecided.
        worst: largest absolute difference of a number among the rows that agree.
    """

    wrong: int = 0
    ties: int = 0
    worst: float = 0.0

    def __add__(self, other: Compared) -> Compared:
        return Compared(self.wrong + other.wrong, self.ties + other.ties, max(self.worst, other.worst))


def tolerance(values: np.ndarray, precision: Precision) -> np.ndarray:
    """Return the largest difference allowed beside each of the native model's numbers."""
    if precision == "float32":
        with np.errstate(over="ignore", invalid="ignore"):
            unit = np.spacing(np.abs(values).astype(np.float32)).astype(np.float64)
        return np.asarray(np.nan_to_num(_UNITS * unit, nan=0.0, posinf=0.0))
    return np.asarray(_ABSOLUTE + _RELATIVE * np.abs(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)))


def undecided(decisions: np.ndarray, *, sign: bool) -> np.ndarray:
    """Return at which of n rows a model that gives labels only cannot decide within the tolerance.

    Args:
        decisions: what it decides by, (n, classes).
        sign: whether the sign of the one column decides; else the largest column does.
    """
    if sign:
        return np.asarray(np.abs(decisions[:, 0]) <= _RELATIVE)
    scale = _ABSOLUTE + _RELATIVE * np.abs(decisions).max(axis=1)
    top = np.sort(decisions, axis=1)[:, -2:]
    return np.asarray(top[:, 1] - top[:, 0] <= scale)


def compare(native: Scores, ours: Scores, precision: Precision, ties: np.ndarray | None = None) -> Compared:
    """Compare the answers to the same n rows.

    Args:
        native: the model's own.
        ours: the program's.
        precision: the model's.
        ties: mask (n,) of rows at which a label without probabilities is a tie.
    """
    if native.probabilities is None or ours.probabilities is None:
        if (native.probabilities is None) != (ours.probabilities is None):
            return Compared(wrong=len(native.labels))
        return _without_shares(native.labels, ours.labels, precision, ties)
    theirs, mine = np.asarray(native.probabilities, dtype=np.float64), np.asarray(ours.probabilities, dtype=np.float64)
    if theirs.shape != mine.shape:
        return Compared(wrong=len(theirs))
    good, worst = _close(theirs, mine, precision)
    differs = ~_same(native.labels, ours.labels)
    tied = differs & good & _tied(theirs, precision)
    return Compared(int(np.sum(~good | (differs & ~tied))), int(np.sum(tied)), worst)


def _close(theirs: np.ndarray, mine: np.ndarray, precision: Precision) -> tuple[np.ndarray, float]:
    """Return which rows are close, and the largest difference among them."""
    with np.errstate(invalid="ignore"):
        gap = np.where((theirs == mine) | (np.isnan(theirs) & np.isnan(mine)), 0.0, np.abs(theirs - mine))
    gap = np.nan_to_num(gap, nan=np.inf)
    axes = tuple(range(1, gap.ndim))
    good = np.all(gap <= tolerance(theirs, precision), axis=axes) if axes else gap <= tolerance(theirs, precision)
    return good, float(gap[good].max(initial=0.0))


def _tied(shares: np.ndarray, precision: Precision) -> np.ndarray:
    if shares.shape[1] < 2:
        return np.zeros(len(shares), dtype=bool)
    top = np.sort(shares, axis=1)[:, -2:]
    return np.asarray(top[:, 1] - top[:, 0] <= 2 * tolerance(top[:, 1], precision))


def _same(theirs: Any, mine: Any) -> np.ndarray:
    pairs = zip(_list(theirs), _list(mine), strict=True)
    return np.array([type(a) is type(b) and a == b for a, b in pairs], dtype=bool)


def _list(values: Any) -> list[Any]:
    return np.asarray(values).tolist() if isinstance(values, np.ndarray) else [_builtin(value) for value in values]


def _builtin(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _without_shares(theirs: Any, mine: Any, precision: Precision, ties: np.ndarray | None) -> Compared:
    native = np.asarray(theirs)
    if native.dtype.kind == "f":
        if np.shape(mine) != native.shape:
            return Compared(wrong=len(native))
        good, worst = _close(native.astype(np.float64), np.asarray(mine, dtype=np.float64), precision)
        return Compared(int(np.sum(~good)), 0, worst)
    differs = ~_same(theirs, mine)
    tied = differs & (np.zeros(len(native), dtype=bool) if ties is None else ties)
    return Compared(int(np.sum(differs & ~tied)), int(np.sum(tied)))
