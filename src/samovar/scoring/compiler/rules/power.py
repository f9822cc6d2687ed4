"""Transformers that bend numbers towards a distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import transform
from samovar.scoring.compiler.rules.scale import standard
from samovar.scoring.ops import Power, Quantiles
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value

_DATA = "sklearn.preprocessing._data"


@transform(f"{_DATA}.PowerTransformer")
def power(step: Any, value: Value, draft: Draft) -> Value:
    """Yeo-Johnson, perhaps scaled after it."""
    if step.method != "yeo-johnson":
        raise NotLowered(f"PowerTransformer uses {step.method}.")
    dense = draft.checked(value, gaps=True)
    if dense.single:
        raise NotLowered("PowerTransformer of float32.")
    bent = draft.then(Power((dense.number,), Array.of(step.lambdas_, "f8")), dense)
    return standard(step._scaler, bent, draft) if step.standardize else bent  # noqa: SLF001 - as transform does


@transform(f"{_DATA}.QuantileTransformer")
def quantile(step: Any, value: Value, draft: Draft) -> Value:
    """Ranks among the fitted quantiles."""
    dense = draft.checked(value, gaps=True)
    if dense.single or dense.sparse:
        raise NotLowered("QuantileTransformer of float32 or of a sparse matrix.")
    arrays = Array.of(step.quantiles_, "f8"), Array.of(step.references_, "f8")
    return draft.then(Quantiles((dense.number,), *arrays, step.output_distribution == "normal"), dense)
