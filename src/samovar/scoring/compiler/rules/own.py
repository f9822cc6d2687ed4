"""Samovar's own steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import sparse_transform, transform
from samovar.scoring.compiler.values import Frame, Sparse
from samovar.scoring.ops import Filled, SparseScale, TextNumber
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value
    from samovar.scoring.program import ColumnKind

_BLANK = "no_text_given"  # transformers.NO_TEXT; a test compares them, for importing it would bring scikit-learn


@transform("samovar.transformers.ReadTexts")
def read_texts(step: Any, value: Value, draft: Draft) -> Frame:
    """Texts filled, and numbers of them in the place of their columns; what the signature lacks comes last, as pandas puts it."""
    if not isinstance(value, Frame) or not all(value.names):
        raise NotLowered("ReadTexts is given something else than named columns.")
    places = dict(zip(value.names, zip(value.numbers, value.kinds, strict=True), strict=True))
    made: dict[str, tuple[int, ColumnKind]] = {}
    for name in step.columns:
        made[name] = draft.add(Filled((_text(places, name),), _BLANK)), "str"
    for name, number, of in step.numbers:
        made[name] = draft.add(TextNumber(tuple(_text(places, one) for one in of), number)), "float64"
    if step.joined:
        made["+".join(step.columns)] = draft.add(Filled(tuple(_text(places, one) for one in step.columns), _BLANK)), "str"
    whole = places | made
    return Frame(tuple(number for number, _ in whole.values()), tuple(whole), tuple(kind for _, kind in whole.values()))


def _text(places: dict[str, tuple[int, ColumnKind]], name: str) -> int:
    number, kind = places.get(name, (0, ""))
    if kind != "str":
        raise NotLowered("ReadTexts reads a column that the signature does not have as text.")
    return number


@sparse_transform("samovar.transformers.LogCountRatio")
def log_count_ratio(step: Any, value: Sparse, draft: Draft) -> Sparse:
    """Each term times its weight."""
    weights = np.asarray(step.weights_)
    if weights.dtype != np.float64 or weights.shape != (value.width,):
        raise NotLowered("LogCountRatio was fitted on other terms.")
    return Sparse(draft.add(SparseScale((value.number,), Array.of(weights))), value.width)
