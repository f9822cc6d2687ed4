"""Trees and forests answer what scikit-learn answers, at every edge of every threshold."""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import cells, compiled, parity
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier

from samovar.errors import RequestError
from samovar.scoring.compiler.rules.trees import before_rounding
from samovar.scoring.engines.compiled import Runner
from samovar.scoring.ops import bitvector, walk
from samovar.scoring.ops.forest import LIMIT
from samovar.scoring.ops.trees import Trees

RNG = np.random.default_rng(7)
X = RNG.normal(size=(300, 4)).round(2)
GAPS = np.where(RNG.random(X.shape) < 0.15, np.nan, X)
BINARY = (X[:, 0] + X[:, 1] * X[:, 2] > 0.1).astype(int)
THREE = np.array(["low", "mid", "top"])[BINARY + (X[:, 3] > 0)]
NUMBER = X[:, 0] ** 2 + X[:, 1]

FORESTS = [
    DecisionTreeClassifier(random_state=0),
    DecisionTreeClassifier(random_state=0, class_weight="balanced", max_leaf_nodes=9),
    ExtraTreeClassifier(random_state=0),
    RandomForestClassifier(5, random_state=0),
    RandomForestClassifier(14, random_state=0, max_depth=4, class_weight="balanced_subsample"),
    ExtraTreesClassifier(14, random_state=0, max_depth=5, bootstrap=True),
    HistGradientBoostingClassifier(max_iter=15),
    HistGradientBoostingClassifier(max_iter=14, max_leaf_nodes=100, min_samples_leaf=1),
]
REGRESSORS = [
    DecisionTreeRegressor(random_state=0),
    RandomForestRegressor(13, random_state=0, max_depth=5),
    RandomForestRegressor(3, random_state=0, criterion="poisson"),
    ExtraTreesRegressor(13, random_state=0),
    HistGradientBoostingRegressor(max_iter=15),
    HistGradientBoostingRegressor(max_iter=15, loss="poisson"),
    HistGradientBoostingRegressor(max_iter=15, loss="gamma"),
    HistGradientBoostingRegressor(max_iter=15, loss="quantile", quantile=0.8),
]


def edges(model, data, *, most=40):
    """Return rows that hold, feature by feature, the neighbours of the model's thresholds in both precisions."""
    (trees,) = [node for node in compiled(model, data).nodes if isinstance(node, Trees)]
    feature, threshold = trees.nodes.feature.open(), trees.nodes.threshold.open()
    rows = []
    for index in np.flatnonzero(feature >= 0)[:most]:
        single = np.float32(threshold[index])
        near = [threshold[index], single]
        near += [np.nextafter(threshold[index], way) for way in (-np.inf, np.inf)]
        near += [float(np.nextafter(single, np.float32(way))) for way in (-np.inf, np.inf)]
        for value in near:
            row = data[index % len(data)].copy()
            row[feature[index]] = value
            rows.append(row)
    return np.array(rows)


def odd(data):
    """Return rows with values that models may refuse."""
    rows = np.tile(data[0], (10, 1))
    rows[np.arange(10), np.arange(10) % data.shape[1]] = [
        np.nan,
        np.inf,
        -np.inf,
        -0.0,
        1e39,
        -1e39,
        3.4028235e38,
        1e-46,
        5e-324,
        LIMIT,
    ]
    return rows


def trial(model, data):
    return np.concatenate([data[:25], edges(model, data), odd(data)])


@pytest.mark.parametrize("model", FORESTS, ids=str)
@pytest.mark.parametrize("target", [BINARY, THREE], ids=["two", "three"])
@pytest.mark.parametrize("data", [X, GAPS], ids=["whole", "gaps"])
def test_classifiers_of_trees(model, target, data):
    model.fit(data, target)
    parity(model, trial(model, data))


@pytest.mark.parametrize("model", REGRESSORS, ids=str)
@pytest.mark.parametrize("data", [X, GAPS], ids=["whole", "gaps"])
def test_regressors_of_trees(model, data):
    model.fit(data, np.abs(NUMBER) + 0.1)
    parity(model, trial(model, data))


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (GradientBoostingClassifier(n_estimators=13), BINARY),
        (GradientBoostingClassifier(n_estimators=13, loss="exponential"), BINARY),
        (GradientBoostingClassifier(n_estimators=5, init="zero", subsample=0.5), BINARY),
        (GradientBoostingClassifier(n_estimators=5, max_depth=7), THREE),
        (GradientBoostingRegressor(n_estimators=13, loss="absolute_error"), NUMBER),
        (GradientBoostingRegressor(n_estimators=13, loss="huber", max_depth=9), NUMBER),
    ],
    ids=str,
)
def test_gradient_boosting_refuses_gaps_and_sums_its_stages(model, target):
    model.fit(X, target)
    parity(model, trial(model, X))


def test_several_targets():
    targets = np.stack([NUMBER, X[:, 2], X[:, 3]], axis=1)
    for model in (DecisionTreeRegressor(max_depth=3), RandomForestRegressor(14, max_depth=3), RandomForestRegressor(3)):
        parity(model.fit(X, targets), trial(model, X))


def test_single_precision_columns_are_rounded_before_they_are_compared():
    model = RandomForestClassifier(14, max_depth=5, random_state=0).fit(X, BINARY)
    parity(model, edges(model, X).astype(np.float32))


@given(st.lists(st.floats(width=64, allow_nan=False), min_size=1, max_size=20))
def test_a_threshold_before_rounding_parts_numbers_as_the_rounded_one_does(thresholds):
    thresholds = np.array(thresholds)
    moved = before_rounding(thresholds)
    near = [thresholds, moved, np.nextafter(moved, np.inf), np.nextafter(moved, -np.inf), *_singles(thresholds)]
    with np.errstate(over="ignore"):
        for values in (np.where(np.abs(each) < LIMIT, each, 0.0) for each in near):
            np.testing.assert_array_equal(values <= moved, values.astype(np.float32).astype(np.float64) <= thresholds)


def _singles(values):
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
        return [np.nextafter(single, np.float32(way)).astype(np.float64) for way in (-np.inf, np.inf)]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(12, 16), st.integers(2, 70), st.booleans(), st.sampled_from(["two", "three", "number"])
)
def test_bit_vectors_and_walk_agree_with_scikit_learn(seed, count, leaves, gaps, kind):
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(80, 3)).round(1)
    if gaps:
        data[rng.random(data.shape) < 0.2] = np.nan
    target = {"two": rng.integers(0, 2, 80), "three": rng.integers(0, 3, 80), "number": rng.normal(size=80)}[kind]
    family = HistGradientBoostingRegressor if kind == "number" else HistGradientBoostingClassifier
    model = family(max_iter=count, max_leaf_nodes=leaves, min_samples_leaf=1, early_stopping=False).fit(data, target)
    program = parity(model, np.concatenate([data[:10], edges(model, data, most=10), odd(data)]))
    (trees,) = [node for node in program.nodes if isinstance(node, Trees)]
    arrays = walk.Arrays(*(getattr(trees.nodes, name).open() for name in trees.nodes.__struct_fields__))
    if bitvector.fits(trees, arrays):
        columns = cells(data)
        whole = np.stack([np.array(column, dtype=float) for column in columns], axis=1)
        inputs = [whole] if type(trees.parts[0]).__name__ == "Whole" else columns
        other = walk.open_trees(trees, arrays)
        np.testing.assert_allclose(other.batch(*inputs), trees.open().batch(*inputs), rtol=1e-12, atol=1e-12)
        rows = [other.row(*([whole[i].tolist()] if inputs[0] is whole else whole[i].tolist())) for i in range(10)]
        np.testing.assert_allclose(rows, other.batch(*inputs)[:10], rtol=1e-12, atol=1e-12)


def test_categories_known_unknown_negative_and_missing():
    kinds = RNG.choice(["a", "b", "c", "d", "rare"], 300)
    frame = pd.DataFrame({"kind": kinds, "size": X[:, 0], "code": RNG.integers(-2, 4, 300) * 1.0})
    target = (frame["kind"].isin(["a", "c"]) ^ (frame["size"] > 0) ^ (frame["code"] < 1)).astype(int)
    ask = frame.iloc[:12].copy().astype({"kind": object})
    ask.loc[0:2, "kind"] = ["new", None, ""]
    ask.loc[3:9, "code"] = [-7.0, np.nan, 1.5, 255.0, 256.0, 1e300, -0.0]
    for iterations in (5, 20):  # few trees walk
        model = HistGradientBoostingClassifier(max_iter=iterations, categorical_features=["kind", "code"]).fit(frame, target)
        parity(model, ask)


def test_a_refused_value_names_its_column_and_not_itself():
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    for count in (3, 20):
        runner = Runner(compiled(GradientBoostingClassifier(n_estimators=count).fit(frame, BINARY), frame))
        for bad in (None, float("inf"), -1e200):
            for ask in (runner.row, lambda row, runner=runner: runner.batch([[cell] for cell in row])):
                with pytest.raises(RequestError) as caught:
                    ask([0.5, 0.5, bad, 0.5])
                assert caught.value.path == "c"
                assert "1e" not in str(caught.value)


def test_trees_that_lead_back_do_not_open():
    program = compiled(DecisionTreeClassifier(max_depth=3).fit(X, BINARY), X)
    (trees,) = program.nodes
    for name in ("left", "right"):
        looped = msgspec.structs.replace(getattr(trees.nodes, name), data=bytes(len(getattr(trees.nodes, name).data)))
        nodes = msgspec.structs.replace(trees.nodes, **{name: looped})
        with pytest.raises(ValueError, match="leads nowhere or back"):
            msgspec.structs.replace(trees, nodes=nodes).open()
