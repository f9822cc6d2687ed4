"""Projections onto fewer dimensions: linear maps, which fold with what is linear after them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import sparse_transform, transform
from samovar.scoring.compiler.values import Dense, Sparse
from samovar.scoring.ops import Affine, Linear, SparseLinear
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value

_DECOMPOSITION = "sklearn.decomposition"
_PROJECTIONS = (
    "sklearn.random_projection.GaussianRandomProjection",
    "sklearn.random_projection.SparseRandomProjection",
)


@transform(f"{_DECOMPOSITION}._pca.PCA", f"{_DECOMPOSITION}._incremental_pca.IncrementalPCA")
@sparse_transform(f"{_DECOMPOSITION}._pca.PCA")
def principal(step: Any, value: Value, draft: Draft) -> Value:
    """``x @ components.T - mean @ components.T``, over the deviations when whitened."""
    components = np.asarray(step.components_)
    offset = -(np.asarray(step.mean_).reshape(1, -1) @ components.T)[0]
    dense = project(step, value, draft, components, offset)
    if not step.whiten:
        return dense
    scale = np.sqrt(step.explained_variance_)
    scale[scale < np.finfo(scale.dtype).eps] = np.finfo(scale.dtype).eps
    return draft.then(Affine((dense.number,), Array.of(np.zeros(len(scale))), Array.of(scale, "f8")), dense, finite=True)


@transform(f"{_DECOMPOSITION}._truncated_svd.TruncatedSVD", *_PROJECTIONS)
@sparse_transform(f"{_DECOMPOSITION}._truncated_svd.TruncatedSVD", *_PROJECTIONS)
def projection(step: Any, value: Value, draft: Draft) -> Value:
    """``x @ components.T``."""
    components = step.components_
    if isinstance(value, Sparse) and not getattr(step, "dense_output", True):
        raise NotLowered("SparseRandomProjection gives sparse rows.")
    matrix = components.toarray() if hasattr(components, "toarray") else np.asarray(components)
    return project(step, value, draft, matrix, np.zeros(len(matrix)))


@transform(f"{_DECOMPOSITION}._factor_analysis.FactorAnalysis")
def factors(step: Any, value: Value, draft: Draft) -> Value:
    """``(x - mean) @ weights.T @ covariance``: the expected factors."""
    components = np.asarray(step.components_)
    weights = components / step.noise_variance_
    covariance = np.linalg.inv(np.eye(len(components)) + weights @ components.T)
    matrix = (weights.T @ covariance).T
    return project(step, value, draft, matrix, -(matrix @ np.asarray(step.mean_)))


@transform("sklearn.discriminant_analysis.LinearDiscriminantAnalysis")
def discriminants(step: Any, value: Value, draft: Draft) -> Value:
    """``(x - mean) @ scalings``; without the mean when solved by eigenvalues."""
    matrix = np.asarray(step.scalings_)[:, : step._max_components].T  # noqa: SLF001 - fitted, and kept nowhere else
    mean = np.asarray(step.xbar_) if step.solver == "svd" else np.zeros(matrix.shape[1])
    return project(step, value, draft, np.ascontiguousarray(matrix), -(matrix @ mean))


def project(step: Any, value: Value, draft: Draft, components: np.ndarray, offset: np.ndarray) -> Dense:
    """Append ``x @ components.T + offset``.

    Raises:
        NotLowered: it would be computed in single precision.
    """
    if components.dtype != np.float64:
        raise NotLowered(f"{type(step).__name__} was fitted on float32.")
    arrays = Array.of(components), Array.of(offset, "f8")
    if isinstance(value, Sparse):
        return Dense(draft.add(SparseLinear((value.number,), *arrays)), len(components), finite=True)
    dense = draft.checked(value)  # float32 numbers times float64 components are computed in float64
    return Dense(draft.add(Linear((dense.number,), *arrays)), len(components))
