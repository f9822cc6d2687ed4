"""XGBoost's and LightGBM's trees answer what those libraries answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from parity import compiled, parity
from test_trees import edges

from samovar.scoring.compiler import NotLowered

lightgbm = pytest.importorskip("lightgbm")
xgboost = pytest.importorskip("xgboost")

RNG = np.random.default_rng(5)
X = RNG.normal(size=(300, 4)).round(2)
GAPS = np.where(RNG.random(X.shape) < 0.15, np.nan, X)
BINARY = (X[:, 0] + X[:, 1] * X[:, 2] > 0.1).astype(int)
THREE = BINARY + (X[:, 3] > 0)
NUMBER = np.abs(X[:, 0]) + X[:, 1] ** 2 + 0.1


def asked(model, data):
    odd = np.tile(data[0], (10, 1))
    odd[np.arange(10), np.arange(10) % 4] = [np.nan, -0.0, 1e-46, 1e30, -1e30, -1e-36, np.inf, -np.inf, 1e39, -1e39]
    return np.concatenate([data[:30], edges(model, data), odd])


@pytest.mark.parametrize("target", [BINARY, THREE], ids=["two", "three"])
@pytest.mark.parametrize("data", [X, GAPS], ids=["whole", "gaps"])
@pytest.mark.parametrize("settings", [{}, {"num_parallel_tree": 3, "subsample": 0.5}, {"max_depth": 9}], ids=str)
def test_xgboost_classifiers(target, data, settings):
    model = xgboost.XGBClassifier(n_jobs=1, n_estimators=14, **settings).fit(data, target)
    assert parity(model, asked(model, data)).precision == "float32"


@pytest.mark.parametrize(
    "objective",
    ["reg:squarederror", "reg:absoluteerror", "count:poisson", "reg:gamma", "reg:tweedie", "reg:pseudohubererror"],
)
def test_xgboost_regressors(objective):
    model = xgboost.XGBRegressor(n_jobs=1, n_estimators=8, objective=objective).fit(GAPS, NUMBER)
    parity(model, asked(model, GAPS))


def test_xgboost_stops_where_it_was_best():
    model = xgboost.XGBClassifier(n_jobs=1, n_estimators=60, early_stopping_rounds=2, learning_rate=1.0)
    model.fit(X[:150], BINARY[:150], eval_set=[(X[150:], BINARY[150:])], verbose=False)
    assert model.best_iteration < 50
    parity(model, asked(model, X))


class Native:
    """A booster behind the face of an estimator, for comparing."""

    def __init__(self, booster, ask):
        self.booster, self.ask = booster, ask

    def predict(self, data):
        return self.booster.predict(self.ask(data))


def test_bare_boosters():
    frame = pd.DataFrame(X, columns=list("abcd"))
    for settings, target in (({"objective": "binary:logistic"}, BINARY), ({"objective": "multi:softprob", "num_class": 3}, THREE)):
        booster = xgboost.train(settings, xgboost.DMatrix(frame, target), 14)
        ask = frame.iloc[:30].copy()
        ask.iloc[:4, 1] = [np.inf, -np.inf, 1e39, np.nan]
        parity(Native(booster, xgboost.DMatrix), ask, program=compiled(booster, frame))
    for settings, target in (({"objective": "binary"}, BINARY), ({"objective": "multiclass", "num_class": 3}, THREE)):
        booster = lightgbm.train({**settings, "verbose": -1, "num_threads": 1}, lightgbm.Dataset(frame, target), 14)
        parity(Native(booster, lambda data: data), frame, program=compiled(booster, frame))
    with pytest.raises(NotLowered, match="other column names"):
        compiled(xgboost.train({}, xgboost.DMatrix(frame, BINARY), 2), frame[list("bacd")])


@pytest.mark.parametrize("target", [BINARY, THREE], ids=["two", "three"])
@pytest.mark.parametrize("data", [X, GAPS], ids=["whole", "gaps"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_leaves": 90, "min_child_samples": 1},
        {"boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1},
        {"use_missing": False},
    ],
    ids=str,
)
def test_lightgbm_classifiers(target, data, settings):
    model = lightgbm.LGBMClassifier(n_estimators=14, verbose=-1, n_jobs=1, **settings).fit(data, np.array(["x", "y", "z"])[target])
    parity(model, asked(model, data))


@pytest.mark.parametrize("objective", ["regression", "regression_l1", "huber", "poisson", "gamma", "tweedie", "quantile"])
def test_lightgbm_regressors(objective):
    model = lightgbm.LGBMRegressor(n_estimators=8, objective=objective, verbose=-1, n_jobs=1).fit(GAPS, NUMBER)
    parity(model, asked(model, GAPS))


@pytest.mark.parametrize("trees", [5, 20])
def test_lightgbm_categories(trees):
    data = X.copy()
    data[:, 1] = RNG.integers(0, 12, len(data))
    target = (np.isin(data[:, 1], [1, 4, 7]) ^ (data[:, 0] > 0)).astype(int)
    model = lightgbm.LGBMClassifier(n_estimators=trees, verbose=-1, n_jobs=1, min_data_per_group=1, cat_smooth=1.0)
    model.fit(data, target, categorical_feature=[1])
    rows = np.tile(data[0], (9, 1))
    rows[:, 1] = [np.nan, -1.0, -0.5, 1.5, 3.99, 11.0, 12.0, 40.0, 1e6]
    parity(model, np.concatenate([data[:40], rows]))


def test_what_needs_categorical_columns_or_linear_leaves_is_not_lowered():
    frame = pd.DataFrame({"a": X[:, 0], "kind": pd.Categorical(RNG.choice(["x", "y"], len(X)))})
    target = (frame["kind"] == "x").astype(int).to_numpy()
    for model in (
        xgboost.XGBClassifier(n_jobs=1, n_estimators=2, enable_categorical=True),
        lightgbm.LGBMClassifier(n_estimators=2, verbose=-1, n_jobs=1),
    ):
        model.fit(frame, target)
        with pytest.raises(NotLowered):
            compiled(model, pd.DataFrame({"a": X[:, 0], "kind": target * 1.0}))
    linear = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1, n_jobs=1, linear_tree=True).fit(X, NUMBER)
    with pytest.raises(NotLowered):
        compiled(linear, X)
    with pytest.raises(NotLowered):
        compiled(xgboost.XGBClassifier(n_jobs=1, n_estimators=2, booster="gblinear").fit(X, BINARY), X)
