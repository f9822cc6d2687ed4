"""Numbers into bins."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from samovar.scoring.ops.base import Array, Kernel, Op


class Bins(Op, frozen=True):
    """The bin of each position's number.

    Attributes:
        edges: inner edges of each position, ascending; an edge belongs to the bin above it.
    """

    edges: tuple[Array, ...]

    def open(self) -> Kernel:
        """See `Op.open`."""
        edges = [edge.open() for edge in self.edges]
        lists = [edge.tolist() for edge in edges]

        def batch(dense: np.ndarray) -> np.ndarray:
            bins = np.empty(dense.shape)
            for index, inner in enumerate(edges):
                bins[:, index] = np.searchsorted(inner, dense[:, index], side="right")
            return bins

        return Kernel(batch, lambda dense: [float(bisect_right(inner, x)) for x, inner in zip(dense, lists, strict=True)])
