"""Text into sparse rows: how often each known n-gram occurs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.ops.base import Csr, Kernel, Op
from samovar.scoring.ops.words import Analyzer  # noqa: TC001 - msgspec reads the annotation at run time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


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
        count = counter(self.analyzer, {term: position for position, term in enumerate(self.terms)})
        width, binary = len(self.terms), self.binary

        def row(text: Any) -> tuple[list[int], list[float]]:
            counts = count(text)
            return [*counts], [1.0] * len(counts) if binary else [*map(float, counts.values())]

        return Kernel(lambda texts: csr(map(row, texts), width), row)


def counter(analyzer: Analyzer, table: dict[str, int]) -> Callable[[Any], dict[int, int]]:
    """Return the function from a text to the counts of the n-grams in a table, by what the table holds for them."""
    grams = analyzer.open()
    get = table.get

    def count(text: Any) -> dict[int, int]:
        counts: Counter[Any] = Counter(map(get, grams(text)))
        counts.pop(None, 0)
        return counts

    return count


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
