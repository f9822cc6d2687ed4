"""Short decimal numbers, all of a text at once: the characters of each lie in one machine word, and numpy computes with words.

A number is taken when it is at most eight characters long beside its sign: digits, with or without a point among them. Its digits
are then an integer below 2**53 and its scale a power of ten below 10**22, both of which doubles hold exactly, so that one division
rounds once, to the double nearest to the decimal (Clinger, "How to read floating point numbers accurately", 1990): what every
correct reader gives, to the bit. Whatever is written in another way is left to such a reader.
"""

from __future__ import annotations

import numpy as np

LONGEST = 8
"""Characters of a number beside its sign."""

_BLOCK = 12 * 2**10  # numbers computed at a time: what that takes on the way stays in the cache, and below what malloc maps afresh
_PAD = bytes(16)  # two words are read for a number, wherever it begins
_COMMA, _MINUS, _OPEN, _CLOSE, _POINT, _ZERO = b",-[].0"


def _each(byte: int) -> int:
    """Return a word whose eight bytes are all the same."""
    return int.from_bytes(bytes([byte]) * 8, "little")


_ZEROS, _POINTS, _SEVEN, _SIXES, _HIGH, _LOW = map(_each, (0x30, 0x2E, 0x7F, 0x06, 0xF0, 0x0F))
_TOP = 1 << 63

# By the number of bits below the point: 8 k where k characters stand before it in a word of eight, 64 where there is none.
_SCALES = np.ones(65)
_SCALES[: 8 * LONGEST : 8] = 10.0 ** np.arange(LONGEST - 1, -1, -1)


def columns(text: bytes, width: int) -> np.ndarray | None:
    """Read rows of numbers.

    Args:
        text: n rows ``1,2],[3,4``: without spaces, and without the brackets before the first and after the last.
        width: numbers of a row.

    Returns:
        The columns (width, n); None when it is anything else, or a number is written in another way.
    """
    padded = b"".join((text, _PAD))
    letters = np.frombuffer(padded, np.uint8)
    commas = np.flatnonzero(letters[: len(text)] == _COMMA)
    if (len(commas) + 1) % width:
        return None
    between = commas[width - 1 :: width]  # rows
    if (letters[between - 1] != _CLOSE).any() or (letters[between + 1] != _OPEN).any():
        return None
    marks = np.concatenate(([-2], commas, [len(text) + 1]))  # as if rows stood around the text
    starts, ends = marks[:-1] + 1, marks[1:]
    starts[::width] += 1
    ends[width - 1 :: width] -= 1
    if b"-" in text:
        negative = letters.take(starts) == _MINUS
        starts += negative
    else:
        negative = None
    lengths = ends - starts
    numbers = _numbers(np.frombuffer(padded, "<u8", len(padded) // 8), starts, lengths)
    if numbers is None:
        return None
    if negative is not None:
        if (negative & (lengths == 1) & (numbers == 0)).any():  # -0 is an integer, which has no sign; -0.0 has one
            return None
        np.negative(numbers, out=numbers, where=negative)
    return np.ascontiguousarray(numbers.reshape(-1, width).T)


def _numbers(words: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray | None:
    """Return the numbers that begin at these places of the text; None when one of them is written in another way."""
    if lengths.min() < 1 or lengths.max() > LONGEST:
        return None
    numbers = np.empty(len(starts))
    for at in range(0, len(starts), _BLOCK):
        block = slice(at, at + _BLOCK)
        if not _read(words, starts[block], lengths[block], numbers[block]):
            return None
    return numbers


def _read(words: np.ndarray, starts: np.ndarray, lengths: np.ndarray, numbers: np.ndarray) -> bool:
    """Compute one block of numbers; tells whether all of them could be read."""
    word = _word(words, starts)
    if word.astype(np.uint8).min() < _ZERO or ((word & 0xF0FF) == 0x3030).any():  # a point first; a digit after a first zero
        return False
    bits = (lengths << 3).view(np.uint64)
    word <<= 64 - bits  # the number's last character is the word's last one
    point = _points(word)
    if point.max() >= _TOP or (point & (point - 1)).max():  # a point last; a second one
        return False
    point >>= 7
    below = point - 1  # all ones where there is no point
    _close(word, point, below, bits)
    if not _digits(word):
        return False
    np.divide(_integer(word).view(np.int64), _SCALES.take(np.bitwise_count(below)), out=numbers)
    return True


def _word(words: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the eight bytes from each place on, the first of them lowest; numpy's shifts by 64 give 0."""
    shift = ((starts & 7) << 3).view(np.uint64)
    place = starts >> 3
    word = words.take(place)
    word >>= shift
    place += 1
    after = words.take(place)
    after <<= 64 - shift
    word |= after
    return word


def _points(word: np.ndarray) -> np.ndarray:
    """Return the highest bit of each byte that is a point."""
    other = word ^ _POINTS
    found = other & _SEVEN
    found += _SEVEN  # carries into the highest bit unless all of the others are 0
    found |= other
    found |= _SEVEN
    np.invert(found, out=found)
    return found


def _close(word: np.ndarray, point: np.ndarray, below: np.ndarray, bits: np.ndarray) -> None:
    """Move what is before the point to where the point was, and write zeros in front."""
    before = word & below
    word -= before
    word -= point * _POINT
    digits = bits - 8
    if point.min():
        before <<= 8
    else:  # some have none: they stay where they are, and a digit longer
        whole = (point == 0).astype(np.uint64)
        whole <<= 3
        before <<= 8 - whole
        digits += whole
    word |= before
    word |= np.right_shift(_ZEROS, digits)


def _digits(word: np.ndarray) -> bool:
    """Tell whether all bytes are digits."""
    nine = word + _SIXES  # a digit's high half stays what it is
    nine &= _HIGH
    return bool((nine == _ZEROS).all() and ((word & _HIGH) == _ZEROS).all())


def _integer(word: np.ndarray) -> np.ndarray:
    """Return what eight digits say: neighbours are joined to pairs, pairs to fours, fours to eight."""
    word &= _LOW
    word *= 10 * 2**8 + 1
    word >>= 8
    word &= 0x00FF00FF00FF00FF
    word *= 100 * 2**16 + 1
    word >>= 16
    word &= 0x0000FFFF0000FFFF
    word *= 10_000 * 2**32 + 1
    word >>= 32
    return word
