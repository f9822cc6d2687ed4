"""Steps on sparse rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import sparse_transform
from samovar.scoring.compiler.values import Sparse
from samovar.scoring.ops import SparseNorm, SparseScale, SparseThreshold
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft

_DATA = "sklearn.preprocessing._data"


@sparse_transform(f"{_DATA}.StandardScaler", f"{_DATA}.RobustScaler", f"{_DATA}.MaxAbsScaler")
def scaled(step: Any, value: Sparse, draft: Draft) -> Sparse:
    """Times the reciprocal of the scale; the centre stays, or the step would not have taken sparse rows."""
    scale = step.scale_ if getattr(step, "with_std", True) and getattr(step, "with_scaling", True) else None
    if scale is None:
        return value
    if getattr(step, "clip", False):
        raise NotLowered("MaxAbsScaler clips sparse rows.")
    return Sparse(draft.add(SparseScale((value.number,), Array.of(1.0 / np.asarray(scale), "f8"))), value.width)


@sparse_transform(f"{_DATA}.Normalizer")
def normalizer(step: Any, value: Sparse, draft: Draft) -> Sparse:
    """Rows over their norm."""
    return Sparse(draft.add(SparseNorm((value.number,), step.norm)), value.width)


@sparse_transform(f"{_DATA}.Binarizer")
def binarizer(step: Any, value: Sparse, draft: Draft) -> Sparse:
    """Above the threshold or not; the threshold is not negative, or the step would not have taken sparse rows."""
    return Sparse(draft.add(SparseThreshold((value.number,), float(step.threshold))), value.width)


@sparse_transform("sklearn.preprocessing._function_transformer.FunctionTransformer")
def function(step: Any, value: Sparse, draft: Draft) -> Sparse:  # noqa: ARG001 - the form of every rule
    """Identity only."""
    if step.func is not None:
        raise NotLowered("FunctionTransformer calls a function of its own.")
    return value
