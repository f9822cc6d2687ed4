"""Projections and steps on sparse rows answer what scikit-learn answers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from parity import compiled, parity
from scipy.sparse import csr_array
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, FactorAnalysis, IncrementalPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, VarianceThreshold, chi2
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, MaxAbsScaler, Normalizer, RobustScaler, StandardScaler
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection
from sklearn.tree import DecisionTreeClassifier

from samovar.scoring.compiler import NotLowered
from samovar.scoring.engines.compiled import Runner
from samovar.scoring.ops.base import Csr
from samovar.scoring.ops.sparse import Add, Stack
from samovar.scoring.ops.weigh import Densify, SparseNorm, SparseSelect, SparseThreshold

RNG = np.random.default_rng(3)
X = RNG.normal(size=(60, 6)) @ RNG.normal(size=(6, 6)) + 5.0
Y = (X[:, 0] > X[:, 1]).astype(int)
ROWS = np.vstack([X, [[np.nan, 1, 2, 3, 4, 5], [np.inf, 1, 2, 3, 4, 5], [1e150, -1e150, 0, 0, -0.0, 1e-300]]])
TEXTS = pd.DataFrame({"text": ["a cat", "the dog and the cat", "", "dog dog dog", "cat and mouse", "no mouse"] * 3})
LABELS = np.array([0, 1, 0, 1, 1, 0] * 3)


@pytest.mark.parametrize("model", [LogisticRegression(), Ridge(), DecisionTreeClassifier(random_state=0)], ids=str)
@pytest.mark.parametrize(
    "step",
    [
        PCA(3),
        PCA(whiten=True),
        IncrementalPCA(2),
        TruncatedSVD(3, random_state=0),
        FactorAnalysis(2),
        GaussianRandomProjection(4, random_state=0),
        SparseRandomProjection(4, random_state=0),
        SparseRandomProjection(4, random_state=0, dense_output=True),
        LinearDiscriminantAnalysis(),
        LinearDiscriminantAnalysis(solver="eigen"),
    ],
    ids=str,
)
def test_a_projection_answers_as_the_model(step, model):
    """Of ordinary rows; NaN and infinity are refused."""
    parity(make_pipeline(StandardScaler(), step, model).fit(X, Y), ROWS[:-1])


def test_a_projection_of_float32_rows_is_computed_in_float64():
    """Components that were fitted in float64 make scikit-learn compute in it."""
    parity(make_pipeline(PCA(3), Ridge()).fit(X, Y), X.astype(np.float32))


def test_a_projection_fitted_in_single_precision_is_not_lowered():
    """Sums of float32 in another order differ."""
    with pytest.raises(NotLowered):
        compiled(make_pipeline(PCA(3), Ridge()).fit(X.astype(np.float32), Y), X.astype(np.float32))


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler(with_mean=False)],
        [RobustScaler(with_centering=False)],
        [MaxAbsScaler(), Binarizer(threshold=0.5)],
        [Normalizer("l1")],
        [Normalizer("max")],
        [SelectKBest(chi2, k=3)],
        [VarianceThreshold(0.05), StandardScaler(with_mean=False), Normalizer()],
        [PCA(2, random_state=0)],
        [SparseRandomProjection(3, random_state=0, dense_output=True)],
        [TruncatedSVD(2, random_state=0), Normalizer(), PCA(1)],
    ],
    ids=lambda steps: "-".join(type(step).__name__ for step in steps),
)
@pytest.mark.parametrize(
    "vectorizer",
    [CountVectorizer(ngram_range=(1, 2)), HashingVectorizer(n_features=8, alternate_sign=False)],
    ids=["count", "hash"],
)
@pytest.mark.parametrize("last", [LogisticRegression(), DecisionTreeClassifier(random_state=0)], ids=["linear", "tree"])
def test_a_step_on_sparse_rows_answers_as_the_model(vectorizer, steps, last):
    """Folded into a linear model, and before a model that is not linear."""
    model = make_pipeline(ColumnTransformer([("t", vectorizer, "text")], sparse_threshold=1.0), *steps, last)
    parity(model.fit(TEXTS, LABELS), TEXTS)


def test_too_many_columns_to_fill_up_are_not_lowered():
    """A tree on 2**18 hashed columns would need 2 MB a row."""
    steps = [ColumnTransformer([("t", HashingVectorizer(n_features=2**18), "text")]), DecisionTreeClassifier(random_state=0)]
    with pytest.raises(NotLowered):
        compiled(make_pipeline(*steps).fit(TEXTS, LABELS), TEXTS)


def test_an_unknown_model_after_text_is_not_lowered():
    """Nothing is guessed."""
    model = make_pipeline(ColumnTransformer([("t", TfidfVectorizer(), "text")]), KNeighborsClassifier())
    with pytest.raises(NotLowered):
        compiled(model.fit(TEXTS, LABELS), TEXTS)


def rows_of(sparse):
    """Return a scipy matrix as a batch and as single rows."""
    batch = Csr(sparse.indptr, sparse.indices, sparse.data, sparse.shape[1])
    starts = sparse.indptr
    return batch, [(sparse.indices[a:b].tolist(), sparse.data[a:b].tolist()) for a, b in pairwise(starts)]


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (SparseNorm((0,), "l2"), lambda m: m / np.maximum(np.sqrt((m * m).sum(axis=1, keepdims=True)), 1e-300)),
        (SparseSelect((0,), (4, 0, 2), 5), lambda m: m[:, [4, 0, 2]]),
        (SparseThreshold((0,), 0.5), lambda m: (m > 0.5).astype(float)),
        (Stack((0,), (5,), (True,)), lambda m: m),
    ],
    ids=lambda value: type(value).__name__,
)
def test_rows_and_batches_of_sparse_steps_agree(op, expected):
    """With empty rows first, last and in the middle."""
    matrix = np.where(RNG.random((9, 5)) < 0.4, RNG.normal(size=(9, 5)), 0.0)
    matrix[[0, 4, 8]] = 0.0
    batch, rows = rows_of(csr_array(matrix))
    wanted = expected(matrix)
    width = wanted.shape[1]
    fill = Densify((0,), width).open()
    kernel = op.open()
    np.testing.assert_allclose(fill.batch(kernel.batch(batch)), wanted)
    np.testing.assert_allclose([fill.row(kernel.row(row)) for row in rows], wanted)


def test_sums_of_rows_and_batches_agree():
    """Several parts of one decision."""
    parts = [RNG.normal(size=(4, 2)) for _ in range(3)]
    kernel = Add((0, 1, 2), 2).open()
    np.testing.assert_allclose(kernel.batch(*parts), sum(parts))
    np.testing.assert_allclose([kernel.row(*map(list, row)) for row in zip(*parts, strict=True)], sum(parts))


def test_a_projection_is_folded_into_the_model():
    """Scaler, components and coefficients are one linear map of the columns."""
    program = compiled(make_pipeline(StandardScaler(), PCA(3), LogisticRegression()).fit(X, Y), X)
    assert [type(node).__name__ for node in program.nodes].count("Linear") == 1
    assert Runner(program).row([5.0] * 6)[0] in (0, 1)
