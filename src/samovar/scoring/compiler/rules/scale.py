"""Scalers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import transform
from samovar.scoring.ops import Affine, Clip, Normalize, Scale, Threshold
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.scoring.compiler.values import Dense, Draft, Value

_DATA = "sklearn.preprocessing._data"


@transform(f"{_DATA}.StandardScaler")
def standard(step: Any, value: Value, draft: Draft) -> Value:
    """``(x - mean) / scale``."""
    dense = draft.checked(value, gaps=True)
    return affine(draft, dense, step.mean_ if step.with_mean else None, step.scale_ if step.with_std else None)


@transform(f"{_DATA}.RobustScaler")
def robust(step: Any, value: Value, draft: Draft) -> Value:
    """``(x - center) / scale``."""
    dense = draft.checked(value, gaps=True)
    if dense.single:
        raise NotLowered("RobustScaler rounds float32 twice.")  # its statistics stay float64
    return affine(draft, dense, step.center_ if step.with_centering else None, step.scale_ if step.with_scaling else None)


@transform(f"{_DATA}.MaxAbsScaler")
def largest(step: Any, value: Value, draft: Draft) -> Value:
    """``x / scale``."""
    dense = draft.checked(value, gaps=True)
    if dense.single:
        raise NotLowered("MaxAbsScaler of float32.")
    scaled = affine(draft, dense, None, step.scale_)
    return draft.then(Clip((scaled.number,), -1.0, 1.0), scaled) if step.clip else scaled


@transform(f"{_DATA}.MinMaxScaler")
def bounds(step: Any, value: Value, draft: Draft) -> Value:
    """``x * scale + min``, perhaps clipped."""
    dense = draft.checked(value, gaps=True)
    factor, offset = np.asarray(step.scale_), np.asarray(step.min_)
    if dense.single:
        raise NotLowered("MinMaxScaler of float32.")
    scaled = draft.then(Scale((dense.number,), Array.of(factor, "f8"), Array.of(offset, "f8")), dense)
    low, high = map(float, step.feature_range)
    return draft.then(Clip((scaled.number,), low, high), scaled) if step.clip else scaled


@transform(f"{_DATA}.Normalizer")
def normalizer(step: Any, value: Value, draft: Draft) -> Value:
    """Rows over their norm."""
    dense = draft.checked(value)
    if dense.single:
        raise NotLowered("Normalizer of float32.")
    return draft.then(Normalize((dense.number,), step.norm), dense)


@transform(f"{_DATA}.Binarizer")
def binarizer(step: Any, value: Value, draft: Draft) -> Value:
    """Above the threshold or not."""
    dense = draft.checked(value)
    if dense.single:
        raise NotLowered("Binarizer of float32.")
    return draft.then(Threshold((dense.number,), float(step.threshold)), dense, finite=True)


def affine(draft: Draft, dense: Dense, shift: Sequence[float] | None, scale: Sequence[float] | None) -> Dense:
    """Append ``(x - shift) / scale``; None stands for nothing to do."""
    if shift is None and scale is None:
        return dense
    zeros, ones = np.zeros(dense.width), np.ones(dense.width)
    if dense.sparse and scale is not None:  # scikit-learn multiplies sparse matrices by the reciprocal
        return draft.then(Scale((dense.number,), Array.of(1.0 / np.asarray(scale), "f8"), Array.of(zeros)), dense)
    low, unit = zeros if shift is None else np.asarray(shift), ones if scale is None else np.asarray(scale)
    if not dense.single:
        return draft.then(Affine((dense.number,), Array.of(low, "f8"), Array.of(unit, "f8")), dense)
    # scikit-learn rounds the statistics, and the result of each of the two steps.
    moved = draft.then(Affine((dense.number,), Array.of(low.astype("f4"), "f8"), Array.of(ones)), dense)
    return draft.then(Affine((moved.number,), Array.of(zeros), Array.of(unit.astype("f4"), "f8")), moved)
