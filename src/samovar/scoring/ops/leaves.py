"""From the leaves that rows reach to what trees answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.scoring.ops.forest import Forest

_FEW = 8  # up to so many trees are added up sooner in plain Python
_LISTED = 100_000  # more numbers than this are not worth their size as Python objects


class Sum:
    """``base + sum(leaves) / divisor``, see `samovar.scoring.ops.forest.Forest`.

    Args:
        trees: the operation.
        values: (leaves, k) what each leaf holds, in the numbering of the leaves asked for.

    Attributes:
        batch: (n, outputs) for the leaves (n, trees) of n rows.
        row: the outputs for one row's leaves.
    """

    def __init__(self, trees: Forest, values: np.ndarray) -> None:
        self._trees = trees
        self._kind = np.float32 if trees.single else np.float64
        self._base = np.array(trees.base, dtype=self._kind)
        self._divisor = trees.divisor
        self._columns = [np.ascontiguousarray(column, dtype=self._kind) for column in values.T]
        self._outputs = len(trees.base)
        self._own = len(self._columns) == self._outputs  # each leaf holds all outputs
        self.batch = self._in_order if trees.single else self._at_once
        self.row: Callable[[Sequence[int] | np.ndarray], list[float]] = self._pick(len(values) * values.shape[1])

    def _pick(self, size: int) -> Callable[[Sequence[int] | np.ndarray], list[float]]:
        """Return the quickest way for one row."""
        if self._trees.single:
            return lambda leaves: self.batch(np.array([leaves]))[0].tolist()
        if len(self._trees.nodes.roots.open()) <= _FEW and size <= _LISTED and self._own:
            return self._listed()
        return self._single_output() if self._outputs == 1 else self._many_outputs()

    def _listed(self) -> Callable[[Sequence[int] | np.ndarray], list[float]]:
        held, base, divisor = np.stack(self._columns, axis=1).tolist(), self._base.tolist(), self._divisor

        def row(leaves: Sequence[int] | np.ndarray) -> list[float]:
            return [
                start + sum(numbers) / divisor
                for start, numbers in zip(base, zip(*[held[leaf] for leaf in leaves], strict=True), strict=True)
            ]

        return row

    def _single_output(self) -> Callable[[Sequence[int] | np.ndarray], list[float]]:
        take, divisor, base = self._columns[0].take, self._divisor, float(self._base[0])
        ones = np.ones(len(self._trees.nodes.roots.open()))

        def row(leaves: Sequence[int] | np.ndarray) -> list[float]:
            return [base + float(take(leaves).dot(ones)) / divisor]  # a dot is the quickest sum there is

        return row

    def _many_outputs(self) -> Callable[[Sequence[int] | np.ndarray], list[float]]:
        held, base, divisor = np.stack(self._columns, axis=1), self._base, self._divisor
        ones = np.ones(len(self._trees.nodes.roots.open()) // (1 if self._own else self._outputs))
        shape = (len(ones), self._outputs)

        def row(leaves: Sequence[int] | np.ndarray) -> list[float]:
            return (base + ones.dot(held.take(leaves, axis=0).reshape(shape)) / divisor).tolist()  # type: ignore[no-any-return]

        return row

    def _at_once(self, leaves: np.ndarray) -> np.ndarray:
        total: Any
        if self._own:
            total = np.stack([column.take(leaves).sum(axis=1) for column in self._columns], axis=1)
        else:
            total = self._columns[0].take(leaves).reshape(len(leaves), -1, self._outputs).sum(axis=1)
        return np.asarray(self._base + total / self._divisor)

    def _in_order(self, leaves: np.ndarray) -> np.ndarray:
        total: np.ndarray = np.tile(self._base, (len(leaves), 1))
        for turn, tree in enumerate(leaves.T):
            if self._own:
                total[:] += np.stack([column.take(tree) for column in self._columns], axis=1)
            else:
                output = turn % self._outputs
                total[:, output] = total[:, output] + self._columns[0].take(tree)
        return np.asarray(total / self._kind(self._divisor), dtype=np.float64)
