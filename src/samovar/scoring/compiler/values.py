"""What flows between the rules: the program under construction, and values as the rules see them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.ops import Concat, Densify, Finite, Gather, Pick, Single, Stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.scoring.ops import AnyOp
    from samovar.scoring.program import Answer, Column, ColumnKind


@dataclass(frozen=True, slots=True)
class Frame:
    """Columns that are still apart, as a pandas frame (or, without names, an array) would hold them.

    Attributes:
        numbers: value number of each column.
        names: their names; empty strings when there are none.
        kinds: what is in each.
        series: whether the step sees its one column as a series, and not as a table.
    """

    numbers: tuple[int, ...]
    names: tuple[str, ...]
    kinds: tuple[ColumnKind, ...]
    series: bool = False

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.numbers)

    def take(self, positions: Sequence[int]) -> Frame:
        """Return some of the columns, in the order given."""
        return Frame(
            tuple(self.numbers[i] for i in positions),
            tuple(self.names[i] for i in positions),
            tuple(self.kinds[i] for i in positions),
        )


@dataclass(frozen=True, slots=True)
class Dense:
    """A matrix of float64, computed by a node.

    Attributes:
        number: the value's number.
        width: number of columns.
        single: whether scikit-learn holds it as float32; its numbers are rounded so.
        sparse: whether scikit-learn holds it as a sparse matrix, which some steps scale by another order of operations.
        names: the input column behind each position, for errors; empty text where there is none. May be shorter than ``width``.
        finite: whether no number can be NaN or infinite.
    """

    number: int
    width: int
    single: bool = False
    sparse: bool = False
    names: tuple[str, ...] = ()
    finite: bool = False

    def name(self, position: int) -> str:
        """Return the name of the input column behind a position."""
        return self.names[position] if position < len(self.names) else ""


@dataclass(frozen=True, slots=True)
class Sparse:
    """Sparse rows with ``width`` positions."""

    number: int
    width: int


Value = Frame | Dense | Sparse

WIDE = 4096
"""Sparse positions that are worth filling up: 32 KB a row."""


@dataclass(slots=True)
class Draft:
    """A program under construction."""

    columns: tuple[Column, ...]
    nodes: list[AnyOp] = field(default_factory=list)
    answer: Answer | None = None
    single: bool = False  # whether a step computes in float32

    def add(self, node: AnyOp) -> int:
        """Append a node; returns the number of its value."""
        self.nodes.append(node)
        return len(self.columns) + len(self.nodes) - 1

    def frame(self) -> Frame:
        """Return the inputs."""
        names, kinds = zip(*((column.name, column.kind) for column in self.columns), strict=True)
        return Frame(tuple(range(len(self.columns))), names, kinds)

    def dense(self, value: Value) -> Dense:
        """Return a value as a matrix.

        Raises:
            NotLowered: it holds text, or is sparse.
        """
        if isinstance(value, Dense):
            return value
        if isinstance(value, Sparse):
            if value.width > WIDE:
                raise NotLowered(
                    "A step after a sparse one has no rule for sparse input, and there are too many columns to fill up."
                )
            number = self.add(Densify((value.number,), value.width))
            return Dense(number, value.width, sparse=True, finite=True)
        if "str" in value.kinds:
            raise NotLowered("A step computes with a column of text.")
        kinds = set(value.kinds)
        single = "float32" in kinds and kinds <= {"float32", "bool"}  # what numpy promotes them to
        return Dense(self.add(Gather(value.numbers)), value.width, single, names=value.names)

    def apart(self, value: Value) -> Frame:
        """Return a value as columns that are apart.

        Raises:
            NotLowered: it is sparse.
        """
        if isinstance(value, Frame):
            return value
        if isinstance(value, Sparse):
            raise NotLowered("A step after a sparse one has no rule for sparse input.")
        kind: ColumnKind = "float32" if value.single else "float64"
        numbers = tuple(self.add(Pick((value.number,), position)) for position in range(value.width))
        return Frame(numbers, tuple(map(value.name, range(value.width))), (kind,) * value.width)

    def checked(self, value: Value, *, gaps: bool = False) -> Dense:
        """Return a value as a matrix that scikit-learn's ``check_array`` let pass; ``gaps``: NaN is allowed."""
        dense = self.dense(value)
        if dense.finite:
            return dense
        number = self.add(Finite((dense.number,), tuple(map(dense.name, range(dense.width))), gaps))
        return replace(dense, number=number, finite=not gaps)

    def then(self, node: AnyOp, before: Dense, **changes: Any) -> Dense:
        """Append a node that computes from a matrix one as scikit-learn would hold it: rounded where it is float32."""
        number = self.add(node)
        if before.single:
            number = self.add(Single((number,)))
        return replace(before, number=number, **({"finite": False} | changes))

    def join(self, parts: Sequence[Value]) -> Value:
        """Put values side by side, as ``hstack`` does."""
        parts = [part for part in parts if part.width]
        if not parts:
            raise NotLowered("A step gives no column at all.")
        if len(parts) == 1:
            return parts[0]
        if any(isinstance(part, Sparse) for part in parts):
            wholes = [
                part if isinstance(part, Sparse) else self.checked(part) for part in parts
            ]  # NaN is lost sight of among sparse rows
            widths, sparse = tuple(part.width for part in wholes), tuple(isinstance(part, Sparse) for part in wholes)
            return Sparse(self.add(Stack(tuple(part.number for part in wholes), widths, sparse)), sum(widths))
        if any(isinstance(part, Frame) and "str" in part.kinds for part in parts):
            return _side_by_side([self.apart(part) for part in parts])
        return self._concat(parts)

    def _concat(self, parts: Sequence[Value]) -> Dense:
        booleans = [
            isinstance(part, Frame) and set(part.kinds) == {"bool"} for part in parts
        ]  # they promote to what is beside them
        wholes = [self.dense(part) for part in parts]
        return Dense(
            self.add(Concat(tuple(part.number for part in wholes))),
            sum(part.width for part in wholes),
            not all(booleans) and all(part.single or free for part, free in zip(wholes, booleans, strict=True)),
            sparse=any(part.sparse for part in wholes),
            names=tuple(part.name(position) for part in wholes for position in range(part.width)),
            finite=all(part.finite for part in wholes),
        )


def _side_by_side(frames: Sequence[Frame]) -> Frame:
    return Frame(
        tuple(number for frame in frames for number in frame.numbers),
        tuple(name for frame in frames for name in frame.names),
        tuple(kind for frame in frames for kind in frame.kinds),
    )
