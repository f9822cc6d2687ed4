"""Numbers that are read off a text: the one definition that contracts, models and endpoints share.

Each takes a text and gives a float; an empty text gives 0. Only the standard library is needed, so the light core has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ASCII_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_NOT_UPPER = bytes(code for code in range(128) if not 65 <= code <= 90)
_NOT_LETTER = bytes(code for code in range(128) if code not in _ASCII_LETTERS)

TOLERANCE = 1e-6
"""Relative difference up to which a number that was sent is the computed one, written with fewer digits."""


def join(texts: Iterable[Any]) -> str:
    """Return the texts that say something, one to a line; null, NaN and blank ones are left out."""
    return "\n".join(text for text in texts if isinstance(text, str) and not text.isspace() and text)


def length(text: str) -> float:
    """Characters (code points)."""
    return float(len(text))


def words(text: str) -> float:
    """Words: what white space separates."""
    return float(len(text.split()))


def exclamations(text: str) -> float:
    """Exclamation marks."""
    return float(text.count("!"))


def questions(text: str) -> float:
    """Question marks."""
    return float(text.count("?"))


def caps_ratio(text: str) -> float:
    """Share of upper-case ones among the letters, from 0 to 1."""
    if text.isascii():
        raw = text.encode()
        upper, letters = len(raw.translate(None, _NOT_UPPER)), len(raw.translate(None, _NOT_LETTER))
    else:
        upper, letters = sum(map(str.isupper, text)), sum(map(str.isalpha, text))
    return upper / letters if letters else 0.0


def average_word(text: str) -> float:
    """Mean length of a word, in characters."""
    found = text.split()
    return sum(map(len, found)) / len(found) if found else 0.0


NUMBERS: dict[str, Callable[[str], float]] = {
    "text_len": length,
    "word_count": words,
    "exclamation_count": exclamations,
    "question_count": questions,
    "caps_ratio": caps_ratio,
    "avg_word_length": average_word,
}
"""What can be computed of a text, by the name that contracts and models know it by."""


def number(name: str, texts: Iterable[Any]) -> float:
    """Return one number of the joined texts."""
    return NUMBERS[name](join(texts))


def agrees(sent: Any, computed: float) -> bool:
    """Whether a number that was sent (None for none) says nothing else than the computed one."""
    return sent is None or abs(sent - computed) <= TOLERANCE * max(1.0, abs(computed))
