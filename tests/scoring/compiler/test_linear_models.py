"""Linear models, naive Bayes, perceptrons and wrappers, held to scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mixed_rows import NUMBERS, edges, price, sales, three, two
from parity import compiled, parity
from sklearn import linear_model as linear
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.feature_selection import RFE
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC, LinearSVR

from samovar.scoring.compiler import NotLowered

CLASSIFIERS = [
    linear.LogisticRegression(),
    linear.LogisticRegressionCV(cv=2, Cs=2, max_iter=30),
    linear.RidgeClassifier(),
    linear.RidgeClassifierCV(),
    linear.Perceptron(),
    linear.PassiveAggressiveClassifier(),
    linear.SGDClassifier(),
    linear.SGDClassifier(loss="log_loss"),
    linear.SGDClassifier(loss="modified_huber"),
    LinearSVC(),
    LinearDiscriminantAnalysis(),
    MLPClassifier((8, 4), activation="tanh", max_iter=5),
    MLPClassifier((30,), max_iter=5),
    MLPClassifier((4,), activation="logistic", max_iter=5),
    MLPClassifier((), max_iter=5),
    DummyClassifier(),
    DummyClassifier(strategy="most_frequent"),
    GridSearchCV(linear.LogisticRegression(), {"C": [1, 2]}, cv=2),
    RFE(linear.LogisticRegression(), n_features_to_select=2),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("classes", [two, three])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=str)
def test_classifiers_answer_as_scikit_learn(model, classes):
    frame = sales()
    scaler = StandardScaler().fit(frame[NUMBERS].to_numpy())
    rows = np.vstack([scaler.transform(frame[NUMBERS].to_numpy()[:12]), [[np.nan, 0, 1], [np.inf, 0, 1], [30, -30, 3]]])
    parity(model.fit(scaler.transform(frame[NUMBERS].to_numpy()), classes(frame)), rows)


REGRESSORS = [
    linear.LinearRegression(),
    linear.Ridge(),
    linear.RidgeCV(),
    linear.Lasso(),
    linear.LassoCV(cv=2),
    linear.ElasticNet(),
    linear.ElasticNetCV(cv=2),
    linear.SGDRegressor(),
    linear.PassiveAggressiveRegressor(),
    linear.BayesianRidge(),
    linear.ARDRegression(),
    linear.HuberRegressor(),
    linear.PoissonRegressor(),
    linear.GammaRegressor(),
    linear.TweedieRegressor(power=1.5),
    linear.TweedieRegressor(power=0),
    linear.QuantileRegressor(),
    linear.Lars(),
    linear.LassoLarsIC(),
    linear.OrthogonalMatchingPursuit(),
    LinearSVR(),
    MLPRegressor(hidden_layer_sizes=(5,), max_iter=5),
    MLPRegressor(hidden_layer_sizes=(5,), loss="poisson", max_iter=5),
    DummyRegressor(),
    DummyRegressor(strategy="quantile", quantile=0.3),
    TransformedTargetRegressor(linear.Ridge()),
    TransformedTargetRegressor(linear.Ridge(), func=np.log1p, inverse_func=np.expm1),
    TransformedTargetRegressor(linear.Ridge(), transformer=StandardScaler()),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", REGRESSORS, ids=str)
def test_regressors_answer_as_scikit_learn(model):
    frame = sales()
    parity(make_pipeline(StandardScaler(), model).fit(frame[NUMBERS], price(frame)), edges()[NUMBERS])


def test_several_targets_come_out_side_by_side():
    frame = sales()
    parity(linear.LinearRegression().fit(frame[NUMBERS], np.c_[price(frame), two(frame)]), sales(9)[NUMBERS])


@pytest.mark.parametrize("classes", [two, three])
@pytest.mark.parametrize(
    "model", [MultinomialNB(), ComplementNB(), BernoulliNB(binarize=1.5), CategoricalNB(), GaussianNB()], ids=str
)
def test_naive_bayes_answers_as_scikit_learn(model, classes):
    counts = np.random.default_rng(0).integers(0, 4, (80, 5)).astype(float)
    parity(model.fit(counts, classes(sales())), counts[:30])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("step", [StandardScaler(), SimpleImputer(), "passthrough"], ids=str)
def test_models_of_single_precision_answer_as_scikit_learn(step):
    frame = sales()[NUMBERS].astype("float32")
    program = parity(make_pipeline(step, linear.LogisticRegression()).fit(frame, two(sales())), frame.head(30))
    assert program.precision == "float32"


def test_a_search_that_was_not_fitted_again_and_answers_by_chance_are_not_lowered():
    frame = sales()
    for model in (
        GridSearchCV(linear.Ridge(), {"alpha": [1]}, refit=False),
        DummyClassifier(strategy="stratified"),
        linear.LogisticRegression(),
    ):
        target = ["one"] * 79 + ["two"] if isinstance(model, linear.LogisticRegression) else two(frame)
        fitted = model.fit(frame[NUMBERS], target)
        if isinstance(model, linear.LogisticRegression):
            fitted.classes_ = np.array(["one", None], dtype=object)
        with pytest.raises(NotLowered):
            compiled(fitted, frame[NUMBERS])


@pytest.fixture(scope="module")
def fitted():
    frame = sales(gaps=True)
    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
        (OneHotEncoder(handle_unknown="ignore", max_categories=4), ["kind"]),
        (OneHotEncoder(), ["city"]),
    )
    model = make_pipeline(prepared, linear.LogisticRegression(max_iter=50)).fit(frame, three(frame))
    return model, compiled(model, frame)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(width=64)),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=True, allow_infinity=True),
            st.booleans(),
            st.one_of(st.none(), st.sampled_from(["a", "b", "cé", "", "rare"]), st.text(max_size=5)),
            st.sampled_from(["x", "y", "z", ""]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_row_is_answered_or_refused_as_by_scikit_learn(fitted, rows):
    """Row, batch and native model agree on whatever a signature lets in."""
    model, program = fitted
    names = ["amount", "age", "balance", "member", "kind", "city"]
    frame = pd.DataFrame(rows, columns=names).astype({"amount": "float64", "balance": "float64", "kind": "str", "city": "str"})
    parity(model, frame, program=program)
