"""Text into sparse rows by hashing its n-grams: MurmurHash3 (x86, 32 bits, seed 0), as scikit-learn uses it."""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.errors import RequestError
from samovar.scoring.ops.base import Csr, Kernel, Op
from samovar.scoring.ops.text import CHUNK, listed
from samovar.scoring.ops.words import Analyzer  # noqa: TC001 - msgspec reads the annotation at run time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]

_WORD = 0xFFFFFFFF
_REMEMBERED = 100_000  # n-grams whose position is kept at hand; then it is all forgotten, so that memory stays bounded
_LONG = 64  # characters; longer n-grams are not remembered


class Hash(Op, frozen=True):
    """A column of text into counts of its n-grams at positions that their hashes give.

    Attributes:
        analyzer: how a text is taken apart.
        width: number of positions.
        signs: whether an n-gram with a negative hash counts as -1.
        binary: whether a position that occurs holds 1.
    """

    analyzer: Analyzer
    width: int
    signs: bool
    binary: bool = False

    def open(self) -> Kernel:
        """See `Op.open`."""
        if self.width < 1:
            raise ValueError("a hash needs positions")
        grams, place = self.analyzer.open(), Places(self.width).__getitem__
        signs, binary = self.signs, self.binary

        def row(text: Any) -> tuple[list[int], list[float]]:
            sums: dict[int, float] = {}
            for code, count in Counter(map(place, grams(text))).items():
                position, sign = (code, 1.0) if code >= 0 else (~code, -1.0 if signs else 1.0)
                sums[position] = sums.get(position, 0.0) + sign * count
            return [*sums], [1.0] * len(sums) if binary else [*sums.values()]

        def batch(texts: Sequence[Any]) -> Csr:
            parts = [self._some(texts[start : start + CHUNK], grams, place) for start in range(0, len(texts), CHUNK)]
            lengths, positions, numbers = (np.concatenate(part) for part in zip(*parts, strict=True))
            return Csr(np.concatenate(([0], np.cumsum(lengths))), positions, numbers, self.width)

        return Kernel(batch, row)

    def _some(self, texts: Sequence[Any], grams: Callable[[Any], Iterable[str]], place: Callable[[str], int]) -> Parts:
        """Count several texts at once; returns how many positions each has, the positions, and their numbers."""
        owners, codes = listed(map(place, grams(text)) for text in texts)
        keys = owners * self.width + np.where(codes >= 0, codes, ~codes)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        firsts = np.flatnonzero(np.diff(keys, prepend=-1))
        owners, positions = np.divmod(keys[firsts], self.width)
        lengths = np.bincount(owners, minlength=len(texts))
        if self.binary or not len(firsts):
            return lengths, positions, np.ones(len(firsts))
        signs = np.where(codes[order] >= 0, 1.0, -1.0 if self.signs else 1.0)
        return lengths, positions, np.add.reduceat(signs, firsts)


class Places(dict[str, int]):
    """N-gram -> its position, as ``~position`` where its hash is negative; found once and remembered."""

    def __init__(self, width: int) -> None:
        self._width = width

    def __missing__(self, gram: str) -> int:
        try:
            value = murmur(gram.encode())
        except UnicodeEncodeError:
            raise RequestError("Expected text that can be written as UTF-8.") from None
        # The position of the least hash is as scikit-learn defines it: its absolute value is no number of 32 bits.
        position = (_WORD // 2 - (self._width - 1)) % self._width if value == -(2**31) else abs(value) % self._width
        code = position if value >= 0 else ~position
        if len(gram) <= _LONG:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[gram] = code
        return code


def murmur(data: bytes) -> int:
    """Return the hash as a signed number of 32 bits."""
    value = 0
    whole = len(data) // 4
    for block in struct.unpack_from(f"<{whole}I", data):
        value ^= _mixed(block)
        value = (value << 13 | value >> 19) & _WORD
        value = (value * 5 + 0xE6546B64) & _WORD
    value ^= _mixed(int.from_bytes(data[4 * whole :], "little")) ^ len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & _WORD
    value = (value ^ value >> 13) * 0xC2B2AE35 & _WORD
    value ^= value >> 16
    return value - 2**32 if value >= 2**31 else value


def _mixed(block: int) -> int:
    block = block * 0xCC9E2D51 & _WORD
    return (block << 15 | block >> 17) * 0x1B873593 & _WORD
