"""Fold steps on sparse rows into the linear map after them, and what is linear after that into it."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np

from samovar.scoring.compiler.fuse.edit import Editor
from samovar.scoring.ops import (
    Add,
    Affine,
    Concat,
    Densify,
    Finite,
    Gather,
    Linear,
    OneHot,
    Ordinal,
    Scale,
    Select,
    SparseLinear,
    SparseScale,
    SparseSelect,
    Stack,
    Weighted,
)
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.scoring.ops import AnyOp
    from samovar.scoring.program import Program

_MADE_OF_SPARSE = (SparseLinear, Densify, Add)


def fold(program: Program) -> Program:
    """Return the program with every such pair folded."""
    return Editor(program).run(_folded)


def _folded(editor: Editor, node: AnyOp) -> int:
    before = editor.maker(node.inputs[0]) if node.inputs else None
    match node, before:
        case Linear(single=True), _:
            pass  # sums of float32 are not those of float64
        case SparseLinear(), SparseScale() | SparseSelect() | Stack():
            return _into_sparse(editor, node, before)
        case Linear(), Densify():
            return _folded(editor, SparseLinear(before.inputs, node.coefficients, node.intercept))
        case Linear() | Affine() | Scale() | Weighted(), SparseLinear() if editor.alone(node.inputs[0]):
            return _onto_sparse(editor, node, before)
        case Linear() | Finite(), Concat() if any(isinstance(editor.maker(part), _MADE_OF_SPARSE) for part in before.inputs):
            return _apart(editor, node, before)
        case Finite(), SparseLinear() | Densify() | Add():
            return node.inputs[0]  # sparse rows are finite, and so is what is linear in them
    return editor.add(node)


def _into_sparse(editor: Editor, node: SparseLinear, before: AnyOp) -> int:
    matrix = node.coefficients.open()
    match before:
        case SparseScale():
            return _folded(editor, SparseLinear(before.inputs, Array.of(matrix * before.factors.open()), node.intercept))
        case SparseSelect():
            wide = np.zeros((len(matrix), before.width))
            wide[:, list(before.positions)] = matrix
            return _folded(editor, SparseLinear(before.inputs, Array.of(wide), node.intercept))
        case Stack() if editor.alone(node.inputs[0]):
            kinds = [SparseLinear if sparse else Linear for sparse in before.sparse]
            return _sum(editor, node, before.inputs, before.widths, kinds)
    return editor.add(node)


def _onto_sparse(editor: Editor, node: Linear | Affine | Scale | Weighted, before: SparseLinear) -> int:
    inner, constant = before.coefficients.open(), before.intercept.open()
    match node:
        case Linear():
            outer = node.coefficients.open()
            inner, constant = outer @ inner, outer @ constant + node.intercept.open()
        case Affine():
            units = node.scale.open()
            inner, constant = inner / units[:, None], (constant - node.shift.open()) / units
        case Scale():
            factors = node.factor.open()
            inner, constant = inner * factors[:, None], constant * factors + node.offset.open()
        case Weighted():
            inner, constant = inner * node.weight, constant * node.weight
    return _folded(editor, SparseLinear(before.inputs, Array.of(inner), Array.of(constant)))


def _apart(editor: Editor, node: Linear | Finite, before: Concat) -> int:
    """Read each part of a concatenation by itself."""
    widths = _widths(editor, before, node.coefficients.shape[1] if isinstance(node, Linear) else len(node.names))
    if widths is None:
        return editor.add(node)
    if isinstance(node, Linear):
        return _sum(editor, node, before.inputs, widths, [Linear] * len(widths))
    spans = pairwise(accumulate(widths, initial=0))
    parts = [
        _folded(editor, Finite((number,), node.names[start:end], node.gaps))
        for number, (start, end) in zip(before.inputs, spans, strict=True)
    ]
    return editor.add(Concat(tuple(parts)))


def _sum(
    editor: Editor,
    node: Linear | SparseLinear,
    inputs: Sequence[int],
    widths: Sequence[int],
    kinds: Sequence[type[Linear | SparseLinear]],
) -> int:
    """Append a linear map of each part of what the node reads, and their sum; the intercept goes with the first."""
    matrix, constant = node.coefficients.open(), node.intercept.open()
    parts = []
    for number, (start, end), kind in zip(inputs, pairwise(accumulate(widths, initial=0)), kinds, strict=True):
        parts.append(_folded(editor, kind((number,), Array.of(matrix[:, start:end]), Array.of(constant))))
        constant = np.zeros(len(constant))
    return editor.add(Add(tuple(parts), len(constant)))


def _widths(editor: Editor, node: Concat, total: int) -> list[int] | None:
    """Return the number of positions of each part, if all but one tell; None otherwise."""
    widths = [_width(editor.maker(number)) for number in node.inputs]
    if widths.count(None) > 1:
        return None
    rest = total - sum(width or 0 for width in widths)
    return [rest if width is None else width for width in widths]


def _width(node: AnyOp | None) -> int | None:
    width: int | None = None
    match node:
        case Add() | OneHot() | Densify():
            width = node.width
        case Linear() | SparseLinear():
            (width,) = node.intercept.shape
        case Affine():
            (width,) = node.shift.shape
        case Scale():
            (width,) = node.factor.shape
        case Gather():
            width = len(node.inputs)
        case Finite() if node.names:
            width = len(node.names)
        case Select():
            width = len(node.positions)
        case Ordinal():
            width = 1
    return width
