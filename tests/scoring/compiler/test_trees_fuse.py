"""Trees read columns through the encoders before them, and answer as scikit-learn does over the whole matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from parity import cells, compiled, parity
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from samovar.scoring.engines.compiled import Runner

RNG = np.random.default_rng(11)
ROWS = 400
FRAME = pd.DataFrame(
    {
        "amount": RNG.lognormal(size=ROWS).round(3),
        "shop": RNG.choice(["food", "fuel", "toys", "rare"], ROWS, p=[0.5, 0.3, 0.17, 0.03]),
        "hour": RNG.integers(0, 24, ROWS),
        "online": RNG.random(ROWS) < 0.5,
        "code": RNG.integers(0, 5, ROWS),
    }
)
ODD = (FRAME["amount"] > 1) ^ FRAME["shop"].isin(["food", "rare"]) ^ ((FRAME["hour"] > 12) & FRAME["online"])
TARGET = (ODD ^ (FRAME["code"] == 3)).astype(int)


def asked():
    ask = FRAME.iloc[:40].copy().astype({"shop": object, "online": object})
    ask.loc[0:3, "shop"] = ["new", None, "", "FOOD"]
    ask.loc[4:9, "amount"] = [np.nan, np.inf, -np.inf, -0.0, 1e39, -1e300]
    ask.loc[10:12, "code"] = [77, -1, 2**40]
    return ask.astype({"online": bool})


def encoders():
    return {
        "ignore": OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        "error": OneHotEncoder(sparse_output=False),
        "dropped": OneHotEncoder(handle_unknown="ignore", drop="first", sparse_output=False),
        "rare": OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.2, sparse_output=False),
        "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        "gap": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
    }


@pytest.mark.parametrize("encoder", encoders())
@pytest.mark.parametrize(
    "trees",
    [
        HistGradientBoostingClassifier(max_iter=20),
        HistGradientBoostingClassifier(max_iter=3),
        RandomForestClassifier(14, max_depth=4, random_state=0),
        GradientBoostingClassifier(n_estimators=14),
    ],
    ids=["bits", "walk", "forest", "gradient"],
)
def test_encoders_before_trees_vanish(encoder, trees):
    columns = make_column_transformer((encoders()[encoder], ["shop", "code"]), remainder="passthrough")
    program = parity(make_pipeline(columns, trees).fit(FRAME, TARGET), asked())
    assert {type(node).__name__ for node in program.nodes} <= {"Trees", "Sigmoid"}
    assert len(program.nodes[0].parts) == 3
    runner = Runner(program)
    assert runner.row([None if cell is True else cell for cell in [1.0, "food", 3, False, 2]]) is not None


def test_scalers_and_imputers_stay_beside_what_is_read_directly():
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["amount"]),
        (encoders()["ignore"], ["shop"]),
        remainder="passthrough",
    )
    program = parity(make_pipeline(columns, HistGradientBoostingClassifier(max_iter=20)).fit(FRAME, TARGET), asked())
    trees = next(node for node in program.nodes if type(node).__name__ == "Trees")
    assert [type(part).__name__ for part in trees.parts] == ["Whole", "OneHot", "Gather"]


@pytest.mark.parametrize("unknown", [-1, np.nan, 40])
@pytest.mark.parametrize("iterations", [3, 20])
def test_categories_encoded_twice_are_looked_up_once(unknown, iterations):
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=unknown)
    columns = make_column_transformer((encoder, ["shop", "code"]), remainder="passthrough")
    trees = HistGradientBoostingClassifier(max_iter=iterations, categorical_features=[0, 1, 3])
    program = parity(make_pipeline(columns, trees).fit(FRAME, TARGET), asked())
    assert [type(node).__name__ for node in program.nodes] == ["Trees", "Sigmoid"]


def test_many_categories():
    frame = pd.DataFrame({"word": RNG.choice([f"w{i}" for i in range(300)], 2000), "size": RNG.normal(size=2000)})
    target = (frame["word"].str[-1].isin(list("135")) ^ (frame["size"] > 1)).astype(int)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["word"]), remainder="passthrough"
    )
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=15, min_samples_leaf=2)).fit(frame, target)
    parity(model, frame.iloc[:60])


def test_null_in_any_column_of_numbers_is_missing():
    columns = make_column_transformer((OrdinalEncoder(), ["shop"]), remainder="passthrough")
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=20)).fit(FRAME, TARGET)
    runner = Runner(compiled(model, FRAME))
    for name in ("amount", "hour", "online", "code"):
        ask = FRAME.iloc[:5].copy()
        ask[name] = np.full(5, np.nan)
        expected = model.predict_proba(ask)
        rows = list(zip(*cells(ask), strict=True))
        np.testing.assert_allclose([runner.row(row)[1] for row in rows], expected, rtol=1e-9)
        np.testing.assert_allclose(runner.batch(cells(ask)).probabilities, expected, rtol=1e-9)
