"""Words looked up many at a time are found as a dictionary finds them, and texts scored together as they are scored alone."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.errors import RequestError
from samovar.scoring.ops import lexicon, text
from samovar.scoring.ops.base import Array
from samovar.scoring.ops.lexicon import PAD, Lexicon
from samovar.scoring.ops.text import TextLinear
from samovar.scoring.ops.words import Analyzer

words = st.binary(min_size=1, max_size=20).map(lambda word: word.translate(None, b" \0"))
known = st.lists(words.filter(bool), max_size=60, unique=True)


def looked_up(known, asked):
    starts, places = Lexicon(known, range(len(known))).find(b" %b%b" % (b" ".join(asked), PAD))
    assert (np.diff(starts) > 0).all()
    return places.tolist()


def by_dictionary(known, asked):
    places = {word: place for place, word in enumerate(known)}
    return [places.get(word, -1) for word in asked]


@given(known, st.data())
@settings(max_examples=200, deadline=None)
def test_words_are_found_as_a_dictionary_finds_them(known, data):
    """Words of any length and bytes, known ones and such as begin or end like them."""
    near = (
        st.sampled_from(known).flatmap(lambda word: st.sampled_from([word, word[:-1], word + b"a", word[1:], word[:8]]))
        if known
        else words
    )
    asked = data.draw(st.lists((near | words).filter(bool), max_size=60))
    assert looked_up(known, asked) == by_dictionary(known, asked)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 1000, 30_000])
def test_a_large_vocabulary_is_found(count):
    known = [b"%x" % (number * 2_654_435_761) for number in range(count)]
    asked = [*known, *(b"%x" % (number * 40_503) for number in range(1, 2000))]
    assert looked_up(known, asked) == by_dictionary(known, asked)


def test_words_without_a_slot_are_found_too(monkeypatch):
    """Where no displacement is found, as for words of one hash, they are looked up one by one."""
    monkeypatch.setattr(lexicon, "_TRIES", 0)
    known = [b"w%d" % number for number in range(500)]
    asked = [*known[::7], b"x", b"w", *known[::3]]
    assert looked_up(known, asked) == by_dictionary(known, asked)


def test_spaces_between_words_do_not_matter():
    starts, places = Lexicon([b"one", b"two"], [5, 7]).find(b"  one   two one%b" % PAD)
    assert (starts.tolist(), places.tolist()) == ([2, 8, 12], [5, 7, 5])


def test_a_known_word_that_no_text_can_hold_is_never_found():
    """Zeros stand behind a short word's end: one that ends with zeros is another word."""
    _, places = Lexicon([b"one\0", b""], [0, 1]).find(b" one %b" % PAD)
    assert places.tolist() == [-1]


TERMS = ("film", "good", "bad", "the", "naïve", "a_1", "x" * 17, "straße", "漢字", "İ", "i̇", "incomprehensible", "incomprehensibly")
PIECES = st.sampled_from([*TERMS, "Film", "GOOD", "x" * 18, "don't", "\0", "\x85", " \t", "\ud800", "ﬁlm", "incomprehensiblest"])
GLUE = st.sampled_from([" ", "", ", ", "-", "\u2003"])
TEXTS = st.lists(st.lists(PIECES | GLUE | st.text(max_size=3), max_size=30).map("".join), min_size=1, max_size=40)


def scored(counting="log", norm="l2", accents="", least=r"(?u)\b\w\w+\b", stop=("the",), outputs=1):
    generator = np.random.default_rng(3)
    analyzer = Analyzer("word", True, accents, least, stop, 1, 1, "review")
    scale, weights = generator.random(len(TERMS)) + 0.5, generator.normal(size=(outputs, len(TERMS)))
    shift = Array.of(generator.normal(size=outputs))
    return TextLinear((0,), analyzer, TERMS, Array.of(scale), Array.of(weights), shift, counting, norm).open()


KERNELS = {
    "tfidf": scored(),
    "accents": scored(accents="unicode"),
    "sums": scored(counting="plain", norm=""),
    "several": scored(counting="binary", norm="l1", outputs=3, least=r"(?u)\b\w+\b", stop=()),
    "many": scored(counting="plain", norm="max", outputs=6),
}


@pytest.mark.parametrize("name", KERNELS)
@given(texts=TEXTS)
@settings(max_examples=60, deadline=None)
def test_texts_are_scored_together_as_alone(name, texts):
    """Words of every alphabet and length, beside each other and beside nothing."""
    kernel = KERNELS[name]
    alone = np.array([kernel.row(one) for one in texts])
    np.testing.assert_allclose(kernel.batch(texts), alone, rtol=1e-12, atol=1e-13)


def test_texts_are_scored_in_parts_that_fit_into_memory(monkeypatch):
    """A part has so many texts and characters; a text that is longer is scored by itself."""
    parts = []
    monkeypatch.setattr(text, "_CHARACTERS", 1000)
    monkeypatch.setattr(text, "CHUNK", 30)
    kernel = scored()
    find = Lexicon.find
    monkeypatch.setattr(Lexicon, "find", lambda self, joined: parts.append(len(joined)) or find(self, joined))
    texts = ["good film"] * 100 + ["bad " * 5000] + ["the film"] * 3
    np.testing.assert_allclose(kernel.batch(texts), np.array([kernel.row(one) for one in texts]), rtol=1e-12)
    assert len(parts) > 4
    assert max(parts) < 1100


@pytest.mark.parametrize("bad", [None, 1.5, b"film"])
def test_what_is_no_text_is_refused_together_as_alone(bad):
    kernel = KERNELS["tfidf"]
    for ask in (lambda: kernel.row(bad), lambda: kernel.batch(["film", bad])):
        with pytest.raises(RequestError, match=re.escape("Expected text")):
            ask()
