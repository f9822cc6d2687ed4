"""Several models' answers into one."""

from __future__ import annotations

from bisect import bisect_right
from math import log
from operator import mul

import numpy as np

from samovar.scoring.ops.base import Kernel, Op


class Mean(Op, frozen=True):
    """The mean of dense values, position by position, weighted.

    Attributes:
        weights: one for each input.
    """

    weights: tuple[float, ...]

    def open(self) -> Kernel:
        """See `Op.open`."""
        weights, total = self.weights, sum(self.weights)

        def batch(*values: np.ndarray) -> np.ndarray:
            mean = values[0] * weights[0]
            for value, weight in zip(values[1:], weights[1:], strict=True):
                mean += value * weight
            return np.asarray(mean / total)

        def row(*values: list[float]) -> list[float]:
            return [sum(map(mul, numbers, weights)) / total for numbers in zip(*values, strict=True)]

        return Kernel(batch, row)


class Median(Op, frozen=True):
    """The weighted median of dense values of one position: the smallest at which half of the weights is reached."""

    weights: tuple[float, ...]

    def open(self) -> Kernel:
        """See `Op.open`."""
        weights = np.array(self.weights)

        def batch(*values: np.ndarray) -> np.ndarray:
            numbers = np.concatenate(values, axis=1)
            order = np.argsort(numbers, axis=1)
            reached = np.cumsum(weights[order], axis=1)
            middle = (reached >= 0.5 * reached[:, -1:]).argmax(axis=1)
            every = np.arange(len(numbers))
            return np.asarray(numbers[every, order[every, middle]][:, None])

        return Kernel(batch, lambda *values: batch(*[np.array([value]) for value in values])[0].tolist())


class Choice(Op, frozen=True):
    """A 1 at the position of the class that a model chooses, 0 elsewhere.

    Attributes:
        sign: whether one score above zero chooses the second class; else the largest score chooses.
        places: the position of each of the model's classes.
        width: number of positions.
    """

    sign: bool
    places: tuple[int, ...]
    width: int

    def open(self) -> Kernel:
        """See `Op.open`."""
        if not all(0 <= place < self.width for place in self.places):
            raise ValueError("a chosen class has no position")
        sign, places, every = self.sign, np.array(self.places), np.eye(self.width)
        rows = every[places].tolist()

        def batch(scores: np.ndarray) -> np.ndarray:
            chosen = (scores[:, 0] > 0).astype(np.intp) if sign else scores.argmax(axis=1)
            return np.asarray(every[places[chosen]])

        def row(scores: list[float]) -> list[float]:
            return rows[scores[0] > 0] if sign else rows[scores.index(max(scores))]  # type: ignore[no-any-return]

        return Kernel(batch, row)


class Scatter(Op, frozen=True):
    """Positions of a dense value put at others; zero where none is put."""

    places: tuple[int, ...]
    width: int

    def open(self) -> Kernel:
        """See `Op.open`."""
        if not all(0 <= place < self.width for place in self.places):
            raise ValueError("a position is not there")
        places, width = list(self.places), self.width

        def batch(dense: np.ndarray) -> np.ndarray:
            wide = np.zeros((len(dense), width))
            wide[:, places] = dense
            return wide

        def row(dense: list[float]) -> list[float]:
            wide = [0.0] * width
            for place, number in zip(places, dense, strict=True):
                wide[place] = number
            return wide

        return Kernel(batch, row)


class Curves(Op, frozen=True):
    """Each position through a curve of its own: straight lines between points, level outside them (isotonic regression).

    Attributes:
        xs: for each position, ascending.
        ys: as many for each position.
    """

    xs: tuple[tuple[float, ...], ...]
    ys: tuple[tuple[float, ...], ...]

    def open(self) -> Kernel:
        """See `Op.open`."""
        if any(len(xs) != len(ys) or not xs for xs, ys in zip(self.xs, self.ys, strict=True)):
            raise ValueError("a curve has other numbers of xs than of ys")
        curves = [(np.array(xs), np.array(ys)) for xs, ys in zip(self.xs, self.ys, strict=True)]

        def batch(dense: np.ndarray) -> np.ndarray:
            return np.stack([np.interp(dense[:, place], *curve) for place, curve in enumerate(curves)], axis=1)

        lines = list(zip(self.xs, self.ys, strict=True))
        return Kernel(batch, lambda dense: [_interpolate(number, *line) for number, line in zip(dense, lines, strict=True)])


def _interpolate(x: float, xs: tuple[float, ...], ys: tuple[float, ...]) -> float:
    after = bisect_right(xs, x)
    if not after or after == len(xs):
        return ys[after - 1 if after else 0]
    x0, y0 = xs[after - 1], ys[after - 1]
    return (ys[after] - y0) / (xs[after] - x0) * (x - x0) + y0


class Logs(Op, frozen=True):
    """``log(share + 1e-12)``, as temperature scaling turns probabilities back into scores."""

    def open(self) -> Kernel:
        """See `Op.open`."""
        return Kernel(lambda shares: np.log(shares + 1e-12), lambda shares: [log(share + 1e-12) for share in shares])
