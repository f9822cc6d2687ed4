"""Vectorizers of text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import sparse_transform, transform
from samovar.scoring.compiler.values import Frame, Sparse
from samovar.scoring.ops import Count, Hash, SparseLog, SparseNorm, SparseScale, Stack
from samovar.scoring.ops.base import Array
from samovar.scoring.ops.words import Analyzer

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value

_TEXT = "sklearn.feature_extraction.text"


@transform(f"{_TEXT}.CountVectorizer")
def counts(step: Any, value: Value, draft: Draft) -> Sparse:
    """Occurrences of each term of the vocabulary."""
    column = _column(value)
    terms = _terms(step)
    _double(step, np.int64, np.int32, np.float64)
    return Sparse(draft.add(Count(column.numbers, analyzer(step, column), terms, bool(step.binary))), len(terms))


@transform(f"{_TEXT}.TfidfVectorizer")
def tfidf(step: Any, value: Value, draft: Draft) -> Value:
    """The same, weighted."""
    _double(step, np.float64)
    return weighed(step._tfidf, counts(step, value, draft), draft)  # noqa: SLF001 - where the fitted weights are


@transform(f"{_TEXT}.HashingVectorizer")
def hashed(step: Any, value: Value, draft: Draft) -> Value:
    """Occurrences by the hash of the term."""
    column, width = _column(value), int(step.n_features)
    _double(step, np.float64)
    node = Hash(column.numbers, analyzer(step, column), width, bool(step.alternate_sign), bool(step.binary))
    return _normed(Sparse(draft.add(node), width), step.norm, draft)


@transform(f"{_TEXT}.TfidfTransformer")
def weighed_dense(step: Any, value: Value, draft: Draft) -> Value:
    """Weights of counts that another step gave as a matrix."""
    dense = draft.checked(value)
    if dense.single:
        raise NotLowered("TfidfTransformer of float32.")
    sparse = Sparse(draft.add(Stack((dense.number,), (dense.width,), (False,))), dense.width)
    return weighed(step, sparse, draft)


@sparse_transform(f"{_TEXT}.TfidfTransformer")
def weighed(step: Any, value: Sparse, draft: Draft) -> Sparse:
    """Logarithm, inverse document frequency, norm: each if asked for, in this order."""
    number, width = value.number, value.width
    if step.sublinear_tf:
        number = draft.add(SparseLog((number,)))
    if (factors := getattr(step, "idf_", None)) is not None:
        if np.asarray(factors).dtype != np.float64 or np.shape(factors) != (width,):
            raise NotLowered("TfidfTransformer was fitted on float32, or on other terms.")
        number = draft.add(SparseScale((number,), Array.of(factors)))
    return _normed(Sparse(number, width), step.norm, draft)


def _normed(value: Sparse, norm: Any, draft: Draft) -> Sparse:
    return value if norm is None else Sparse(draft.add(SparseNorm((value.number,), norm)), value.width)


def _column(value: Value) -> Frame:
    if not isinstance(value, Frame) or value.kinds != ("str",):
        raise NotLowered("A vectorizer of text is given something else than one column of text.")
    if not value.series:
        raise NotLowered("A vectorizer of text is given a table, whose column names it would read instead of the texts.")
    return value


def _double(step: Any, *kinds: Any) -> None:
    if np.dtype(step.dtype) not in [np.dtype(kind) for kind in kinds]:
        raise NotLowered(f"{type(step).__name__} counts in {np.dtype(step.dtype)}.")


def _terms(step: Any) -> tuple[str, ...]:
    if not hasattr(step, "vocabulary_"):
        step._validate_vocabulary()  # noqa: SLF001 - as it does itself before its first text, when it was never fitted
    vocabulary = getattr(step, "vocabulary_", None) or {}
    terms = sorted(vocabulary, key=vocabulary.__getitem__)
    if not terms or [int(vocabulary[term]) for term in terms] != list(range(len(terms))):
        raise NotLowered(f"{type(step).__name__} has a vocabulary with gaps, or none.")
    return _plain(terms)


def _plain(words: Any) -> tuple[str, ...]:
    try:
        return tuple(str(word.encode(), "utf-8") for word in words)
    except (AttributeError, UnicodeEncodeError):
        raise NotLowered("A vectorizer knows a term that is no proper text.") from None


def analyzer(step: Any, column: Frame) -> Analyzer:
    """Return how a vectorizer takes a text apart.

    Raises:
        NotLowered: with a function of its own.
    """
    own = [step.preprocessor, step.tokenizer, *filter(callable, (step.analyzer, step.strip_accents))]
    if any(function is not None for function in own) or step.input != "content":
        raise NotLowered(f"{type(step).__name__} reads files, or takes texts apart with a function of its own.")
    shortest, longest = step.ngram_range
    if not 1 <= shortest <= longest:
        raise NotLowered(f"{type(step).__name__} makes n-grams of {shortest} to {longest} words.")
    words = step.analyzer == "word"
    pattern, stop_words = (_pattern(step), step.get_stop_words() or ()) if words else ("", ())
    accents: Any = step.strip_accents or ""
    return Analyzer(
        step.analyzer,
        bool(step.lowercase),
        accents,
        pattern,
        _plain(sorted(stop_words)),
        int(shortest),
        int(longest),
        column.names[0],
    )


def _pattern(step: Any) -> str:
    try:
        groups = re.compile(step.token_pattern).groups
    except (re.error, TypeError):
        raise NotLowered(f"{type(step).__name__} has no proper token pattern.") from None
    if groups > 1:
        raise NotLowered(f"{type(step).__name__} has a token pattern with several groups.")
    return str(step.token_pattern)
