"""Decision trees as data, and how they read their inputs: a dense value, or columns through the encoders that stood before them."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from samovar.errors import RequestError
from samovar.scoring.ops.base import Array, Kernel, Op
from samovar.scoring.ops.columns import Gather
from samovar.scoring.ops.encode import OneHot, Ordinal

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = 2.0**128 - 2.0**103
"""From here on a float64 rounds to an infinite float32."""


class Nodes(msgspec.Struct, frozen=True):
    """The nodes of all trees, each tree's in a row of their own, its root first.

    Attributes:
        roots: (trees) first node of each tree.
        feature: (nodes) the position a node asks about; -1 for a leaf.
        threshold: (nodes) float64; what is at most this goes left. Models of float32 inputs have thresholds for the float64
            number before it is rounded.
        left: (nodes) where to go; anything for a leaf.
        right: (nodes) where else to go.
        gap_left: (nodes) 1 where NaN goes left.
        values: (nodes, k) float64, what leaves hold.
        choice: (nodes) row of ``sets`` for a node that asks for membership, -1 for one that compares; empty if none does.
        sets: (sets, codes) 1 where a code goes left; numbers are cut to integers, and what is no code goes right.
    """

    roots: Array
    feature: Array
    threshold: Array
    left: Array
    right: Array
    gap_left: Array
    values: Array
    choice: Array
    sets: Array


class Whole(Op, frozen=True):
    """A dense value as it is, as a part of what trees read."""

    width: int

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(lambda dense: dense, lambda dense: dense)


Part = Gather | OneHot | Ordinal | Whole
"""How trees read some of their inputs; a part's ``inputs`` are positions among those of the trees."""


class Forest(Op, frozen=True):
    """``base + sum(leaves) / divisor``: a dense value.

    Attributes:
        parts: how the inputs become positions, side by side.
        nodes: the trees.
        base: what the sum starts from, one number for each output. With several outputs and ``values`` of width 1 the trees
            add to the outputs in turn.
        divisor: number of trees where a mean is meant.
        gaps: whether NaN is taken.
        limit: numbers of this size are refused.
        names: of the positions, for the error.
        single: whether the sum is one of float32 numbers, tree after tree.
    """

    parts: tuple[Part, ...]
    nodes: Nodes
    base: tuple[float, ...]
    divisor: float = 1.0
    gaps: bool = True
    limit: float = inf
    names: tuple[str, ...] = ()
    single: bool = False

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of positions of each part."""
        return tuple(part_width(part) for part in self.parts)

    @property
    def picky(self) -> bool:
        """Whether any number is refused."""
        return self.limit < inf or not self.gaps

    def refusal(self, positions: Iterable[int]) -> RequestError:
        """Return the error for numbers that the trees do not take."""
        names = [self.names[position] for position in positions if position < len(self.names)]
        path = next((name for name in names if name), "")
        return RequestError("The model takes no missing, infinite or so large value here.", path=path)

    def refuse(self, matrix: np.ndarray) -> None:
        """Raise RequestError when a number is one that the trees do not take."""
        if not self.picky:
            return
        missing = np.isnan(matrix)
        large = (np.abs(matrix) >= self.limit) if self.limit < inf else np.zeros_like(missing)
        bad = large if self.gaps else large | missing
        if bad.any():
            raise self.refusal(np.flatnonzero(bad.any(axis=0)).tolist())


def part_width(part: Part) -> int:
    """Return the number of positions that a part makes."""
    match part:
        case Gather():
            return len(part.inputs)
        case OneHot() | Whole():
            return part.width
        case Ordinal():
            return 1
