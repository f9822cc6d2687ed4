"""Models made of models answer what scikit-learn answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from parity import compiled, parity
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from samovar.scoring.compiler import NotLowered

RNG = np.random.default_rng(3)
X = RNG.normal(size=(240, 4)).round(2)
BINARY = np.where(X[:, 0] + X[:, 1] * X[:, 2] > 0.1, "yes", "no")
THREE = (BINARY == "yes").astype(int) * 3 + (X[:, 3] > 0) + 5
NUMBER = X[:, 0] ** 2 + X[:, 1]
BOTH = pytest.mark.parametrize("target", [BINARY, THREE], ids=["two", "three"])


def linear():
    return make_pipeline(StandardScaler(), LogisticRegression())


def forest(count=3):
    return RandomForestClassifier(count, max_depth=3, random_state=0)


def asked():
    rows = np.concatenate([X[:30], np.tile(X[:1], (4, 1))])
    rows[-4:, 0] = [np.nan, np.inf, -0.0, 300.0]
    return rows


INNER = [linear(), forest(), LinearSVC(), GradientBoostingClassifier(n_estimators=3), GaussianNB()]
CALIBRATED = [
    (inner, method)
    for inner in INNER
    for method in ("sigmoid", "isotonic", "temperature")
    if not (isinstance(inner, GaussianNB) and method == "temperature")  # scikit-learn's own search for it may not end
]


@BOTH
@pytest.mark.parametrize(("inner", "method"), CALIBRATED, ids=str)
@pytest.mark.parametrize("ensemble", [True, False])
def test_calibration(target, method, inner, ensemble):
    parity(CalibratedClassifierCV(inner, method=method, cv=2, ensemble=ensemble).fit(X, target), asked())


def test_calibration_of_a_frozen_pipeline_over_columns():
    frame = pd.DataFrame(X, columns=list("abcd")).assign(kind=RNG.choice(["x", "y", "z"], len(X)))
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["kind"]), remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=20),
    )
    model = CalibratedClassifierCV(FrozenEstimator(pipeline.fit(frame, BINARY))).fit(frame, BINARY)
    ask = frame.iloc[:20].copy()
    ask.loc[0:1, "kind"] = ["new", None]
    parity(model, ask)


@BOTH
@pytest.mark.parametrize("weights", [None, [1, 2.5, 0.5]])
@pytest.mark.parametrize("voting", ["soft", "hard"])
def test_votes(target, weights, voting):
    inner = [("a", linear()), ("b", forest()), ("c", DecisionTreeClassifier(max_depth=2))]
    parity(VotingClassifier(inner, voting=voting, weights=weights).fit(X, target), asked())


def test_votes_without_a_dropped_model():
    inner = [("a", LinearSVC()), ("b", "drop"), ("c", RidgeClassifier())]
    parity(VotingClassifier(inner, weights=[1, 5, 2]).fit(X, THREE), asked())


@pytest.mark.parametrize("weights", [None, [1, 3]])
def test_mean_of_regressors(weights):
    inner = [("a", LinearRegression()), ("b", RandomForestRegressor(3, random_state=0))]
    parity(VotingRegressor(inner, weights=weights).fit(X, NUMBER), asked())


@BOTH
@pytest.mark.parametrize("passthrough", [True, False])
@pytest.mark.parametrize("final", [LogisticRegression(), forest(13)], ids=str)
def test_stacks(target, passthrough, final):
    inner = [("a", linear()), ("b", forest()), ("c", LinearSVC()), ("d", GaussianNB())]
    parity(StackingClassifier(inner, final, passthrough=passthrough, cv=2).fit(X, target), asked())


def test_a_stack_of_labels_is_not_lowered():
    model = StackingClassifier([("a", forest())], cv=2, stack_method="predict").fit(X, THREE)
    with pytest.raises(NotLowered, match="labels as numbers"):
        compiled(model, X)


@pytest.mark.parametrize("passthrough", [True, False])
def test_stacks_of_regressors(passthrough):
    inner = [("a", Ridge()), ("b", GradientBoostingRegressor(n_estimators=13))]
    parity(StackingRegressor(inner, passthrough=passthrough, cv=2).fit(X, NUMBER), asked())


@BOTH
@pytest.mark.parametrize("inner", [LogisticRegression(), LinearSVC(), forest()], ids=str)
def test_one_against_the_rest(target, inner):
    parity(OneVsRestClassifier(inner).fit(X, target), asked())


@BOTH
@pytest.mark.parametrize("inner", [DecisionTreeClassifier(), LogisticRegression(), LinearSVC()], ids=str)
@pytest.mark.parametrize("features", [1.0, 0.5])
def test_bags(target, inner, features):
    parity(BaggingClassifier(inner, 5, max_features=features, random_state=0).fit(X, target), asked())


def test_a_bag_whose_models_know_fewer_classes():
    target = THREE.copy()
    target[0] = 99
    for inner in (DecisionTreeClassifier(), GaussianNB()):
        parity(BaggingClassifier(inner, 6, max_samples=0.3, random_state=1).fit(X, target), asked())


@pytest.mark.parametrize("inner", [DecisionTreeRegressor(), LinearRegression()], ids=str)
def test_bags_of_regressors(inner):
    parity(BaggingRegressor(inner, 14, max_features=0.5, random_state=0).fit(X, NUMBER), asked())


@BOTH
@pytest.mark.parametrize("depth", [1, 4])
def test_adaptive_boosting(target, depth):
    parity(AdaBoostClassifier(DecisionTreeClassifier(max_depth=depth), n_estimators=15, random_state=0).fit(X, target), asked())


def test_adaptive_boosting_of_numbers():
    parity(AdaBoostRegressor(n_estimators=6, random_state=0).fit(X, NUMBER), asked())


@pytest.mark.parametrize("inner", [linear(), forest(), LinearSVC()], ids=str)
def test_thresholds(inner):
    target = (BINARY == "yes").astype(int)
    parity(TunedThresholdClassifierCV(inner, cv=2).fit(X, target), asked())
    parity(FixedThresholdClassifier(inner).fit(X, target), asked())


def test_a_threshold_that_is_reached_is_enough():
    model = DecisionTreeClassifier(max_leaf_nodes=4, random_state=0).fit(X, BINARY == "yes")
    for share in np.unique(model.predict_proba(X)[:, 1]):
        parity(FixedThresholdClassifier(FrozenEstimator(model), threshold=float(share)).fit(X, BINARY == "yes"), X[:60])
