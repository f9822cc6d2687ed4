"""Trees of few leaves, scored without walking (after Lucchese et al., QuickScorer, SIGIR 2015).

Each tree has a group of bits, one for each of its leaves from left to right, and the groups of all trees stand side by side. A
number of one feature rules out leaves: those to the left of a node that it sends to the right. Between two neighbouring
thresholds of a feature nothing changes, so what a number leaves possible, in all trees, is one precomputed mask. The masks of
all features, and-ed, leave possible in each tree the leaf that the row reaches and perhaps others right of it: it is the lowest
bit. One row keeps its masks in Python integers, a batch in tables of unsigned words.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.ops.base import Kernel
from samovar.scoring.ops.columns import Gather, number
from samovar.scoring.ops.encode import REFUSE, OneHot, Ordinal, find_all, lookup, refusal
from samovar.scoring.ops.leaves import Sum

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.errors import RequestError
    from samovar.scoring.ops.forest import Forest
    from samovar.scoring.ops.walk import Arrays

_FEW = 12  # fewer trees than this are walked sooner
_LEAVES = 64  # of a tree, in the widest word
_BYTES = 48 << 20  # of tables; the integers of the row path take as much again
_CHUNK = 256  # rows whose masks stay in the cache


def fits(trees: Forest, arrays: Arrays) -> bool:
    """Tell whether bit vectors score these trees faster than a walk, within reasonable tables."""
    count = len(arrays.roots)
    if count < _FEW or len(arrays.feature) > 2 * _LEAVES * count:
        return False
    groups = _Groups(arrays)
    if groups.most > _LEAVES:
        return False
    inner = arrays.feature >= 0
    pairs = np.stack([arrays.feature[inner], arrays.threshold[inner]], axis=1)
    rows = len(np.unique(pairs, axis=0)) + arrays.sets.size + 4 * sum(trees.widths)
    return rows * count * groups.word.itemsize <= _BYTES


class _Groups:
    """The bits of each tree's leaves.

    Attributes:
        most: leaves of the largest tree.
        word: what holds a group.
        order: node of each leaf, tree after tree, from left to right.
        offsets: (trees) where in ``order`` a tree begins.
        full: (trees) all leaves of each.
        splits: by feature: (tree, node, leaves to its left).
    """

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self.order: list[int] = []
        self.splits: dict[int, list[tuple[int, int, int]]] = {}
        starts = []
        for tree, root in enumerate(arrays.roots.tolist()):
            starts.append(len(self.order))
            self._number(tree, root)
        sizes = np.diff([*starts, len(self.order)])
        self.most = int(sizes.max())
        self.word = np.dtype(next((f"<u{size}" for size in (1, 2, 4, 8) if self.most <= 8 * size), "<u8"))
        self.offsets = np.array(starts, dtype=np.intp)
        self.full = np.array([(1 << min(size, 64)) - 1 for size in sizes.tolist()], dtype=self.word)

    def _number(self, tree: int, root: int) -> None:
        """Number a tree's leaves from left to right and note what each node has to its left."""
        first, arrays = len(self.order), self._arrays
        ahead: list[tuple[int, int]] = [(root, -1)]  # a node, or one whose left side is done and where that began
        while ahead:
            node, began = ahead.pop()
            feature = int(arrays.feature[node])
            if feature < 0:
                self.order.append(node)
            elif began < 0:
                ahead += [(node, len(self.order)), (int(arrays.left[node]), -1)]
            else:
                low, high = began - first, len(self.order) - first
                self.splits.setdefault(feature, []).append((tree, node, (1 << high) - (1 << low)))
                ahead.append((int(arrays.right[node]), -1))


@dataclass(frozen=True, slots=True)
class _Axis:
    """One feature.

    Attributes:
        edges: its thresholds, ascending.
        table: (edges + 2, trees) the leaves left by NaN, by numbers up to the first edge, to the second, ..., beyond the last.
    """

    edges: np.ndarray
    table: np.ndarray

    def find(self, values: Any) -> np.ndarray:
        """Return the row of the table for each number."""
        values = np.asarray(values, dtype=np.float64)  # None becomes NaN
        rows = np.searchsorted(self.edges, values) + 1
        rows[np.isnan(values)] = 0
        return np.asarray(rows)

    def masks(self) -> tuple[list[float], list[int]]:
        """Return what the row path bisects, and its masks; bisecting gives 0 for NaN, and for minus infinity, which is a 1."""
        return [-inf, *self.edges.tolist()], _integers(self.table)


def _integers(table: np.ndarray) -> list[int]:
    return [int.from_bytes(row.tobytes(), "little") for row in table]


class _Axes:
    """Makes the axes of positions."""

    def __init__(self, trees: Forest, arrays: Arrays, groups: _Groups) -> None:
        self._trees, self._arrays, self._groups = trees, arrays, groups

    def full(self) -> np.ndarray:
        """Return (trees) all leaves of each."""
        return self._groups.full

    def used(self, position: int) -> bool:
        """Tell whether any tree asks about a position."""
        return position in self._groups.splits

    def make(self, position: int) -> _Axis:
        """Return the axis of a position."""
        splits, limit = self._groups.splits.get(position, []), self._trees.limit
        below = np.nextafter(limit, 0.0)
        edges = np.unique(np.array([edge for split in splits for edge in self._edges(split[1])] + [-limit, below] * (limit < inf)))
        uppers = np.append(edges, inf)
        table = np.tile(self._groups.full, (len(uppers) + 1, 1))
        for tree, node, leaves in splits:
            rest = self._groups.word.type(~leaves & (2 ** (8 * self._groups.word.itemsize) - 1))
            right = np.append(not self._arrays.gap_left[node], ~self._left(node, uppers))
            table[right, tree] &= rest
        if limit < inf:
            table[1:][(uppers <= -limit) | (uppers > below)] = 0
        if not self._trees.gaps:
            table[0] = 0
        return _Axis(edges, table)

    def _edges(self, node: int) -> Sequence[float]:
        """Return after which numbers a node may change its mind."""
        if not self._asks(node):
            return [float(self._arrays.threshold[node])]
        codes = np.arange(1.0, self._arrays.sets.shape[1] + 1)
        return [-1.0, *np.nextafter(codes, 0.0).tolist()]

    def _left(self, node: int, uppers: np.ndarray) -> np.ndarray:
        if not self._asks(node):
            return np.asarray(uppers <= self._arrays.threshold[node])
        members = self._arrays.sets[self._arrays.choice[node]].astype(bool)
        known = (uppers > -1) & (uppers < len(members))
        return np.asarray(members[np.where(known, uppers, 0).astype(np.intp)] & known)

    def _asks(self, node: int) -> bool:
        return len(self._arrays.choice) > 0 and self._arrays.choice[node] >= 0


@dataclass(frozen=True, slots=True)
class _Codes:
    """An encoded column.

    Attributes:
        rows: the row of the table for each key.
        missing: the row of null and NaN; REFUSE where none is taken.
        unknown: the row of what is no key.
        table: (rows, trees) the leaves left.
        name: the column's name.
    """

    rows: dict[Any, int]
    missing: int
    unknown: int
    table: np.ndarray
    name: str

    def find(self, column: Any) -> np.ndarray:
        """Return the row of the table for each cell."""
        rows = np.array(find_all(lookup(self.rows, self.missing, self.unknown), self.rows, column), dtype=np.intp)
        if (rows == REFUSE).any():
            raise refusal(self.name)
        return rows

    def masks(self) -> tuple[dict[Any, int], int, int, str]:
        """Return what the row path looks up: 0 where a value is refused."""
        masks = _integers(self.table)

        def pick(row: int) -> int:
            return 0 if row == REFUSE else masks[row]

        return {key: pick(row) for key, row in self.rows.items()}, pick(self.missing), pick(self.unknown), self.name


def _one_hot(part: OneHot, first: int, axes: _Axes) -> _Codes:
    """Return a column's codes when each is a one among zeros."""
    used = [code for code in range(part.width) if axes.used(first + code)]
    pairs = []
    for code in used:
        axis = axes.make(first + code)
        pairs.append(axis.table[axis.find([0.0, 1.0])])
    full = axes.full()
    before, after = [full], [full]
    for zero, _ in pairs:
        before.append(before[-1] & zero)
    for zero, _ in reversed(pairs):
        after.append(after[-1] & zero)
    ones = [before[turn] & one & after[len(pairs) - 1 - turn] for turn, (_, one) in enumerate(pairs)]
    row_of = {REFUSE: REFUSE} | {code: turn for turn, code in enumerate(used, start=1)}  # row 0: no one at all
    rows = {key: row_of.get(code, 0) for key, code in zip(part.keys, part.codes, strict=True)}
    table = np.stack([before[-1], *ones])
    return _Codes(rows, row_of.get(part.missing, 0), row_of.get(part.unknown, 0), table, part.name)


def _ordinal(part: Ordinal, position: int, axes: _Axes) -> _Codes:
    """Return a column's codes when each is a number."""
    axis = axes.make(position)

    def place(code: float | None) -> int:
        return REFUSE if code is None else int(axis.find([code])[0])

    rows = dict(zip(part.keys, axis.find(part.numbers).tolist(), strict=True))
    return _Codes(rows, place(part.missing), place(part.unknown), axis.table, part.name)


def open_trees(trees: Forest, arrays: Arrays) -> Kernel:
    """Prepare to score by bit vectors."""
    groups = _Groups(arrays)
    sources = _Sources(trees, _Axes(trees, arrays, groups))
    total = Sum(trees, arrays.values[groups.order])
    return Kernel(_batch(trees, groups, sources, total), _row(trees, groups, sources, total))


class _Sources:
    """Which input is read how.

    Attributes:
        numbers: (input, axis, position) of columns of numbers.
        wholes: (input, axes, first position) of dense values.
        codes: (input, codes) of encoded columns.
    """

    def __init__(self, trees: Forest, axes: _Axes) -> None:
        self.numbers: list[tuple[int, _Axis, int]] = []
        self.wholes: list[tuple[int, list[_Axis | None], int]] = []
        self.codes: list[tuple[int, _Codes]] = []
        first = 0
        for part, width in zip(trees.parts, trees.widths, strict=True):
            matters = [axes.used(first + turn) or trees.picky for turn in range(width)]
            if isinstance(part, Gather):
                self.numbers += [
                    (column, axes.make(first + turn), first + turn) for turn, column in enumerate(part.inputs) if matters[turn]
                ]
            elif isinstance(part, OneHot):
                self.codes.append((part.inputs[0], _one_hot(part, first, axes)))
            elif isinstance(part, Ordinal):
                self.codes.append((part.inputs[0], _ordinal(part, first, axes)))
            else:
                made = [axes.make(first + turn) if used else None for turn, used in enumerate(matters)]
                self.wholes.append((part.inputs[0], made, first))
            first += width

    def tables(self, inputs: Sequence[Any]) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """Return for a batch: tables, the row of each for each row of the batch, and positions (-1 for an encoded column)."""
        found = [(axis.table, axis.find(inputs[column]), position) for column, axis, position in self.numbers]
        for column, axes, first in self.wholes:
            dense = inputs[column]
            found += [(axis.table, axis.find(dense[:, turn]), first + turn) for turn, axis in enumerate(axes) if axis is not None]
        return found + [(codes.table, codes.find(inputs[column]), -1) for column, codes in self.codes]


def _batch(trees: Forest, groups: _Groups, sources: _Sources, total: Sum) -> Callable[..., np.ndarray]:
    before = groups.offsets - 1

    def batch(*inputs: Any) -> np.ndarray:
        count = len(inputs[0])
        tables = sources.tables(inputs)
        answers = np.empty((count, len(trees.base)))
        spare = np.empty((_CHUNK, len(groups.full)), dtype=groups.word)
        masks = np.empty_like(spare)
        for start in range(0, count, _CHUNK):
            end = min(start + _CHUNK, count)
            left, other = masks[: end - start], spare[: end - start]
            left[:] = groups.full
            for table, rows, _ in tables:
                left &= np.take(table, rows[start:end], axis=0, out=other, mode="clip")
            if trees.picky and not left.all():
                raise trees.refusal(position for table, rows, position in tables if not table[rows].any(axis=1).all())
            np.subtract(left, 1, out=other)
            other ^= left  # the lowest bit and what is below it
            answers[start:end] = total.batch(np.bitwise_count(other) + before)
        return answers

    return batch


def _row(trees: Forest, groups: _Groups, sources: _Sources, total: Sum) -> Callable[..., list[float]]:
    numbers = [(column, *axis.masks()) for column, axis, _ in sources.numbers]
    wholes = [(column, [(turn, *axis.masks()) for turn, axis in enumerate(axes) if axis]) for column, axes, _ in sources.wholes]
    codes = [(column, *found.masks()) for column, found in sources.codes]
    full, ones = _integers(np.stack([groups.full, np.ones_like(groups.full)]))
    buffer = bytearray(groups.full.nbytes)
    words = np.frombuffer(buffer, dtype=groups.word)
    counts, leaves = np.empty(len(words), dtype=np.uint8), np.empty(len(words), dtype=np.intp)
    size, before, count_bits, add, add_up = len(buffer), groups.offsets - 1, np.bitwise_count, np.add, total.row

    def row(*inputs: Any) -> list[float]:
        left = full
        for column, edges, masks in numbers:
            value = inputs[column]
            if value.__class__ is not float:
                value = number(value)
            left &= masks[bisect_left(edges, value) or value == value]  # noqa: PLR0124 - NaN
        for column, axes in wholes:
            dense = inputs[column]
            for turn, edges, masks in axes:
                value = dense[turn]
                left &= masks[bisect_left(edges, value) or value == value]  # noqa: PLR0124 - NaN
        for column, table, missing, unknown, name in codes:
            value = inputs[column]
            mask = table.get(value)
            if mask is None:
                mask = missing if value is None or value != value else unknown  # noqa: PLR0124 - NaN
            if not mask:
                raise refusal(name)
            left &= mask
        if not left:
            raise _refusal(trees, sources, inputs)
        left ^= left - ones  # the lowest bit of each group and what is below it
        buffer[:] = left.to_bytes(size, "little")
        return add_up(add(before, count_bits(words, counts), leaves))

    return row


def _refusal(trees: Forest, sources: _Sources, inputs: Sequence[Any]) -> RequestError:
    one = [np.array([dense]) if isinstance(dense, list) else [dense] for dense in inputs]
    return trees.refusal(position for table, rows, position in sources.tables(one) if not table[rows[0]].any())
