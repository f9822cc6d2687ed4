"""Products of positions."""

from __future__ import annotations

from math import prod

import numpy as np

from samovar.scoring.ops.base import Kernel, Op


class Products(Op, frozen=True):
    """Products of positions of a dense value; the empty product is 1.

    Attributes:
        terms: for each product its positions, one as often as its power.
    """

    terms: tuple[tuple[int, ...], ...]

    def open(self) -> Kernel:
        """See `Op.open`."""
        terms = self.terms

        def batch(dense: np.ndarray) -> np.ndarray:
            products = np.ones((len(dense), len(terms)))
            with np.errstate(over="ignore", invalid="ignore"):
                for index, term in enumerate(terms):
                    for position in term:
                        products[:, index] *= dense[:, position]
            return products

        return Kernel(batch, lambda dense: [prod([dense[position] for position in term], start=1.0) for term in terms])


class Weighted(Op, frozen=True):
    """A dense value times one number."""

    weight: float

    def open(self) -> Kernel:
        """See `Op.open`."""
        weight = self.weight
        return Kernel(lambda dense: dense * weight, lambda dense: [x * weight for x in dense])


class Constant(Op, frozen=True):
    """The same numbers for every row; its one input says how many rows there are."""

    numbers: tuple[float, ...]

    def open(self) -> Kernel:
        """See `Op.open`."""
        numbers = list(self.numbers)
        return Kernel(lambda column: np.tile(np.array(numbers), (len(column), 1)), lambda _: numbers)
