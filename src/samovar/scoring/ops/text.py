"""Text into sparse rows: how often each known n-gram occurs; and into decisions that are linear in that."""

from __future__ import annotations

from collections import Counter
from math import log, sqrt
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from samovar.scoring.ops.base import Array, Csr, Kernel, Op
from samovar.scoring.ops.words import Analyzer  # noqa: TC001 - msgspec reads the annotation at run time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_FEW = 4  # outputs; more of them are faster through numpy even for one row
_TABLED = 256  # counts whose logarithm is at hand


class Count(Op, frozen=True):
    """A column of text into counts of its n-grams.

    Attributes:
        analyzer: how a text is taken apart.
        terms: the known n-grams, by position; the others are ignored.
        binary: whether a count is 1 however often the n-gram occurs.
    """

    analyzer: Analyzer
    terms: tuple[str, ...]
    binary: bool = False

    def open(self) -> Kernel:
        """See `Op.open`."""
        find = self.analyzer.finder({term: position for position, term in enumerate(self.terms)})
        width, binary = len(self.terms), self.binary

        def row(text: Any) -> tuple[list[int], list[float]]:
            counts = counted(find(text))
            return [*counts], [1.0] * len(counts) if binary else [*map(float, counts.values())]

        return Kernel(lambda texts: csr(map(row, texts), width), row)


class TextLinear(Op, frozen=True):
    """A column of text into a linear map of its n-grams' weights: counts, weights, norm and map in one.

    Attributes:
        analyzer: how a text is taken apart.
        terms: the known n-grams; the others are ignored.
        scale: weight of each term (terms,).
        coefficients: (outputs, terms), of the weighted counts.
        intercept: (outputs,).
        counting: whether a term's count is taken as it is, as 1, or as 1 + log(count).
        norm: of the weighted counts, by which the sum is divided; empty for none.
    """

    analyzer: Analyzer
    terms: tuple[str, ...]
    scale: Array
    coefficients: Array
    intercept: Array
    counting: Literal["plain", "binary", "log"] = "plain"
    norm: Literal["", "l1", "l2", "max"] = ""

    def open(self) -> Kernel:
        """See `Op.open`."""
        scale, intercept = self.scale.open(), self.intercept.open()
        weights = self.coefficients.open() * scale
        if weights.shape != (len(intercept), len(self.terms)):
            raise ValueError("a text's terms and coefficients differ in number")
        if len(intercept) > _FEW:
            row = self._many(scale, np.ascontiguousarray(weights.T), intercept)
        elif len(intercept) == 1 and not self.norm and self.counting == "plain":
            row = self._sum(weights[0], float(intercept[0]))
        elif len(intercept) == 1 and self.norm == "l2":
            row = self._cosine(scale, weights[0], float(intercept[0]))
        else:
            row = self._few(scale, weights, intercept)
        return Kernel(lambda texts: np.array([*map(row, texts)]), row)

    def _find(self) -> Callable[[Any], Iterable[int | None]]:
        return self.analyzer.finder({term: position for position, term in enumerate(self.terms)})

    def _sum(self, weights: np.ndarray, intercept: float) -> Callable[[Any], list[float]]:
        """Add a weight for each occurrence: nothing need be counted."""
        find = self.analyzer.finder(dict(zip(self.terms, weights.tolist(), strict=True)))
        return lambda text: [sum(filter(None, find(text))) + intercept]

    def _cosine(self, scale: np.ndarray, weights: np.ndarray, intercept: float) -> Callable[[Any], list[float]]:
        """Add up, and the squares too; most terms occur once."""
        find, heavy, squares = self._find(), weights.tolist(), (scale * scale).tolist()
        factor = _FACTORS[self.counting]
        factors = [0.0, *map(factor, range(1, _TABLED))]

        def row(text: Any) -> list[float]:
            total = square = 0.0
            for position, count in counted(find(text)).items():
                if count == 1:
                    total += heavy[position]
                    square += squares[position]
                else:
                    times = factors[count] if count < _TABLED else factor(count)
                    total += times * heavy[position]
                    square += times * times * squares[position]
            return [total / sqrt(square) + intercept if square else intercept]

        return row

    def _few(self, scale: np.ndarray, weights: np.ndarray, intercept: np.ndarray) -> Callable[[Any], list[float]]:
        find, factor, size = self._find(), _FACTORS[self.counting], _SIZES[self.norm]
        sizes = np.abs(scale).tolist()
        outputs = list(zip(weights.tolist(), intercept.tolist(), strict=True))

        def row(text: Any) -> list[float]:
            counts = counted(find(text))
            times = [*map(factor, counts.values())]
            norm = size([sizes[position] * time for position, time in zip(counts, times, strict=True)]) or 1.0
            return [
                sum([heavy[position] * time for position, time in zip(counts, times, strict=True)]) / norm + constant
                for heavy, constant in outputs
            ]

        return row

    def _many(self, scale: np.ndarray, weights: np.ndarray, intercept: np.ndarray) -> Callable[[Any], list[float]]:
        find, factor, size = self._find(), _FACTORS[self.counting], _SIZES[self.norm]
        sizes = np.abs(scale)

        def row(text: Any) -> list[float]:
            counts = counted(find(text))
            positions, times = np.fromiter(counts, np.intp, len(counts)), np.array([*map(factor, counts.values())])
            norm = size((sizes[positions] * times).tolist()) or 1.0
            return (times @ weights[positions] / norm + intercept).tolist()  # type: ignore[no-any-return]

        return row


_FACTORS: dict[str, Callable[[int], float]] = {
    "plain": float,
    "binary": lambda _: 1.0,
    "log": lambda count: 1.0 + log(count),
}
"""What a count is taken for."""

_SIZES: dict[str, Callable[[list[float]], float]] = {
    "": lambda _: 1.0,
    "l1": sum,
    "l2": lambda numbers: sqrt(sum([number * number for number in numbers])),
    "max": lambda numbers: max(numbers, default=0.0),
}
"""The norm of numbers that are not negative."""


def counted(entries: Iterable[int | None]) -> dict[int, int]:
    """Count what a text's n-grams stand for; None, for an unknown one, is left out."""
    counts: Counter[Any] = Counter(entries)
    counts.pop(None, 0)
    return counts


def csr(rows: Iterable[tuple[Sequence[int], Sequence[float]]], width: int) -> Csr:
    """Put rows of positions and numbers together."""
    starts: list[int] = [0]
    indices: list[int] = []
    data: list[float] = []
    for positions, numbers in rows:
        indices += positions
        data += numbers
        starts.append(len(indices))
    return Csr(np.array(starts), np.array(indices, dtype=np.intp), np.array(data, dtype=np.float64), width)
