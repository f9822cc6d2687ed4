"""Vectorizers of text answer what scikit-learn answers, for any text."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import compiled, parity
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import BernoulliNB, ComplementNB, MultinomialNB
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils import murmurhash3_32

from samovar.errors import RequestError
from samovar.scoring.compiler import NotLowered
from samovar.scoring.engines.compiled import Runner
from samovar.scoring.ops import words
from samovar.scoring.ops.hashing import Places, murmur
from samovar.scoring.ops.words import Analyzer, word_runs

TEXTS = [
    "The quick brown fox jumps over the lazy dog",
    "the dog, the dog! THE DOG; a dog-eared dog's tale",
    "naïve café ÇA VA? façade e\u0301te\u0301 Ångström",
    "",
    " \t\n",
    "a I x",
    "the of and to",
    "İstanbul ß ǆ ﬁ ½ ² 漢字 かな",
    "🙂 fox 👩\u200d🔬 dog\u2003cat\x85fox\x1cdog _a_ 1_2",
    "z" * 3000,
    "fox dog " * 500,
    "\u200b\ufeff quick\u00a0brown",
]
LABELS = np.arange(len(TEXTS)) % 2
FRAME = pd.DataFrame({"text": TEXTS})

VECTORIZERS = {
    "counts": CountVectorizer(),
    "binary": CountVectorizer(binary=True, min_df=2),
    "limited": CountVectorizer(max_features=4, stop_words=["the", "of"]),
    "vocabulary": CountVectorizer(vocabulary=["dog", "the dog", "x", "fox", ""], ngram_range=(1, 2)),
    "pairs only": CountVectorizer(ngram_range=(2, 2)),
    "pairs and threes": CountVectorizer(ngram_range=(2, 3), stop_words="english"),
    "one to three": TfidfVectorizer(ngram_range=(1, 3)),
    "tfidf": TfidfVectorizer(),
    "pairs": TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
    "no idf": TfidfVectorizer(use_idf=False, smooth_idf=False, lowercase=False),
    "binary tfidf": TfidfVectorizer(binary=True, sublinear_tf=True),
    "sums": TfidfVectorizer(norm=None),
    "l1": TfidfVectorizer(norm="l1", sublinear_tf=True, strip_accents="unicode"),
    "ascii": TfidfVectorizer(strip_accents="ascii", stop_words="english"),
    "letters": TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", lowercase=False),
    "own pattern": TfidfVectorizer(token_pattern=r"[a-z]+ ?", ngram_range=(1, 2)),
    "group": TfidfVectorizer(token_pattern=r"(\w)\w+"),
    "char": TfidfVectorizer(analyzer="char", ngram_range=(1, 3)),
    "char pairs": CountVectorizer(analyzer="char", ngram_range=(2, 2), strip_accents="unicode"),
    "char_wb": TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5)),
    "long char_wb": CountVectorizer(analyzer="char_wb", ngram_range=(6, 9), lowercase=False),
    "hashed": HashingVectorizer(n_features=50),
    "hashed one way": HashingVectorizer(n_features=7, alternate_sign=False, norm="l1", ngram_range=(1, 2)),
    "hashed binary": HashingVectorizer(n_features=2**18, binary=True, norm=None, analyzer="char_wb", ngram_range=(3, 3)),
}

anything = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.lists(st.sampled_from(" ".join(TEXTS[:9]).split()), max_size=30).map(" ".join),
        st.text(alphabet="ab _.-\u0301éÉ\u00a0\n", max_size=60),
    ),
    min_size=1,
    max_size=5,
)


def column(step, name="text"):
    """Return a step on the frame's column, as a series."""
    return ColumnTransformer([("t", step, name)])


@pytest.mark.parametrize("name", VECTORIZERS)
@given(texts=anything)
@settings(max_examples=10, deadline=None)
def test_a_decision_on_any_text_is_the_models(name, texts, fitted):
    """One step from text to decision, which is folded from several."""
    model, program = fitted(name, lambda step: make_pipeline(column(step), LogisticRegression()))
    parity(model, pd.DataFrame({"text": texts}, dtype="str"), program=program)


@pytest.mark.parametrize("name", VECTORIZERS)
@given(texts=anything)
@settings(max_examples=6, deadline=None)
def test_sparse_rows_of_any_text_are_the_models(name, texts, fitted):
    """Unfolded: a norm between two linear steps keeps them apart."""
    make = lambda step: make_pipeline(column(step), TruncatedSVD(3, random_state=0), Normalizer(), LogisticRegression())  # noqa: E731
    model, program = fitted(name, make)
    parity(model, pd.DataFrame({"text": texts}, dtype="str"), program=program)


@pytest.fixture(scope="module")
def fitted():
    """Fit and compile a pipeline once for each test."""
    kept = {}

    def fit(name, make):
        key = name, make.__code__.co_firstlineno
        if key not in kept:
            model = make(VECTORIZERS[name]).fit(FRAME, LABELS)
            kept[key] = model, compiled(model, FRAME)
        return kept[key]

    return fit


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(column(CountVectorizer()), MultinomialNB()),
        make_pipeline(column(CountVectorizer()), ComplementNB()),
        make_pipeline(column(CountVectorizer(binary=True)), BernoulliNB()),
        make_pipeline(column(TfidfVectorizer()), BernoulliNB(binarize=0.2)),
        make_pipeline(column(TfidfVectorizer(ngram_range=(1, 2))), LinearSVC()),
        make_pipeline(column(TfidfVectorizer()), StandardScaler(with_mean=False), Ridge()),
        make_pipeline(column(TfidfVectorizer()), TruncatedSVD(4, random_state=0), StandardScaler(), LogisticRegression()),
        make_pipeline(column(make_pipeline(CountVectorizer(), TfidfTransformer(sublinear_tf=True))), LogisticRegression()),
        make_pipeline(column(make_pipeline(TfidfVectorizer(), TruncatedSVD(3, random_state=0))), LogisticRegression()),
        make_pipeline(
            column(FeatureUnion([("w", TfidfVectorizer()), ("c", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3)))])),
            LogisticRegression(),
        ),
        make_pipeline(
            column(
                FeatureUnion([("w", TfidfVectorizer()), ("h", HashingVectorizer(n_features=9))], transformer_weights={"h": 0.3})
            ),
            LogisticRegression(),
        ),
    ],
    ids=lambda model: "-".join(step.lower() for step in model.named_steps),
)
def test_a_pipeline_on_text_answers_as_the_model(model):
    """Weights, choices and unions between text and answer."""
    parity(model.fit(FRAME, LABELS), FRAME)


@pytest.mark.parametrize("threshold", [0.0, 1.0], ids=["dense", "sparse"])
def test_text_beside_numbers_answers_as_the_model(threshold):
    """Whether scikit-learn keeps the union sparse or fills it up; a missing number is refused either way."""
    frame = FRAME.assign(stars=np.arange(len(TEXTS)) * 0.7, year=np.arange(len(TEXTS)))
    steps = [("t", TfidfVectorizer(), "text"), ("n", StandardScaler(), ["stars", "year"])]
    model = make_pipeline(ColumnTransformer(steps, sparse_threshold=threshold), LogisticRegression()).fit(frame, LABELS)
    frame.loc[3, "stars"] = np.nan
    program = parity(model, frame)
    assert "TextLinear" in kinds(program)
    projected = [("t", make_pipeline(TfidfVectorizer(), TruncatedSVD(3, random_state=0)), "text"), steps[1]]
    model = make_pipeline(ColumnTransformer(projected), LogisticRegression()).fit(frame.fillna(1.0), LABELS)
    assert "TextLinear" in kinds(parity(model, frame))


def kinds(program):
    """Return the names of a program's operations."""
    return [type(node).__name__ for node in program.nodes]


def test_text_to_probabilities_is_one_step_and_a_sigmoid():
    """The fold that makes it fast: counts, weights, norm, projection, scaling and decision are one operation."""
    steps = [column(TfidfVectorizer(sublinear_tf=True)), TruncatedSVD(4, random_state=0), StandardScaler(), LogisticRegression()]
    assert kinds(compiled(make_pipeline(*steps).fit(FRAME, LABELS), FRAME)) == ["TextLinear", "Sigmoid"]


def test_three_classes_share_the_counting():
    """Several outputs for one text: few in plain Python, many through numpy."""
    for count in (3, 6):
        labels = np.arange(len(TEXTS)) % count
        model = make_pipeline(column(TfidfVectorizer(norm="l2")), LogisticRegression()).fit(FRAME, labels)
        parity(model, FRAME)


def test_missing_text_is_refused_and_the_column_named():
    """As scikit-learn refuses it; the error carries the column's name."""
    model = make_pipeline(column(TfidfVectorizer()), LogisticRegression()).fit(FRAME, LABELS)
    runner = Runner(compiled(model, FRAME))
    for ask in (lambda: runner.row([None]), lambda: runner.batch([["fox", None] * 5])):
        with pytest.raises(RequestError) as caught:
            ask()
        assert caught.value.path == "text"


@pytest.mark.parametrize(
    "step",
    [
        CountVectorizer(tokenizer=str.split, token_pattern=None),
        CountVectorizer(preprocessor=str.upper),
        CountVectorizer(analyzer=str.split),
        CountVectorizer(strip_accents=str.upper),
        TfidfVectorizer(dtype=np.float32),
        HashingVectorizer(dtype=np.float32),
    ],
    ids=["tokenizer", "preprocessor", "analyzer", "accents", "single", "single hash"],
)
def test_functions_and_single_precision_are_not_lowered(step):
    """A program holds no code, and counts in float64 only."""
    model = make_pipeline(column(step), LogisticRegression()).fit(FRAME, LABELS)
    with pytest.raises(NotLowered):
        compiled(model, FRAME)


@pytest.mark.parametrize("frame", [FRAME, FRAME.assign(other=1.0)], ids=["one column", "two"])
def test_a_vectorizer_of_a_whole_table_is_not_lowered(frame):
    """scikit-learn would read the names of the columns instead of the texts."""
    with pytest.raises(NotLowered):
        compiled(make_pipeline(CountVectorizer(), LogisticRegression()).fit(TEXTS, LABELS), frame)


@given(st.text(max_size=200) | st.text(alphabet=[chr(code) for code in range(0x250)], max_size=200))
@settings(max_examples=300, deadline=None)
def test_runs_of_word_characters_are_those_of_the_pattern(text):
    """The tokenizer without a regular expression finds what the expression finds, for every letter there is."""
    assert word_runs(text) == re.findall(r"\w+", text)
    assert Analyzer("word", True, "", r"(?u)\b\w\w+\b", (), 1, 1).open()(text) == re.findall(r"(?u)\b\w\w+\b", text.lower())


def test_every_character_is_told_apart_as_the_pattern_does():
    """All of Unicode, a few at a time."""
    for start in range(0, 0x110000, 16):
        text = "".join(f"a{chr(code)}b" for code in range(start, start + 16))
        assert word_runs(text) == re.findall(r"\w+", text)


@given(st.binary(max_size=70))
def test_hashes_are_murmurs(data):
    """The hash in plain Python is scikit-learn's."""
    assert murmur(data) == murmurhash3_32(data, seed=0)


def test_what_is_remembered_of_texts_stays_bounded(monkeypatch):
    """A stream of ever new words must not fill the worker's memory."""
    monkeypatch.setattr("samovar.scoring.ops.hashing._REMEMBERED", 10)
    monkeypatch.setattr(words, "_REMEMBERED", 10)
    places = Places(100)
    found = words._Found(Analyzer("char_wb", True, "", "", (), 2, 3), {" a": 1})
    for number in range(100):
        assert places[f"word{number}"] == Places(100)[f"word{number}"]
        assert found[f"a{number}"] == (1,)
    assert found["x" * 100] == ()
    assert places["y" * 100] == Places(100)["y" * 100]
    assert 0 < len(places) <= 10
    assert 0 < len(found) <= 10
