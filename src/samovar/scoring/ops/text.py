"""Text into sparse rows: how often each known n-gram occurs; and into decisions that are linear in that."""

from __future__ import annotations

from collections import Counter
from itertools import repeat
from math import log, sqrt
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from samovar.scoring.ops.base import Array, Csr, Kernel, Op
from samovar.scoring.ops.lexicon import PAD
from samovar.scoring.ops.weigh import norms_of
from samovar.scoring.ops.words import Analyzer  # noqa: TC001 - msgspec reads the annotation at run time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_FEW = 4  # outputs; more of them are faster through numpy even for one row
_TABLED = 256  # counts whose logarithm is at hand
CHUNK = 256
"""Texts that are counted at once."""
_CHARACTERS = 2**18  # of these texts; what numpy makes of them is some ten times as large
_SHORT = 2**31

_NOTHING = repeat(0j)


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

    @property
    def joint(self) -> bool:
        """See `Op.joint`."""
        return self.analyzer.is_plain

    def open(self) -> Kernel:
        """See `Op.open`."""
        scale, intercept = self.scale.open(), self.intercept.open()
        weights = self.coefficients.open() * scale
        if weights.shape != (len(intercept), len(self.terms)):
            raise ValueError("a text's terms and coefficients differ in number")
        if len(intercept) == 1 and not self.norm and self.counting == "plain":
            row = self._sum(weights[0], float(intercept[0]))
            return Kernel(_parted(self._some(scale, weights, intercept), row) if self.joint else _one_by_one(row), row)
        some = self._some(scale, weights, intercept)
        if self.analyzer.unit == "char_wb":  # the n-grams of one text are many enough for numpy
            return Kernel(_parted(some), lambda text: some([text])[0].tolist())
        row = self._row(scale, weights, intercept)
        return Kernel(_parted(some, row), row)

    def _row(self, scale: np.ndarray, weights: np.ndarray, intercept: np.ndarray) -> Callable[[Any], list[float]]:
        if len(intercept) > _FEW:
            return self._many(scale, np.ascontiguousarray(weights.T), intercept)
        if len(intercept) == 1 and self.norm == "l2":
            return self._cosine(scale, weights[0], float(intercept[0]))
        return self._few(scale, weights, intercept)

    def _sum(self, weights: np.ndarray, intercept: float) -> Callable[[Any], list[float]]:
        """Add a weight for each occurrence: nothing need be counted."""
        find = self.analyzer.finder(dict(zip(self.terms, weights.tolist(), strict=True)), 0.0)
        return lambda text: [sum(find(text)) + intercept]

    def _cosine(self, scale: np.ndarray, weights: np.ndarray, intercept: float) -> Callable[[Any], list[float]]:
        """Sum up weights, and squares for the norm, as the two halves of one number; then make up for what occurs again."""
        pairs = map(complex, weights.tolist(), (scale * scale).tolist())
        grams, table = self.analyzer.keyed(dict(zip(self.terms, pairs, strict=True)))
        get, factor = table.get, _FACTORS[self.counting]
        factors = [*map(factor, range(1, _TABLED))]

        def row(text: Any) -> list[float]:
            counts = Counter(grams(text))
            both = sum(map(get, counts, _NOTHING))
            again: dict[int, complex] = {}  # what occurs so often: few numbers, whose factors are the same
            for gram, count in counts.items():
                if count > 1:
                    again[count] = again.get(count, 0j) + get(gram, 0j)
            total, square = both.real, both.imag
            for count, found in again.items():
                times = factors[count - 1] if count < _TABLED else factor(count)
                total += (times - 1.0) * found.real
                square += (times * times - 1.0) * found.imag
            return [total / sqrt(square) + intercept if square else intercept]

        return row

    def _few(self, scale: np.ndarray, weights: np.ndarray, intercept: np.ndarray) -> Callable[[Any], list[float]]:
        find, factor, size = self._find(None), _FACTORS[self.counting], _SIZES[self.norm]
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
        find, factor, size = self._find(None), _FACTORS[self.counting], _SIZES[self.norm]
        sizes = np.abs(scale)

        def row(text: Any) -> list[float]:
            counts = counted(find(text))
            positions, times = np.fromiter(counts, np.intp, len(counts)), np.array([*map(factor, counts.values())])
            norm = size((sizes[positions] * times).tolist()) or 1.0
            return (times @ weights[positions] / norm + intercept).tolist()  # type: ignore[no-any-return]

        return row

    def _some(self, scale: np.ndarray, weights: np.ndarray, intercept: np.ndarray) -> Callable[[Any], np.ndarray]:
        found, sizes, norm = self._found(), np.abs(scale), self.norm
        factors = np.array([0.0, *map(_FACTORS[self.counting], range(1, _TABLED))])
        factor = np.vectorize(_FACTORS[self.counting], otypes=[float])

        def some(texts: Sequence[Any]) -> np.ndarray:
            owners, positions, counts = together(*found(texts), len(scale))
            times = factors.take(counts) if counts.max(initial=0) < _TABLED else factor(counts)
            sums = [np.bincount(owners, times * heavy.take(positions), len(texts)) for heavy in weights]
            scores: np.ndarray = np.stack(sums, axis=1)
            if norm:
                norms = norms_of(norm, owners, times * sizes.take(positions), len(texts))
                scores = scores / np.where(norms == 0.0, 1.0, norms)[:, None]
            return np.asarray(scores + intercept)

        return some

    def _found(self) -> Callable[[Sequence[Any]], tuple[np.ndarray, np.ndarray]]:
        """Return the function from texts to what `listed` gives of their terms' positions."""
        if not self.analyzer.is_plain:
            find = self._find(-1)
            return lambda texts: listed(map(find, texts))
        lexicon, spaced = self.analyzer.lexicon({term: place for place, term in enumerate(self.terms)}), self.analyzer.spaced()

        def looked_up(texts: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
            parts = [*map(spaced, texts)]
            starts, places = lexicon.find(b" %b%b" % (b" ".join(parts), PAD))
            ends = np.cumsum([len(part) + 1 for part in parts])
            counts = np.diff(np.searchsorted(starts, ends), prepend=0)
            return np.repeat(np.arange(len(texts)), counts), places

        return looked_up

    def _find(self, unknown: int | None) -> Callable[[Any], Iterable[int]]:
        return self.analyzer.finder({term: position for position, term in enumerate(self.terms)}, unknown)


def _one_by_one(row: Callable[[Any], list[float]]) -> Callable[[Any], np.ndarray]:
    return lambda texts: np.array([*map(row, texts)])


def _parted(some: Callable[[Any], np.ndarray], row: Callable[[Any], list[float]] | None = None) -> Callable[[Any], np.ndarray]:
    """Score texts a part at a time; what is alone in its part may be very long and goes by ``row``, which takes less memory."""

    def part(texts: Sequence[Any]) -> np.ndarray:
        return some(texts) if row is None or len(texts) > 1 else np.array([row(texts[0])])

    return lambda texts: np.concatenate([part(texts[start:stop]) for start, stop in _chunks(texts)])


def _chunks(texts: Sequence[Any]) -> Iterable[tuple[int, int]]:
    """Yield where to cut texts so that what numpy makes of them at a time stays small."""
    start = size = 0
    for index, text in enumerate(texts):
        size += len(text) if isinstance(text, str) else 0
        if index - start >= CHUNK or (size > _CHARACTERS and index > start):
            yield start, index
            start, size = index, len(text) if isinstance(text, str) else 0
    yield start, len(texts)


def together(owners: np.ndarray, places: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count what several texts' n-grams stand for, -1 being left out; returns texts, positions and counts, ordered."""
    known = places >= 0
    keys = (owners * width + places)[known]
    if keys.max(initial=0) < _SHORT:  # these are sorted in half the time
        keys = keys.astype(np.int32)
    keys.sort()
    firsts = np.flatnonzero(np.diff(keys, prepend=-1))
    owners, positions = np.divmod(keys[firsts], width)
    return owners, positions, np.diff(firsts, append=len(keys))


def listed(found: Iterable[Iterable[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Put numbers found in several texts into one array; returns whose each is, and the numbers."""
    entries: list[int] = []
    ends = [0]
    for numbers in found:
        entries += numbers
        ends.append(len(entries))
    return np.repeat(np.arange(len(ends) - 1), np.diff(ends)), np.array(entries, dtype=np.int64)


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
