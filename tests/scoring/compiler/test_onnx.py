"""ONNX graphs answer what onnxruntime answers, bit by bit where it can be had."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_models import agreed, bits, exported, graph, near, opened
from sklearn import ensemble, linear_model, neural_network, pipeline, preprocessing, svm
from sklearn.impute import SimpleImputer

from samovar.scoring.compiler import NotLowered
from samovar.scoring.lowering import lowered

RNG = np.random.default_rng(4)
X = RNG.normal(size=(200, 5)).astype(np.float32)
TWO = (X[:, 0] + X[:, 1] * X[:, 2] > 0.1).astype(int)
THREE = np.array(["low", "mid", "top"])[TWO + (X[:, 3] > 0)]
NUMBER = X[:, 0] ** 2 + X[:, 1]
ML = "ai.onnx.ml"


@pytest.mark.parametrize("target", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize(
    "model",
    [
        pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
        pipeline.make_pipeline(SimpleImputer(), preprocessing.MinMaxScaler(), linear_model.LogisticRegression()),
        ensemble.RandomForestClassifier(15, random_state=0),
        ensemble.GradientBoostingClassifier(n_estimators=10, random_state=0),
        neural_network.MLPClassifier((9, 4), max_iter=30, random_state=0),
    ],
    ids=["logistic", "imputed", "forest", "boosting", "perceptron"],
)
@pytest.mark.parametrize("zipmap", [False, True], ids=["array", "maps"])
@pytest.mark.filterwarnings("ignore")
def test_exported_classifiers(model, target, zipmap):
    program = bits(exported(model.fit(X, target), X, zipmap=zipmap), X[:40])
    assert program.precision == "float32"
    assert [output.holds for output in program.answer.outputs] == ["label", "map" if zipmap else "shares"]


@pytest.mark.parametrize(
    "model",
    [
        pipeline.make_pipeline(preprocessing.RobustScaler(), linear_model.Ridge()),
        ensemble.RandomForestRegressor(12, random_state=0),
        ensemble.GradientBoostingRegressor(n_estimators=10, random_state=0),
        neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=30, random_state=0),
        svm.LinearSVR(),
    ],
    ids=["ridge", "forest", "boosting", "perceptron", "svr"],
)
@pytest.mark.filterwarnings("ignore")
def test_exported_regressors(model):
    program = bits(exported(model.fit(X, NUMBER), X), X[:40])
    assert program.answer.rule == "value"
    assert not program.answer.outputs[0].flat


W = RNG.normal(size=(5, 3)).astype(np.float32)
C = RNG.normal(size=3).astype(np.float32)
GAPS = np.where(RNG.random(X.shape) < 0.2, np.nan, X).astype(np.float32)
NODES = {
    "MatMul": ([helper.make_node("MatMul", ["X", "W"], ["Y"])], [("W", W)]),
    "Gemm": ([helper.make_node("Gemm", ["X", "W", "C"], ["Y"])], [("W", W), ("C", C)]),
    "Gemm, transposed": ([helper.make_node("Gemm", ["X", "W"], ["Y"], transB=1)], [("W", np.ascontiguousarray(W.T))]),
    "Add, Mul": (
        [helper.make_node("Add", ["X", "R"], ["a"]), helper.make_node("Mul", ["R", "a"], ["Y"])],
        [("R", W[:, 0].copy())],
    ),
    "Sub, Div": (
        [
            helper.make_node("Sub", ["X", "R"], ["a"]),
            helper.make_node("Sub", ["R", "a"], ["b"]),
            helper.make_node("Div", ["b", "R"], ["Y"]),
        ],
        [("R", W[:, 0].copy())],
    ),
    "Relu": ([helper.make_node("Relu", ["X"], ["Y"])], []),
    "Sigmoid": ([helper.make_node("Sigmoid", ["X"], ["Y"])], []),
    "Softmax": ([helper.make_node("Softmax", ["X"], ["Y"], axis=1)], []),
    "Concat, Identity": ([helper.make_node("Identity", ["X"], ["a"]), helper.make_node("Concat", ["a", "X"], ["Y"], axis=1)], []),
    "Scaler": ([helper.make_node("Scaler", ["X"], ["Y"], domain=ML, offset=W[:, 0].tolist(), scale=W[:, 1].tolist())], []),
    "Normalizer, L1": ([helper.make_node("Normalizer", ["X"], ["Y"], domain=ML, norm="L1")], []),
    "Chosen columns": (
        [helper.make_node("ArrayFeatureExtractor", ["X", "P"], ["Y"], domain=ML)],
        [("P", np.array([3, 0], dtype=np.int64))],
    ),
    "LinearRegressor": (
        [
            helper.make_node(
                "LinearRegressor", ["X"], ["Y"], domain=ML, coefficients=W.T.ravel().tolist(), intercepts=C.tolist(), targets=3
            )
        ],
        [],
    ),
    "Cast, Reshape, Flatten": (
        [
            helper.make_node("Cast", ["X"], ["a"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["a", "S"], ["b"]),
            helper.make_node("Flatten", ["b"], ["Y"]),
        ],
        [("S", np.array([-1, 5], dtype=np.int64))],
    ),
}


@pytest.mark.parametrize("name", NODES)
def test_each_operator(name):
    nodes, known = NODES[name]
    bits(graph(nodes, 5, [("Y", TensorProto.FLOAT)], known), X[:30])


def test_gaps_are_filled():
    node = helper.make_node(
        "Imputer", ["X"], ["Y"], domain=ML, imputed_value_floats=[1.0, 2.0, 3.0, 4.0, 5.0], replaced_value_float=np.nan
    )
    runner, _, engine = agreed(graph([node], 5, [("Y", TensorProto.FLOAT)]), GAPS)
    columns = [column.tolist() for column in GAPS.T]
    near(engine.columns(columns).labels, runner.batch(columns).labels)


def test_text_through_encoders():
    keys = ["a", "b", "ü"]
    for node in (
        helper.make_node("OneHotEncoder", ["X"], ["o"], domain=ML, cats_strings=keys, zeros=1),
        helper.make_node(
            "LabelEncoder", ["X"], ["o"], domain=ML, keys_strings=keys, values_floats=[0.5, 1.5, -2.0], default_float=-1.0
        ),
    ):
        shape = helper.make_node("Reshape", ["o", "S"], ["Y"])
        width = 3 if node.op_type == "OneHotEncoder" else 1
        data = graph(
            [node, shape], 1, [("Y", TensorProto.FLOAT)], [("S", np.array([-1, width], dtype=np.int64))], kind=TensorProto.STRING
        )
        plan, engine = opened(data, width=1, columns=("string",), example=[("a",), ("b",), ("z",)])
        runner, agreement = lowered(plan, engine, files={})
        assert agreement.rows - agreement.refused >= 100
        near(engine.columns([["a", "ü", "z", ""]]).labels, runner.batch([["a", "ü", "z", ""]]).labels)


def test_wide_matrices_are_summed_in_blocks():
    rows = RNG.normal(size=(20, 300)).astype(np.float32)
    weights = RNG.normal(size=(300, 4)).astype(np.float32)
    bits(graph([helper.make_node("MatMul", ["X", "W"], ["Y"])], 300, [("Y", TensorProto.FLOAT)], [("W", weights)]), rows)


def test_doubles_are_rounded_as_mlflow_rounds_them():
    data = exported(ensemble.RandomForestClassifier(15, random_state=0).fit(X, TWO), X, zipmap=True)
    plan, engine = opened(data, width=5, columns=("double",) * 5, example=X[:5].astype(float).tolist())
    runner, agreement = lowered(plan, engine, files={})
    assert agreement.rows > 500
    assert runner.row([0.1, 0.2, 0.3, 0.4, 0.5])[0] in (0, 1)


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([helper.make_node("Erf", ["X"], ["Y"])], "operator Erf"),
        ([helper.make_node("Softmax", ["X"], ["Y"], axis=0)], "over rows"),
        ([helper.make_node("Concat", ["X", "X"], ["Y"], axis=0)], "below each other"),
        ([helper.make_node("Gemm", ["X", "W"], ["Y"], alpha=2.0)], "scales or transposes"),
    ],
    ids=["unknown", "axis", "rows", "scaled"],
)
def test_what_has_no_rule_is_not_lowered(nodes, why):
    with pytest.raises(NotLowered, match=why):
        agreed(graph(nodes, 5, [("Y", TensorProto.FLOAT)], [("W", W)]), X)
