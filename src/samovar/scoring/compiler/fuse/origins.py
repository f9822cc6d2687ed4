"""Where each position of a matrix comes from: a column's number, a category of a column, or a sign that it is missing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from samovar.scoring.ops import Affine, Concat, Fill, Finite, Gather, Missing, OneHot, Ordinal, Pick, Scale, Select

if TYPE_CHECKING:
    from samovar.scoring.compiler.fuse.edit import Editor
    from samovar.scoring.ops.base import Op


@dataclass(frozen=True, slots=True)
class Number:
    """``((x - shift) / scale) * factor + offset`` of a column.

    Attributes:
        column: the column's value number.
        missing: what stands for null and NaN; NaN where nothing does yet, None where the model refused them before.
    """

    column: int
    shift: float = 0.0
    scale: float = 1.0
    factor: float = 1.0
    offset: float = 0.0
    missing: float | None = math.nan

    def scaled(self, shift: float, scale: float, factor: float, offset: float) -> Number | None:
        """Return the number after one more step; None when it had one already, whose rounding a second would change."""
        if (self.shift, self.scale, self.factor, self.offset) != (0.0, 1.0, 1.0, 0.0):
            return None
        missing = None if self.missing is None else ((self.missing - shift) / scale) * factor + offset
        return Number(self.column, shift, scale, factor, offset, missing)


@dataclass(frozen=True, slots=True)
class Hit:
    """``on`` where an encoder (a value number) gives the code, else ``off``; an ordinal encoder's number where ``code`` is None."""

    encoder: int
    code: int | None
    on: float = 1.0
    off: float = 0.0

    def scaled(self, shift: float, scale: float, factor: float, offset: float) -> Hit | None:
        """Return the position after one more step; None for an ordinal encoder."""
        if self.code is None:
            return None
        on, off = (((value - shift) / scale) * factor + offset for value in (self.on, self.off))
        return replace(self, on=on, off=off)


@dataclass(frozen=True, slots=True)
class Sign:
    """1 where a column's value is missing, else 0."""

    column: int


Origin = Number | Hit | Sign


@dataclass(slots=True)
class Origins:
    """The positions of a value, and what was read on the way.

    Attributes:
        positions: one for each position of the value.
        encoders: value numbers of all encoders passed: each refuses values, whether its positions are kept or not.
        checked: numbers that a check looked at, kept or not.
    """

    positions: list[Origin]
    encoders: set[int]
    checked: set[Number]


def trace(editor: Editor, number: int) -> Origins | None:  # noqa: PLR0911 - one line for each kind of node
    """Return where the positions of a value come from; None when a step on the way is not followed."""
    node = editor.maker(number)
    match node:
        case None:
            return None
        case Gather():
            return Origins([Number(column) for column in node.inputs], set(), set())
        case OneHot():
            return Origins([Hit(number, code) for code in range(node.width)], {number}, set())
        case Ordinal():
            return Origins([Hit(number, None)], {number}, set())
        case Missing():
            column = None if node.marker is not None else open_column(editor, node.inputs[0])
            return None if column is None else Origins([Sign(column)], set(), set())
        case Concat():
            return _joined([trace(editor, part) for part in node.inputs])
    before = trace(editor, node.inputs[0]) if len(node.inputs) == 1 else None
    return None if before is None else _after(node, before)


def open_column(editor: Editor, number: int) -> int | None:
    """Return the column whose gaps a value still has, perhaps scaled and in a matrix; None when there is none."""
    node = editor.maker(number)
    if node is None:
        return number
    origins = trace(editor, node.inputs[0]) if isinstance(node, Pick) else None
    origin = None if origins is None or not isinstance(node, Pick) else origins.positions[node.position]
    gaps = isinstance(origin, Number) and origin.missing is not None and math.isnan(origin.missing)
    return origin.column if gaps and isinstance(origin, Number) else None


def _joined(parts: list[Origins | None]) -> Origins | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Origins(
        [origin for part in known for origin in part.positions],
        set().union(*(part.encoders for part in known)),
        set().union(*(part.checked for part in known)),
    )


def _after(node: Op, before: Origins) -> Origins | None:
    positions: list[Origin | None]
    match node:
        case Select():
            positions = [before.positions[position] for position in node.positions]
        case Finite():
            positions = [_checked(origin, gaps=node.gaps) for origin in before.positions]
            before.checked |= {origin for origin in positions if isinstance(origin, Number)}
        case Fill(marker=None):
            fills = node.values.open().tolist()
            positions = [_filled(origin, fill) for origin, fill in zip(before.positions, fills, strict=True)]
        case Affine():
            steps = zip(before.positions, node.shift.open().tolist(), node.scale.open().tolist(), strict=True)
            positions = [None if isinstance(origin, Sign) else origin.scaled(a, b, 1.0, 0.0) for origin, a, b in steps]
        case Scale():
            steps = zip(before.positions, node.factor.open().tolist(), node.offset.open().tolist(), strict=True)
            positions = [None if isinstance(origin, Sign) else origin.scaled(0.0, 1.0, a, b) for origin, a, b in steps]
        case _:
            return None
    kept = [origin for origin in positions if origin is not None]
    return Origins(kept, before.encoders, before.checked) if len(kept) == len(positions) else None


def _checked(origin: Origin, *, gaps: bool) -> Origin:
    nothing = isinstance(origin, Number) and origin.missing is not None and math.isnan(origin.missing)
    return replace(origin, missing=None) if nothing and not gaps and isinstance(origin, Number) else origin


def _filled(origin: Origin, fill: float) -> Origin | None:
    if isinstance(origin, Hit) and origin.code is None:
        return None  # what an ordinal encoder gives may be NaN
    open_ = isinstance(origin, Number) and origin.missing is not None and math.isnan(origin.missing)
    return replace(origin, missing=fill) if open_ and isinstance(origin, Number) else origin
