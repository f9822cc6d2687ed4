"""What flows between the rules: the program under construction, and values as the rules see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.ops import Gather

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
    """

    numbers: tuple[int, ...]
    names: tuple[str, ...]
    kinds: tuple[ColumnKind, ...]

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
    """A matrix of float64 with ``width`` columns, computed by value ``number``. ``single``: it holds float32 numbers."""

    number: int
    width: int
    single: bool = False


@dataclass(frozen=True, slots=True)
class Sparse:
    """Sparse rows with ``width`` positions."""

    number: int
    width: int


Value = Frame | Dense | Sparse


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
            raise NotLowered("A step after a sparse one has no rule for sparse input.")
        if "str" in value.kinds:
            raise NotLowered("A step computes with a column of text.")
        single = all(kind == "float32" for kind in value.kinds)
        return Dense(self.add(Gather(value.numbers)), value.width, single)
