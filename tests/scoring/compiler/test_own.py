"""Samovar's own steps are lowered to what they do themselves."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import compiled, parity
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from samovar import texts, transformers
from samovar.scoring import allowed
from samovar.scoring.compiler import NotLowered
from samovar.scoring.compiler.rules import own
from samovar.training import canonical
from samovar.transformers import LogCountRatio, ReadTexts

BODIES = [
    "A good book!",
    "a bad book?",
    None,
    "",
    " \n",
    "GOOD good",
    "bad 🙂 BAD",
    "ÇA va",
    "x" * 500,
    "12 34",
    "good\x00bad",
    "no",
]
FRAME = pd.DataFrame({"body": BODIES, "title": BODIES[::-1], "text_len": np.nan, "words": 7.0, "stars": np.arange(12.0)})
LABELS = np.arange(len(BODIES)) % 3
NUMBERS = [("text_len", "text_len", ("body",)), ("words", "word_count", ("title", "body"))]
READ = ReadTexts(("body", "title"), NUMBERS, joined=True)
BOTH = "body+title"


def model(classes):
    """Texts and numbers of them, by the way that built-in kinds go."""
    words = make_pipeline(
        TfidfVectorizer(binary=True, use_idf=False, ngram_range=(1, 3), token_pattern=r"(?u)\b\w+\b"), LogCountRatio()
    )
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    texts = [("body", words, "body"), ("title", words, "title"), ("pieces", pieces, BOTH)]
    columns = [*texts, ("numbers", StandardScaler(), ["text_len", "words", "stars"])]
    prepare = ColumnTransformer(columns, transformer_weights={"title": 0.5, "numbers": 0.3})
    pipeline = Pipeline([("read", READ), ("prepare", prepare), ("model", LogisticRegression())])
    return pipeline.fit(FRAME, LABELS % classes)


@pytest.fixture(scope="module", params=[2, 3])
def fitted(request):
    """A model and its program."""
    whole = model(request.param)
    return whole, compiled(whole, FRAME)


@given(
    rows=st.lists(
        st.tuples(st.none() | st.text(max_size=30) | st.sampled_from(BODIES), st.text("goBAd !?\n", max_size=9)), min_size=1
    )
)
@settings(max_examples=25, deadline=None)
def test_a_program_reads_texts_as_the_model_does(fitted, rows):
    whole, program = fitted
    frame = pd.DataFrame(rows, columns=["body", "title"]).astype(object).assign(text_len=np.nan, words=3.0, stars=1.0)
    parity(whole, frame, program=program)


def test_what_is_sent_for_a_computed_column_changes_nothing():
    whole = model(2)
    other = whole.predict_proba(FRAME.assign(text_len=1e6, words=-1.0))
    assert (other == whole.predict_proba(FRAME)).all()
    assert (whole.predict_proba(FRAME.drop(columns=["text_len", "words"])) == other).all()


def test_a_text_column_that_was_not_sent_is_one_without_texts():
    """MLflow leaves out optional columns that a request does not have."""
    whole = model(2)
    without = whole.predict_proba(FRAME.drop(columns="title"))
    assert (without == whole.predict_proba(FRAME.assign(title=None))).all()


def test_the_numbers_are_the_shared_ones():
    frame = READ.fit(FRAME).transform(FRAME)
    assert frame["text_len"].tolist() == [texts.number("text_len", [body]) for body in BODIES]
    assert list(frame.columns) == [*FRAME.columns, BOTH]


def test_texts_are_joined_without_those_that_say_nothing():
    frame = READ.transform(pd.DataFrame({"body": ["one", None, " ", "four"], "title": ["1", "2", None, ""], "stars": 1.0}))
    assert frame[BOTH].tolist() == ["one\n1", "2", transformers.NO_TEXT, "four"]
    assert transformers.joined_name(("body", "title")) == BOTH


def test_terms_weigh_by_how_one_sided_they_are():
    rows = sparse.csr_array(np.array([[1.0, 5.0, 0.0], [2.0, 1.0, 0.0], [0.0, 9.0, 3.0], [0.0, 1.0, 1.0]]))
    weights = LogCountRatio().fit(rows, ["a", "a", "b", "b"]).weights_
    np.testing.assert_allclose(weights, [np.log(3), 0.0, np.log(3)], atol=1e-12)


def test_files_with_them_are_on_the_allow_list():
    for name in ("LogCountRatio", "ReadTexts"):
        assert f"samovar.transformers.{name}" in allowed.ALLOWED["ObjectNode"]
    whole = model(2)
    data = skops.io.dumps(whole)
    assert set(skops.io.get_untrusted_types(data=data)) <= allowed.names()
    again = skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    assert (again.predict_proba(FRAME) == whole.predict_proba(FRAME)).all()


def test_both_sides_have_one_word_for_no_text():
    assert own._BLANK == transformers.NO_TEXT


def test_a_signature_without_the_text_is_not_lowered():
    with pytest.raises(NotLowered, match="does not have as text"):
        compiled(model(2), FRAME.drop(columns="title"))


def test_a_stored_vocabulary_is_plain_numbers_in_one_document():
    """Skops would write a file for each of a hundred thousand phrases."""
    whole = model(2)
    data = canonical.dumps(whole)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) < 60
    again = skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    assert (again.predict_proba(FRAME) == whole.predict_proba(FRAME)).all()
