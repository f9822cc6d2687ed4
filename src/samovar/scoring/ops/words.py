"""Text into n-grams, exactly as scikit-learn's vectorizers make them, and faster."""

from __future__ import annotations

import re
import unicodedata
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from samovar.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_RUNS = {
    rf"{flag}{pattern}": shortest
    for flag in ("", "(?u)")
    for shortest, patterns in ((1, (r"\b\w+\b", r"\w+")), (2, (r"\b\w\w+\b", r"\w\w+", r"\w{2,}", r"\b\w{2,}\b")))
    for pattern in patterns
}
"""Token patterns that match every run of word characters with at least so many of them."""

_SPACES = re.compile(r"\s\s+")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_MANY = 24  # different characters beyond ASCII, from which on replacing them one by one is slow
_REMEMBERED = 50_000  # words whose parts are kept at hand


def _table(*, lower: bool) -> bytes:
    """Return what each byte becomes: ASCII that is no word character a space, the rest itself (or its lower case)."""
    kept = {ord("_")} | {code for code in range(128) if chr(code).isalnum()} | set(range(128, 256))
    return bytes((code + 32 if lower and 65 <= code <= 90 else code) if code in kept else 32 for code in range(256))


_AS_IS, _LOWER = _table(lower=False), _table(lower=True)


class Analyzer(msgspec.Struct, frozen=True):
    """How a vectorizer takes a text apart.

    Attributes:
        unit: what n-grams consist of: words, characters, or characters inside words padded with spaces.
        lowercase: whether the text is put into lower case first.
        accents: how accents are stripped after that; empty when they are not.
        pattern: regular expression of a word.
        stop_words: words left out.
        shortest: least n.
        longest: greatest n.
        name: the column's name, for errors.
    """

    unit: Literal["word", "char", "char_wb"]
    lowercase: bool
    accents: Literal["", "ascii", "unicode"]
    pattern: str
    stop_words: tuple[str, ...]
    shortest: int
    longest: int
    name: str = ""

    def open(self) -> Callable[[Any], Sequence[str]]:
        """Return the function from a text to its n-grams; it raises RequestError for what is no text.

        Raises:
            ValueError: the pattern is no regular expression with at most one group.
        """
        match self.unit:
            case "word":
                split = self._words()
                if self.longest == 1:
                    return split
                return self._grams(split)
            case "char":
                return self._pieces(_char_grams)
            case "char_wb":
                return self._pieces(_char_wb_grams)

    def prepared(self, text: Any) -> str:
        """Return a text in lower case and without accents, where those are asked for."""
        if not isinstance(text, str):
            raise RequestError("Expected text, the model takes no missing value here.", path=self.name)
        if self.lowercase:
            text = text.lower()
        return _STRIPPED[self.accents](text) if self.accents else text

    def _words(self) -> Callable[[Any], list[str]]:
        find = self._finder()
        stop = frozenset(self.stop_words)
        if not stop:
            return find
        return lambda text: [word for word in find(text) if word not in stop]

    def _finder(self) -> Callable[[Any], list[str]]:
        least = _RUNS.get(self.pattern)
        if least is None:
            return self._by_pattern()
        table = _LOWER if self.lowercase else _AS_IS
        prepared, plain = self.prepared, not self.accents

        def runs(text: Any) -> list[str]:
            if plain and isinstance(text, str) and text.isascii():
                return text.encode().translate(table).decode().split()
            return word_runs(prepared(text))

        return runs if least == 1 else lambda text: [word for word in runs(text) if len(word) > 1]

    def _by_pattern(self) -> Callable[[Any], list[str]]:
        try:
            pattern = re.compile(self.pattern)
        except re.error as error:
            raise ValueError("a token pattern is no regular expression") from error
        if pattern.groups > 1:
            raise ValueError("a token pattern has more than one group")
        prepared, find = self.prepared, pattern.findall
        return lambda text: find(prepared(text))

    def _grams(self, split: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
        first = 1 if self.shortest == 1 else 0
        lengths = range(max(self.shortest, 2), self.longest + 1)

        def grams(text: Any) -> list[str]:
            words = split(text)
            found = list(words) if first else []
            for length in lengths:
                found += map(" ".join, zip(*(words[start:] for start in range(length)), strict=False))
            return found

        return grams

    def _pieces(self, pieces: Callable[[str, int, int], list[str]]) -> Callable[[Any], list[str]]:
        shortest, longest, prepared = self.shortest, self.longest, self.prepared
        return lambda text: pieces(_SPACES.sub(" ", prepared(text)), shortest, longest)


def word_runs(text: str) -> list[str]:
    r"""Return the longest runs of word characters (as ``\w+`` finds them)."""
    plain = text.encode("utf-8", "surrogatepass").translate(_AS_IS).decode("utf-8", "surrogatepass")
    if not plain.isascii():
        strange = set(_BEYOND_ASCII.findall(plain))
        if len(strange) > _MANY:
            return re.findall(r"\w+", plain)
        for character in strange:
            if not character.isalnum():
                plain = plain.replace(character, " ")
    return plain.split()


def _char_grams(text: str, shortest: int, longest: int) -> list[str]:
    lengths = range(shortest, min(longest, len(text)) + 1)
    return [text[start : start + length] for length in lengths for start in range(len(text) - length + 1)]


def _char_wb_grams(text: str, shortest: int, longest: int) -> list[str]:
    return list(chain.from_iterable(word_pieces(word, shortest, longest) for word in text.split()))


def word_pieces(word: str, shortest: int, longest: int) -> list[str]:
    """Return the n-grams of one word with a space before and after; a word shorter than n counts once, whole."""
    word = f" {word} "
    found = []
    for length in range(shortest, longest + 1):
        if length >= len(word):
            found.append(word)
            break
        found += [word[start : start + length] for start in range(len(word) - length + 1)]
    return found


def _unicode(text: str) -> str:
    if text.isascii():
        return text
    return "".join([letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter)])


_STRIPPED: dict[str, Callable[[str], str]] = {
    "unicode": _unicode,
    "ascii": lambda text: unicodedata.normalize("NFKD", text).encode("ASCII", "ignore").decode("ASCII"),
}
