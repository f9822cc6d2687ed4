"""A shadow's answers beside the champion's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLOSE = 1e-9  # relative: what two exact ways to compute one number may differ by


def differing(labels: Sequence[Any], others: Sequence[Any]) -> int:
    """Return how many labels differ; numbers differ beyond what rounding does."""
    return sum(not _same(one, other) for one, other in zip(labels, others, strict=True))


def said(labels: Sequence[Any], shares: Sequence[Any] | None) -> list[Any]:
    """Return what rows were answered with: where there is no label, a list of numbers is the answer."""
    return list(labels) if shares is None else [shares[row] if label is None else label for row, label in enumerate(labels)]


def differences(
    labels: Sequence[Any], others: Sequence[Any], shares: Sequence[Any] | None, theirs: Sequence[Any] | None
) -> list[float]:
    """Return how far the scores of each row are apart.

    Args:
        labels: n labels.
        others: n labels of the other version.
        shares: n lists of probabilities, or None.
        theirs: those of the other version, classes in the same order.

    Returns:
        The largest difference of a class's probability; without probabilities the difference of numbers; nothing for other labels.
    """
    if shares is not None and theirs is not None:
        try:
            apart = np.abs(np.asarray(shares, dtype=float) - np.asarray(theirs, dtype=float))
        except (ValueError, TypeError):  # lists, but not of numbers, or not of as many
            return []
        return [float(value) for value in apart.reshape(len(labels), -1).max(axis=1) if math.isfinite(value)]
    pairs = zip(labels, others, strict=True)
    found = [abs(float(one) - float(other)) for one, other in pairs if _is_number(one) and _is_number(other)]
    return [value for value in found if math.isfinite(value)]


def _same(one: Any, other: Any) -> bool:
    if _is_number(one) and _is_number(other):
        return math.isclose(one, other, rel_tol=_CLOSE, abs_tol=1e-12) or (one != one and other != other)  # noqa: PLR0124 - NaN
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
