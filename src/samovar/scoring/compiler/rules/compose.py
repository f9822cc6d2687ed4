"""Steps side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import lower_transform, transform
from samovar.scoring.compiler.values import WIDE, Dense, Frame, Sparse
from samovar.scoring.ops import Select, SparseScale, SparseSelect, Weighted
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.scoring.compiler.values import Draft, Value


@transform("sklearn.compose._column_transformer.ColumnTransformer")
def columns(step: Any, value: Value, draft: Draft) -> Value:
    """Each transformer on its columns, side by side; weights multiply."""
    where = _where(step, value)
    parts: list[Value] = []
    for name, inner, chosen in step.transformers_:
        positions = step._transformer_to_input_indices[name]  # noqa: SLF001 - fitted positions, whatever the selector was
        if (isinstance(inner, str) and inner == "drop") or not len(positions):
            continue
        part = take(draft, value, [where(position) for position in positions])
        if isinstance(part, Frame) and isinstance(chosen, str | int):
            part = replace(part, series=True)
        if not isinstance(inner, str):
            part = lower_transform(inner, part, draft)
        parts.append(_weighted(draft, part, (step.transformer_weights or {}).get(name)))
    if not step.sparse_output_ and sum(part.width for part in parts) <= WIDE:
        # scikit-learn fills it up: the steps after it compute with a plain matrix, which may have gaps beside the text.
        parts = [draft.dense(part) if isinstance(part, Sparse) else part for part in parts]
    return _marked(draft, draft.join(parts), sparse=bool(step.sparse_output_))


@transform("sklearn.pipeline.FeatureUnion")
def union(step: Any, value: Value, draft: Draft) -> Value:
    """Each transformer on all columns, side by side; weights multiply."""
    parts: list[Value] = []
    for name, inner in step.transformer_list:
        if isinstance(inner, str) and inner == "drop":
            continue
        part = value if isinstance(inner, str) else lower_transform(inner, value, draft)
        parts.append(_weighted(draft, part, (step.transformer_weights or {}).get(name)))
    return draft.join(parts)


def take(draft: Draft, value: Value, positions: Sequence[int]) -> Value:
    """Return some columns of a value."""
    if isinstance(value, Frame):
        return value.take(positions)
    if isinstance(value, Sparse):
        return Sparse(draft.add(SparseSelect((value.number,), tuple(map(int, positions)), value.width)), len(positions))
    if list(positions) == list(range(value.width)):
        return value
    names = tuple(value.name(position) for position in positions)
    number = draft.add(Select((value.number,), tuple(int(position) for position in positions)))
    return Dense(number, len(names), value.single, value.sparse, names, value.finite)


def _where(step: Any, value: Value) -> Any:
    """Return a function from a position at the fit to one in the value: a frame's columns are found by name."""
    fitted = getattr(step, "feature_names_in_", None)
    if fitted is not None and isinstance(value, Frame) and any(value.names):
        places = {name: place for place, name in enumerate(value.names)}
        return lambda position: _place(places, str(fitted[position]))
    if value.width != step.n_features_in_:
        raise NotLowered(f"ColumnTransformer was fitted on {step.n_features_in_} columns and would be given {value.width}.")
    if any(isinstance(chosen, str) for _, _, chosen in step.transformers) and not isinstance(value, Dense):
        raise NotLowered("ColumnTransformer selects columns by name, and the signature has no names.")
    return int


def _place(places: dict[str, int], name: str) -> int:
    try:
        return places[name]
    except KeyError:
        raise NotLowered("ColumnTransformer was fitted on a column that the signature does not have.") from None


def _weighted(draft: Draft, value: Value, weight: float | None) -> Value:
    if weight is None:
        return value
    if isinstance(value, Sparse):
        factors = Array.of(np.full(value.width, float(weight)))
        return Sparse(draft.add(SparseScale((value.number,), factors)), value.width)
    dense = draft.dense(value)
    return draft.then(Weighted((dense.number,), float(weight)), dense)


def _marked(draft: Draft, value: Value, *, sparse: bool) -> Value:
    """Return a value that is sparse or not as scikit-learn's is; one too wide to be filled up stays sparse."""
    if isinstance(value, Sparse) and not sparse:
        try:
            value = draft.dense(value)
        except NotLowered:
            return value
    return replace(value, sparse=sparse) if isinstance(value, Dense) else value
