"""Text into n-grams, exactly as scikit-learn's vectorizers make them, and faster."""

from __future__ import annotations

import re
import unicodedata
from itertools import chain, pairwise, repeat
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from samovar.errors import RequestError
from samovar.scoring.ops.lexicon import Lexicon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_Entry = TypeVar("_Entry")

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
_REMEMBERED = 20_000  # words whose parts are kept at hand; then all are forgotten, so that memory stays bounded
_LONG = 32  # characters; longer words are not kept at hand


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

    def open(self) -> Callable[[Any], Iterable[str]]:
        """Return the function from a text to its n-grams; it raises RequestError for what is no text.

        Raises:
            ValueError: the pattern is no regular expression with at most one group.
        """
        match self.unit:
            case "word":
                words = self._words()
                return words if self.longest == 1 else self._grams(words)
            case "char":
                return lambda text: chain.from_iterable(_windows(self._spaced(text), self.shortest, self.longest))
            case "char_wb":
                return lambda text: chain.from_iterable(self._pieces(word) for word in self._spaced(text).split())

    def finder(self, table: Mapping[str, _Entry], unknown: Any = None) -> Callable[[Any], Iterable[_Entry]]:
        """Return the function from a text to what a table holds for each of its n-grams, ``unknown`` where it holds nothing.

        Raises:
            ValueError: see `open`.
        """
        if self.unit == "char_wb":
            found = _Found(self, table)
            return lambda text: chain.from_iterable(map(found.__getitem__, self._spaced(text).split()))
        grams, keys = self.keyed(table)
        get: Any = keys.get
        return lambda text: map(get, grams(text), repeat(unknown))

    def keyed(self, table: Mapping[str, _Entry]) -> tuple[Callable[[Any], Iterable[Any]], dict[Any, _Entry]]:
        """Return the function from a text to keys of its n-grams, and a table with such keys.

        N-grams of several words are tuples where no word can hold a space, which spares joining them.

        Raises:
            ValueError: see `open`.
        """
        if self.unit != "word" or self.pattern not in _RUNS:
            return self.open(), dict(table)
        least = _RUNS[self.pattern]
        terms = [(tuple(term.split(" ")), entry) for term, entry in table.items()]
        keys = {words[0] if len(words) == 1 else words: entry for words, entry in terms if min(map(len, words)) >= least}
        if self.longest == 1:
            return self._words(least=1), keys  # no key is shorter than the pattern allows
        return _tuples(self._words(), self.shortest, self.longest), keys

    @property
    def is_plain(self) -> bool:
        """Whether the n-grams are single words, each of them a run of word characters."""
        return self.unit == "word" and self.longest == 1 and self.pattern in _RUNS

    def lexicon(self, table: Mapping[str, int]) -> Lexicon:
        """Return what finds the places that a table has for words, for an analyzer that `is_plain`."""
        least, stop = _RUNS[self.pattern], frozenset(self.stop_words)
        known = [(term, place) for term, place in table.items() if len(term) >= least and term not in stop]
        return Lexicon([term.encode("utf-8", "surrogatepass") for term, _ in known], [place for _, place in known])

    def spaced(self) -> Callable[[Any], bytes]:
        """Return the function from a text to its runs of word characters in UTF-8, with spaces between them."""
        table, plain = _LOWER if self.lowercase else _AS_IS, not self.accents

        def spaced(text: Any) -> bytes:
            if plain and isinstance(text, str) and text.isascii():
                return text.encode().translate(table)
            return _spaced(self.prepared(text)).encode("utf-8", "surrogatepass")

        return spaced

    def prepared(self, text: Any) -> str:
        """Return a text in lower case and without accents, where those are asked for."""
        if not isinstance(text, str):
            raise RequestError("Expected text; the model takes no missing value here.", path=self.name)
        if self.lowercase:
            text = text.lower()
        return _STRIPPED[self.accents](text) if self.accents else text

    def _words(self, least: int | None = None) -> Callable[[Any], list[str]]:
        find = self._runs(_RUNS[self.pattern] if least is None else least) if self.pattern in _RUNS else self._by_pattern()
        stop = frozenset(self.stop_words)
        return (lambda text: [word for word in find(text) if word not in stop]) if stop else find

    def _runs(self, least: int) -> Callable[[Any], list[str]]:
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
        lengths = self._lengths(2)

        def grams(text: Any) -> list[str]:
            words = split(text)
            found = list(words) if self.shortest == 1 else []
            for length in lengths:
                found += map(" ".join, zip(*(words[start:] for start in range(length)), strict=False))
            return found

        return grams

    def _lengths(self, least: int) -> range:
        return range(max(self.shortest, least), self.longest + 1)

    def _spaced(self, text: Any) -> str:
        return _SPACES.sub(" ", self.prepared(text))

    def _pieces(self, word: str) -> Iterable[str]:
        """Return the n-grams of a word with a space before and after; a word shorter than n counts once, whole."""
        word = f" {word} "
        if len(word) <= self.longest:
            windows = chain.from_iterable(_windows(word, self.shortest, len(word) - 1))
            return chain(windows, [word])
        return chain.from_iterable(_windows(word, self.shortest, self.longest))


class _Found(dict[str, tuple[Any, ...]]):
    """Word -> what a table holds for its n-grams, remembered."""

    def __init__(self, analyzer: Analyzer, table: Mapping[str, Any]) -> None:
        self._analyzer = analyzer
        self._table = table

    def __missing__(self, word: str) -> tuple[Any, ...]:
        entries = map(self._table.get, self._analyzer._pieces(word))  # noqa: SLF001 - the same module
        found = tuple(entry for entry in entries if entry is not None)
        if len(word) <= _LONG:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[word] = found
        return found


def _tuples(split: Callable[[Any], list[str]], shortest: int, longest: int) -> Callable[[Any], Iterable[Any]]:
    if (shortest, longest) == (2, 2):
        return lambda text: pairwise(split(text))
    if (shortest, longest) == (1, 2):

        def both(text: Any) -> Iterable[Any]:
            words = split(text)
            return chain(words, pairwise(words))

        return both
    lengths = range(shortest, longest + 1)

    def every(text: Any) -> Iterable[Any]:
        words = split(text)
        return chain.from_iterable(words if n == 1 else zip(*(words[k:] for k in range(n)), strict=False) for n in lengths)

    return every


def word_runs(text: str) -> list[str]:
    r"""Return the longest runs of word characters (as ``\w+`` finds them)."""
    return _spaced(text).split()


def _spaced(text: str) -> str:
    """Return the runs of word characters with spaces between them."""
    plain = text.encode("utf-8", "surrogatepass").translate(_AS_IS).decode("utf-8", "surrogatepass")
    if plain.isascii():
        return plain
    strange = set(_BEYOND_ASCII.findall(plain))
    if len(strange) > _MANY:
        return " ".join(re.findall(r"\w+", plain))
    for character in strange:
        if not character.isalnum():
            plain = plain.replace(character, " ")
    return plain


def _windows(text: str, shortest: int, longest: int) -> Iterable[list[str]]:
    """Yield the n-grams of characters, one list for each n."""
    for length in range(shortest, min(longest, len(text)) + 1):
        yield [text[start : start + length] for start in range(len(text) - length + 1)]


def _unicode(text: str) -> str:
    if text.isascii():
        return text
    return "".join([letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter)])


_STRIPPED: dict[str, Callable[[str], str]] = {
    "unicode": _unicode,
    "ascii": lambda text: unicodedata.normalize("NFKD", text).encode("ASCII", "ignore").decode("ASCII"),
}
