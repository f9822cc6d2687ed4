"""Words looked up many at a time: all words of all texts of a batch in one pass of numpy.

A word is held as two 64-bit numbers, its first sixteen bytes, and found by a perfect hash (hash and displace, Belazzougui, Botelho
and Dietzfelbinger 2009): the words' hashes fall into small buckets, and each bucket has a displacement that sends its words to
slots of their own. What stands in the slot is compared with the word, so that a word is found or it is not, never mistaken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

PAD = b" " * 16
"""Has to stand behind the last word, since words are read in pieces of eight bytes."""

_SPACE = 32
_LONGEST = 16  # bytes of a word that numbers hold; longer ones, which are few, are looked up one by one
_TRIES = 512  # displacements of a bucket; words that find no slot are looked up one by one, too
_FIRST, _SECOND, _MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93], dtype=np.uint64)
_HALF = np.uint64(32)
_MASKS = np.array([(1 << (8 * count)) - 1 for count in range(9)], dtype=np.uint64)


class Lexicon:
    """Finds words.

    Args:
        words: known words in UTF-8, none twice.
        places: a number of each, not negative.
    """

    def __init__(self, words: Sequence[bytes], places: Sequence[int]) -> None:
        short = [index for index, word in enumerate(words) if 0 < len(word) <= _LONGEST and b"\0" not in word]
        self._rest = {word: place for word, place in zip(words, places, strict=True) if len(word) > _LONGEST}
        heads, tails = _numbers([words[index] for index in short])
        self._bits = max(4, (3 * len(short) // 2).bit_length())
        bucket, slot, step = self._hashed(heads, tails)
        moves, placed = _displaced(bucket, slot, step, self._bits)
        self._moves = moves
        final = (slot + moves[bucket] * step) & ((1 << self._bits) - 1)
        self._heads, self._tails = np.zeros((2, 1 << self._bits), dtype=np.uint64)
        self._places = np.full(1 << self._bits, -1, dtype=np.int32)
        self._heads[final[placed]], self._tails[final[placed]] = heads[placed], tails[placed]
        self._places[final[placed]] = np.array([places[index] for index in short], dtype=np.int32)[placed]
        left = [short[index] for index in np.flatnonzero(~placed).tolist()]
        self._rest |= {words[index]: places[index] for index in left}
        self._all = bool(left)

    def find(self, text: bytes) -> tuple[np.ndarray, np.ndarray]:
        """Look up the words of a text.

        Args:
            text: words in UTF-8 without NUL, with a space or more between them, one before the first, and `PAD` behind the last.

        Returns:
            Where each word begins, in order, and its place; -1 for one that is not known.
        """
        spaces = np.frombuffer(text, np.uint8) == _SPACE
        edges = np.flatnonzero(spaces[1:] != spaces[:-1])
        starts, lengths = edges[0::2] + 1, edges[1::2] - edges[0::2]
        heads, tails = _read(text, starts, lengths)
        bucket, slot, step = self._hashed(heads, tails)
        slot += self._moves.take(bucket) * step
        slot &= (1 << self._bits) - 1
        found = self._heads.take(slot) == heads
        found &= self._tails.take(slot) == tails
        long = lengths > _LONGEST
        places = np.where(found & ~long, self._places.take(slot), -1)
        if self._rest:
            for index in np.flatnonzero(places < 0 if self._all else long).tolist():
                start = int(starts[index])
                places[index] = self._rest.get(text[start : start + int(lengths[index])], -1)
        return starts, places

    def _hashed(self, heads: np.ndarray, tails: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return each word's bucket, first slot, and the step from one slot to the next, which is odd."""
        mixed = heads * _FIRST
        mixed ^= tails * _SECOND
        mixed ^= mixed >> _HALF
        mixed *= _MIX
        bits = np.uint64(64 - self._bits)
        bucket = (mixed >> (bits + np.uint64(2))).view(np.int64)
        slot = (mixed >> np.uint64(8)).view(np.int64) & ((1 << self._bits) - 1)
        step = (mixed & np.uint64(0xFF)).view(np.int64) | 1
        return bucket, slot, step


def _numbers(words: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last eight bytes of words of up to sixteen."""
    table = np.array(words, dtype=f"S{_LONGEST}").view("<u8").reshape(-1, 2).astype(np.uint64)
    return np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])


def _read(text: bytes, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the next eight bytes of the words of a text, zeros behind their ends."""
    eights = np.ndarray(len(text) - 7, dtype="<u8", buffer=text, strides=(1,)).copy()  # at every byte; aligned, which is faster
    heads = eights.take(starts) & _MASKS.take(lengths, mode="clip")
    tails = np.zeros(len(starts), dtype=np.uint64)
    longer = np.flatnonzero(lengths > 8)
    tails[longer] = eights.take(starts[longer] + 8) & _MASKS.take(lengths[longer] - 8, mode="clip")
    return heads, tails


def _displaced(bucket: np.ndarray, slot: np.ndarray, step: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose each bucket's displacement, those of many words first; returns them, and which words got a slot."""
    size = 1 << bits
    moves, placed = np.zeros(size >> 2, dtype=np.int64), np.zeros(len(bucket), dtype=bool)
    free, owner = np.ones(size, dtype=bool), np.empty(size, dtype=np.int64)
    order = np.argsort(bucket, kind="stable")
    buckets, firsts, counts = np.unique(bucket[order], return_index=True, return_counts=True)
    for count in np.unique(counts[counts > 1])[::-1].tolist():
        open_ = np.flatnonzero(counts == count)
        for move in range(_TRIES):
            if not len(open_):
                break
            words = order[firsts[open_][:, None] + np.arange(count)]
            wanted = (slot[words] + move * step[words]) & (size - 1)
            taken = _settled(wanted, free, owner)
            free[wanted[taken]] = False
            moves[buckets[open_[taken]]] = move
            placed[words[taken]] = True
            open_ = open_[~taken]
    alone = counts == 1  # a word without neighbours takes whichever slot is left: an odd step leads to every one
    words = order[firsts[alone]]
    moves[buckets[alone]] = (np.flatnonzero(free)[: len(words)] - slot[words]) * _inverse(step[words]) & (size - 1)
    placed[words] = True
    return moves, placed


def _inverse(odd: np.ndarray) -> np.ndarray:
    """Return what odd numbers below 256 must be multiplied with to give 1, modulo any power of two up to 2**48 (Newton)."""
    found = odd
    for _ in range(4):
        found = (found * (2 - odd * found)) & ((1 << 48) - 1)
    return found


def _settled(wanted: np.ndarray, free: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Tell which rows of slots are free, without a slot twice, and wanted by no other row that gets it."""
    able = np.flatnonzero(free[wanted].all(axis=1))
    each = np.arange(wanted.size).reshape(wanted.shape)
    owner[wanted[able]] = each[able]  # the last who writes keeps it
    taken = np.zeros(len(wanted), dtype=bool)
    taken[able] = (owner[wanted[able]] == each[able]).all(axis=1)
    return taken
