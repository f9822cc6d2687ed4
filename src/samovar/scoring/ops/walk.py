"""Trees of any size, walked from node to node: one by one for a row, many at a time in numpy for more."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.ops.base import Kernel
from samovar.scoring.ops.leaves import Sum

if TYPE_CHECKING:
    from samovar.scoring.ops.forest import Forest

_CELLS = 16384  # pairs of a row and a tree that walk together: what they touch stays in the cache
_ROWS = 4096
_STEPS = 4  # levels between looks at who has arrived
_LINKED = 200_000  # more nodes than this are not worth their size as Python objects


@dataclass(frozen=True, slots=True)
class Arrays:
    """`samovar.scoring.ops.trees.Nodes`, opened."""

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    gap_left: np.ndarray
    values: np.ndarray
    choice: np.ndarray
    sets: np.ndarray

    def check(self, width: int, outputs: int) -> None:
        """Raise ValueError when a node points outside, or backwards: a walk must end."""
        count = len(self.feature)
        inner = self.feature >= 0
        here = np.arange(count)[inner]
        for side in (self.left[inner], self.right[inner]):
            if (side <= here).any() or (side >= count).any():
                raise ValueError("a tree's node leads nowhere or back")
        if (self.feature >= width).any() or (self.roots < 0).any() or (self.roots >= count).any():
            raise ValueError("a tree reads a position that is not there")
        held = self.values.shape[1]
        if len(self.values) != count or (held != outputs and (held != 1 or len(self.roots) % outputs)):
            raise ValueError("the leaves of the trees hold no answer")
        if len(self.choice) and (len(self.choice) != count or self.choice.max() >= len(self.sets)):
            raise ValueError("a tree's node asks for a set that is not there")


def open_trees(trees: Forest, arrays: Arrays) -> Kernel:
    """Prepare to walk."""
    parts = [(part.open(), part.inputs) for part in trees.parts]
    walk, total = Walk(arrays), Sum(trees, arrays.values)
    linked = link(arrays) if len(arrays.feature) <= _LINKED and not len(arrays.choice) else None
    limited = trees.limit < inf

    def many(matrix: np.ndarray) -> np.ndarray:
        trees.refuse(matrix)
        chunks = [total.batch(walk.leaves(matrix[start : start + _ROWS])) for start in range(0, len(matrix), _ROWS)]
        return np.concatenate(chunks) if chunks else np.empty((0, len(trees.base)))

    def batch(*inputs: Any) -> np.ndarray:
        return many(np.concatenate([kernel.batch(*[inputs[i] for i in numbers]) for kernel, numbers in parts], axis=1))

    def row(*inputs: Any) -> list[float]:
        dense = [*chain.from_iterable([kernel.row(*[inputs[i] for i in numbers]) for kernel, numbers in parts])]
        rest = sum(dense)
        if linked is None or (limited and (max(dense) >= trees.limit or min(dense) <= -trees.limit)):
            return many(np.array([dense]))[0].tolist()  # type: ignore[no-any-return]
        if rest - rest == 0.0:
            return total.row(follow(linked, dense))
        trees.refuse(np.array([dense]))
        return total.row(follow_gaps(linked, dense))

    return Kernel(batch, row)


def link(arrays: Arrays) -> list[Any]:
    """Return the trees as nested tuples ``(feature, threshold, left, right, whether NaN goes left)``, a leaf as its number."""
    nodes: list[Any] = list(range(len(arrays.feature)))
    features, thresholds = arrays.feature.tolist(), arrays.threshold.tolist()
    lefts, rights, gaps = arrays.left.tolist(), arrays.right.tolist(), arrays.gap_left.astype(bool).tolist()
    for index in reversed(nodes.copy()):  # children come after their parents
        if features[index] >= 0:
            nodes[index] = (features[index], thresholds[index], nodes[lefts[index]], nodes[rights[index]], gaps[index])
    return [nodes[root] for root in arrays.roots.tolist()]


def follow(linked: list[Any], dense: list[float]) -> list[int]:
    """Return the leaf of each tree for a row without NaN."""
    leaves = []
    for node in linked:
        while node.__class__ is tuple:
            feature, threshold, left, right, _ = node
            node = left if dense[feature] <= threshold else right  # noqa: PLW2901 - it walks
        leaves.append(node)
    return leaves


def follow_gaps(linked: list[Any], dense: list[float]) -> list[int]:
    """Return the leaf of each tree for a row that may hold NaN."""
    leaves = []
    for node in linked:
        while node.__class__ is tuple:
            feature, threshold, left, right, gap = node
            value = dense[feature]
            node = left if value <= threshold or (gap and value != value) else right  # noqa: PLR0124, PLW2901 - NaN; it walks
        leaves.append(node)
    return leaves


class Walk:
    """Walks many pairs of a row and a tree at once; a leaf leads to itself."""

    def __init__(self, arrays: Arrays) -> None:
        count = len(arrays.feature)
        self._inner = arrays.feature >= 0
        self._feature = np.where(self._inner, arrays.feature, 0).astype(np.intp)
        self._threshold, self._gap_left = arrays.threshold, arrays.gap_left.astype(bool)
        sides = np.stack([arrays.right, arrays.left], axis=1)
        self._sides = np.where(self._inner[:, None], sides, np.arange(count)[:, None]).astype(np.intp).ravel()
        self._roots = arrays.roots.astype(np.intp)
        self._choice, self._sets = arrays.choice, arrays.sets.astype(bool)

    def leaves(self, matrix: np.ndarray) -> np.ndarray:
        """Return the leaf (n, trees) of each row in each tree."""
        count, width = matrix.shape
        flat, gaps = np.ascontiguousarray(matrix).ravel(), bool(np.isnan(matrix).any())
        size = max(1, _CELLS // count)
        starts = np.arange(count) * width
        blocks = []
        for start in range(0, len(self._roots), size):
            roots = self._roots[start : start + size]
            blocks.append(self._descend(np.repeat(roots, count), np.tile(starts, len(roots)), flat, gaps).reshape(-1, count))
        return np.concatenate(blocks).T

    def _descend(self, nodes: np.ndarray, starts: np.ndarray, flat: np.ndarray, gaps: bool) -> np.ndarray:  # noqa: FBT001
        arrived = nodes.copy()
        places = np.arange(len(nodes))
        while True:
            for _ in range(_STEPS):
                nodes = self._step(nodes, flat.take(starts + self._feature.take(nodes)), gaps)
            arrived[places] = nodes
            under_way = np.flatnonzero(self._inner.take(nodes))
            if not len(under_way):
                return arrived
            if len(under_way) < len(nodes):
                nodes, starts, places = nodes[under_way], starts[under_way], places[under_way]

    def _step(self, nodes: np.ndarray, values: np.ndarray, gaps: bool) -> np.ndarray:  # noqa: FBT001
        left = values <= self._threshold.take(nodes)
        if len(self._choice):
            chosen = np.flatnonzero(self._choice.take(nodes) >= 0)
            left[chosen] = members(self._sets, self._choice.take(nodes[chosen]), values[chosen])
        if gaps:
            left |= np.isnan(values) & self._gap_left.take(nodes)
        return self._sides.take(2 * nodes + left)


def members(sets: np.ndarray, choice: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return whether each number, cut to an integer, is in its set; NaN is in none."""
    known = (values > -1) & (values < sets.shape[1])
    codes = np.where(known, values, 0).astype(np.intp)
    return np.asarray(sets[choice, codes] & known)
