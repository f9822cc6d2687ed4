"""Fold counting a text's n-grams, weighing them and a linear map of them into one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from samovar.scoring.compiler.fuse.edit import Editor
from samovar.scoring.ops import Count, SparseLinear, SparseLog, SparseNorm, SparseScale, TextLinear
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.scoring.ops import AnyOp
    from samovar.scoring.program import Program


def fold(program: Program) -> Program:
    """Return the program with every such chain folded."""
    return Editor(program).run(_folded)


def _folded(editor: Editor, node: AnyOp) -> int:
    if isinstance(node, SparseLinear) and (folded := _text(editor, node)) is not None:
        return editor.add(folded)
    return editor.add(node)


def _text(editor: Editor, node: SparseLinear) -> TextLinear | None:
    before = editor.maker(node.inputs[0])
    norm: Literal["", "l1", "l2", "max"] = ""
    if isinstance(before, SparseNorm):
        norm, before = before.norm, editor.maker(before.inputs[0])
    scale = np.ones(node.coefficients.shape[1])
    while isinstance(before, SparseScale):
        scale, before = scale * before.factors.open(), editor.maker(before.inputs[0])
    logarithm = isinstance(before, SparseLog)
    if isinstance(before, SparseLog):
        before = editor.maker(before.inputs[0])
    if not isinstance(before, Count):
        return None
    counting: Literal["plain", "binary", "log"] = "binary" if before.binary else "log" if logarithm else "plain"
    return _lean(before, scale, node, counting, norm)


def _lean(
    count: Count,
    scale: np.ndarray,
    node: SparseLinear,
    counting: Literal["plain", "binary", "log"],
    norm: Literal["", "l1", "l2", "max"],
) -> TextLinear:
    """Leave out the terms that change nothing."""
    matrix = node.coefficients.open()
    kept = np.flatnonzero((matrix != 0).any(axis=0) | (norm != ""))
    terms = tuple(count.terms[index] for index in kept.tolist())
    arrays = Array.of(scale[kept]), Array.of(matrix[:, kept]), node.intercept
    return TextLinear(count.inputs, count.analyzer, terms, *arrays, counting, norm)
