"""Scalers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.registry import transform
from samovar.scoring.compiler.values import Dense, Draft, Value
from samovar.scoring.ops import Affine
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from collections.abc import Sequence


@transform("sklearn.preprocessing._data.StandardScaler")
def standard(step: Any, value: Value, draft: Draft) -> Value:
    """``(x - mean) / scale``."""
    dense = draft.dense(value)
    return _affine(draft, dense, step.mean_ if step.with_mean else None, step.scale_)


@transform("sklearn.preprocessing._data.RobustScaler")
def robust(step: Any, value: Value, draft: Draft) -> Value:
    """``(x - center) / scale``."""
    dense = draft.dense(value)
    return _affine(draft, dense, step.center_ if step.with_centering else None, step.scale_ if step.with_scaling else None)


def _affine(draft: Draft, dense: Dense, shift: Sequence[float] | None, scale: Sequence[float] | None) -> Dense:
    zeros, ones = np.zeros(dense.width), np.ones(dense.width)
    node = Affine((dense.number,), Array.of(zeros if shift is None else shift), Array.of(ones if scale is None else scale))
    return Dense(draft.add(node), dense.width, dense.single)
