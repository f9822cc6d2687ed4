"""Fold imputers, scalers and encoders into the linear map after them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from samovar.scoring.compiler.fuse.edit import Editor
from samovar.scoring.compiler.fuse.origins import Hit, Number, Sign, trace
from samovar.scoring.ops import Linear, OneHot, Ordinal, Scorecard
from samovar.scoring.ops.base import Array
from samovar.scoring.ops.encode import REFUSE
from samovar.scoring.ops.scorecard import Slope, Table

if TYPE_CHECKING:
    from samovar.scoring.compiler.fuse.origins import Origins
    from samovar.scoring.ops import AnyOp
    from samovar.scoring.program import Program

_LARGE = 1_000_000  # table entries that a plan may carry


def fold(program: Program) -> Program:
    """Return the program with linear maps that read raw columns."""
    return Editor(program).run(_folded)


def _folded(editor: Editor, node: AnyOp) -> int:
    if isinstance(node, Linear) and not node.single:
        origins = trace(editor, node.inputs[0])
        card = None if origins is None else _card(editor, node, origins)
        if card is not None:
            return editor.add(card)
    return editor.add(node)


def _card(editor: Editor, node: Linear, origins: Origins) -> Scorecard | None:
    """Return the scorecard of a linear map; None when a part does not fit into one."""
    weights = node.coefficients.open().T  # one line for each position
    slopes = _slopes(editor, origins, weights)
    encoders = sorted(origins.encoders)
    if slopes is None or not (slopes or encoders):
        return None
    intercept = node.intercept.open().copy()
    tables = []
    for number in encoders:
        encoder = editor.maker(number)
        hits = [(o, w) for o, w in zip(origins.positions, weights, strict=True) if isinstance(o, Hit) and o.encoder == number]
        assert isinstance(encoder, OneHot | Ordinal)
        if len(encoder.keys) * len(intercept) > _LARGE:
            return None
        tables.append((encoder.inputs[0], _table(encoder, hits, len(intercept))))
        intercept += sum((w * o.off for o, w in hits if o.code is not None), np.zeros(len(intercept)))
    inputs = tuple(dict.fromkeys([column for column, _ in (*slopes, *tables)]))
    return Scorecard(
        inputs,
        Array.of(intercept),
        tuple(_placed(slope, inputs.index(column)) for column, slope in slopes),
        tuple(_placed(table, inputs.index(column)) for column, table in tables),
    )


def _placed(part: Any, place: int) -> Any:
    return msgspec.structs.replace(part, input=place)


def _slopes(editor: Editor, origins: Origins, weights: np.ndarray) -> list[tuple[int, Slope]] | None:
    """Return the slopes with their columns; None when the numbers of a column cannot be told from gaps."""
    gains: dict[Number, np.ndarray] = {}
    signs: dict[int, np.ndarray] = {}
    for origin, line in zip(origins.positions, weights, strict=True):
        if isinstance(origin, Number):
            gains[origin] = gains.get(origin, 0.0) + line
        elif isinstance(origin, Sign):
            signs[origin.column] = signs.get(origin.column, 0.0) + line
    used = {origin.column for origin in gains}
    for number in sorted(origins.checked, key=lambda number: number.column):
        if number.column not in used:  # checked and then left out: it must still be checked
            gap = 0.0 if number.missing is not None else None
            gains[replace(number, missing=gap)] = np.zeros(weights.shape[1])
            used.add(number.column)
    slopes = []
    for number, gain in gains.items():
        if number.missing is not None and math.isnan(number.missing):
            return None
        sign = signs.pop(number.column, np.zeros(0)) if number.missing is not None else np.zeros(0)
        slopes.append((number.column, _slope(number, gain, sign, _name(editor, number.column))))
    return None if signs else slopes


def _slope(number: Number, gain: np.ndarray, sign: np.ndarray, name: str) -> Slope:
    steps = number.shift, number.scale, number.factor, number.offset
    return Slope(0, tuple(gain.tolist()), *steps, number.missing, tuple(sign.tolist()), name)


def _name(editor: Editor, column: int) -> str:
    columns = editor.program.columns
    return columns[column].name if column < len(columns) else ""


def _table(encoder: OneHot | Ordinal, hits: list[tuple[Hit, np.ndarray]], outputs: int) -> Table:
    if isinstance(encoder, Ordinal):
        weight = sum((line for _, line in hits), np.zeros(outputs))
        last = [math.nan if number is None else number for number in (encoder.missing, encoder.unknown)]
        missing, unknown = map(math.isfinite, last)
        entries = np.array([number * weight if math.isfinite(number) else 0.0 * weight for number in (*encoder.numbers, *last)])
    else:
        gains = np.zeros((encoder.width + 2, outputs))  # the last two lines stand for the codes below zero
        for origin, line in hits:
            gains[origin.code] += line * (origin.on - origin.off)
        entries = gains[[*encoder.codes, encoder.missing, encoder.unknown]]
        missing, unknown = encoder.missing != REFUSE, encoder.unknown != REFUSE
    return Table(0, encoder.keys, Array.of(entries), missing, unknown, encoder.name)
