"""Pipelines put together at random, fitted on random rows: each compiles and answers as the model does, on edges too."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from sklearn import decomposition, ensemble, linear_model, naive_bayes, neural_network, preprocessing, svm, tree
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from samovar.scoring.lowering import lowered

ROWS = 60

NUMBERS = (
    "passthrough",
    preprocessing.StandardScaler(),
    preprocessing.MinMaxScaler(clip=True),
    preprocessing.RobustScaler(),
    make_pipeline(SimpleImputer(strategy="median", add_indicator=True), preprocessing.StandardScaler()),
    make_pipeline(SimpleImputer(strategy="constant", fill_value=-1.0), preprocessing.PolynomialFeatures(2, include_bias=False)),
    make_pipeline(SimpleImputer(), preprocessing.KBinsDiscretizer(3, encode="onehot", quantile_method="averaged_inverted_cdf")),
)
CATEGORIES = (
    preprocessing.OneHotEncoder(handle_unknown="ignore"),
    preprocessing.OneHotEncoder(handle_unknown="error", drop="if_binary"),
    preprocessing.OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=3, sparse_output=False),
    preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
)
TEXTS = (
    TfidfVectorizer(),
    TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, strip_accents="ascii"),
    TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), norm="l1"),
    CountVectorizer(binary=True, lowercase=False),
    HashingVectorizer(n_features=64),
)
BETWEEN = (
    None,
    None,
    preprocessing.MaxAbsScaler(),
    preprocessing.Normalizer(),
    decomposition.TruncatedSVD(2, random_state=0),
)
MODELS = (
    linear_model.LogisticRegression(max_iter=300),
    linear_model.SGDClassifier(loss="log_loss", random_state=0),
    linear_model.RidgeClassifier(),
    svm.LinearSVC(),
    tree.DecisionTreeClassifier(random_state=0),
    ensemble.RandomForestClassifier(8, random_state=0),
    ensemble.ExtraTreesClassifier(8, random_state=0),
    ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0),
    ensemble.HistGradientBoostingClassifier(max_iter=8, min_samples_leaf=3, random_state=0),
    naive_bayes.GaussianNB(),
    neural_network.MLPClassifier((5,), max_iter=40, random_state=0),
    linear_model.Ridge(),
    ensemble.HistGradientBoostingRegressor(max_iter=8, min_samples_leaf=3, random_state=0),
    ensemble.RandomForestRegressor(8, random_state=0),
)


def frames(seed, numbers, categories, text, gaps):
    """A frame with the columns asked for, and its targets."""
    rng = np.random.default_rng(seed)
    columns = {f"n{index}": rng.normal(0, 10.0**index, ROWS).round(2) for index in range(numbers)}
    if gaps:
        columns["n0"][rng.random(ROWS) < 0.2] = np.nan
    columns |= {f"c{index}": rng.choice(["red", "grün", "", "a b", "blue"][: 2 + index * 2], ROWS) for index in range(categories)}
    if text:
        columns["text"] = [
            " ".join(rng.choice(["good", "Bad", "café", "x", "the", "film", "!"], rng.integers(0, 9))) for _ in range(ROWS)
        ]
    frame = pd.DataFrame(columns)
    score = np.nan_to_num(frame["n0"]) + sum((frame[f"c{index}"] == "red") * 8 for index in range(categories))
    return frame, np.digitize(score, np.quantile(score, [0.4, 0.8][: 1 + seed % 2]))


def _one(draw, choices):
    chosen = draw(st.sampled_from(choices))
    return chosen if chosen is None or isinstance(chosen, str) else clone(chosen)


def pipeline(draw, frame):
    parts = [("numbers", _one(draw, NUMBERS), [name for name in frame if name[0] == "n"])]
    if named := [name for name in frame if name[0] == "c"]:
        parts.append(("categories", _one(draw, CATEGORIES), named))
    if "text" in frame:
        parts.append(("text", _one(draw, TEXTS), "text"))
    steps = [ColumnTransformer(parts, sparse_threshold=draw(st.sampled_from([0.0, 0.3, 1.0])))]
    steps += [step for step in [_one(draw, BETWEEN)] if step is not None]
    return make_pipeline(*steps, _one(draw, MODELS))


@pytest.mark.timeout(900)
@settings(
    max_examples=24,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # a failing pipeline is small enough to read
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_any_pipeline_of_known_steps_compiles_and_agrees(zoo, data):
    """24 pipelines out of some 100,000; the same ones each time."""
    shape = data.draw(st.tuples(st.integers(0, 99), st.integers(1, 3), st.integers(0, 2), st.booleans(), st.booleans()))
    frame, target = frames(*shape)
    model = pipeline(data.draw, frame)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        try:
            model.fit(frame, target)
        except (ValueError, TypeError):  # a step that takes no gaps, no sparse rows or too few columns: nobody has such a model
            assume(False)
        runner, agreement = lowered(*zoo.opened(repr(shape), model, frame), files={})
    assert runner.program.nodes
    assert agreement.rows > agreement.refused
