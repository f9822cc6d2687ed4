"""ONNX models logged by mlflow: answered as mlflow's own server answers them, and trusted only as far as they are data."""

from __future__ import annotations

import json

import mlflow
import numpy as np
import onnx
import pandas as pd
import pytest
from mlflow.models import infer_signature
from mlflow.pyfunc import scoring_server
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from samovar.errors import ModelError, RequestError
from samovar.scoring.engine import open_engine
from samovar.scoring.load import load_plan
from samovar.serving.protocols.invocations import Invocations

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)).astype(np.float32)
FRAME = pd.DataFrame(X[:5].astype(float), columns=["a", "b", "c"])
LABELS = np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)]


def logged(folder, model, example, **settings):
    """Log a model as a user does; returns the files of its folder."""
    signature = infer_signature(example)
    mlflow.onnx.save_model(model, folder, signature=signature, pip_requirements=["onnxruntime"], **settings)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def forest(*, zipmap):
    model = RandomForestClassifier(8, random_state=0).fit(X, LABELS)
    return to_onnx(model, X[:1], options={"zipmap": zipmap})


def bodies(example):
    if isinstance(example, pd.DataFrame):
        return [{"dataframe_split": example.to_dict(orient="split")}, {"dataframe_records": example.to_dict(orient="records")}]
    rows = {name: values.tolist() for name, values in example.items()} if isinstance(example, dict) else example.tolist()
    return [{"inputs": rows}]


def ours(plan, body):
    handler, engine = Invocations(plan, open_engine(plan)), open_engine(plan)
    job = handler.decode(json.dumps(body).encode(), "application/json", {})
    answer = json.loads(job.write(job.run(engine, job.columns, job.params)))
    if handler.quick is not None and job.rows == 1:
        assert json.loads(handler.quick(json.dumps(body).encode())[0]) == answer
    return answer


@pytest.mark.parametrize("compile", [True, False], ids=["compiled", "onnxruntime"])
@pytest.mark.parametrize(
    ("make", "example"),
    [
        (lambda: forest(zipmap=True), FRAME),
        (lambda: forest(zipmap=False), X[:5]),
        (lambda: forest(zipmap=True), X[:1]),
        (lambda: to_onnx(RandomForestRegressor(8, random_state=0).fit(X, X[:, 0]), X[:1]), FRAME),
        (lambda: to_onnx(RandomForestRegressor(8, random_state=0).fit(X, X[:, 0]), X[:1]), X[:5]),
    ],
    ids=["frame, maps", "tensor, arrays", "tensor, maps, one row", "frame, numbers", "tensor, numbers"],
)
def test_answers_are_those_of_mlflows_server(tmp_path, make, example, compile):  # noqa: A002 - the name of the setting
    files = logged(tmp_path / "model", make(), example)
    plan = load_plan(files, "onnx", 1, compile=compile)
    assert plan.engine == ("compiled" if compile else "onnx"), plan.notes
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    for body in bodies(example):
        theirs = scoring_server.invocations(json.dumps(body), "application/json", model, model.metadata.get_input_schema())
        assert ours(plan, body) == json.loads(theirs.response)


def two_inputs():
    """A graph of two named columns."""
    info = helper.make_tensor_value_info
    made = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["sum"])],
        "two",
        [info(name, TensorProto.FLOAT, [None, 1]) for name in "ab"],
        [info("sum", TensorProto.FLOAT, [None, 1])],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model


def test_named_tensors_go_to_onnxruntime(tmp_path):
    example = dict.fromkeys("ab", X[:3, :1])
    plan = load_plan(logged(tmp_path / "model", two_inputs(), example), "onnx", 1)
    assert plan.engine == "onnx"
    assert "several inputs" in plan.notes or "signature" in plan.notes
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    for body in bodies(example):
        theirs = scoring_server.invocations(json.dumps(body), "application/json", model, model.metadata.get_input_schema())
        assert ours(plan, body) == json.loads(theirs.response)
    with pytest.raises(RequestError, match="missing") as caught:
        ours(plan, {"inputs": {"a": [[1.0]]}})
    assert caught.value.path == "b"


def product(weights):
    made = helper.make_graph(
        [helper.make_node("MatMul", ["X", "W"], ["Y"])],
        "product",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, weights.shape[1]])],
        [numpy_helper.from_array(weights, "W")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model


def test_tensors_beside_the_file_are_read_from_the_models_folder(tmp_path):
    weights = RNG.normal(size=(3, 400)).astype(np.float32)
    files = logged(tmp_path / "model", product(weights), X[:2])
    assert sum(name.startswith("model.onnx") is False and len(data) == weights.nbytes for name, data in files.items()) == 1
    for compile_it in (True, False):
        plan = load_plan(files, "onnx", 1, compile=compile_it)
        answer = ours(plan, {"inputs": X[:2].tolist()})["predictions"]["Y"]
        np.testing.assert_allclose(answer, X[:2] @ weights, rtol=1e-4, atol=1e-5)
    beside = next(name for name, data in files.items() if len(data) == weights.nbytes)
    with pytest.raises(ModelError, match="missing"):
        load_plan({name: data for name, data in files.items() if name != beside}, "onnx", 1)


def broken(tmp_path, change):
    files = logged(tmp_path / "model", product(np.ones((3, 2), dtype=np.float32)), X[:2])
    model = onnx.ModelProto.FromString(files["model.onnx"])
    change(model)
    return files | {"model.onnx": model.SerializeToString()}


def test_tensors_from_elsewhere_are_refused(tmp_path):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../etc/passwd")

    with pytest.raises(ModelError, match="outside of the model's folder"):
        load_plan(broken(tmp_path, change), "onnx", 1)


def test_operators_of_other_libraries_are_refused_also_inside_of_branches(tmp_path):
    def change(model):
        inner = helper.make_graph([helper.make_node("PyCode", ["X"], ["Y"], domain="ai.onnx.contrib")], "inner", [], [])
        model.graph.node.append(helper.make_node("If", ["X"], ["Z"], then_branch=inner, else_branch=inner))

    with pytest.raises(ModelError, match=r"ai\.onnx\.contrib\.PyCode"):
        load_plan(broken(tmp_path, change), "onnx", 1)


def test_damaged_files_are_refused(tmp_path):
    files = logged(tmp_path / "model", product(np.ones((3, 2), dtype=np.float32)), X[:2])
    for data in (b"", b"\xff" * 50, files["model.onnx"][:40]):
        with pytest.raises(ModelError):
            load_plan(files | {"model.onnx": data}, "onnx", 1)


def test_rows_that_the_graph_does_not_take_are_the_callers_fault(tmp_path):
    plan = load_plan(logged(tmp_path / "model", product(np.ones((3, 2), dtype=np.float32)), X[:2]), "onnx", 1, compile=False)
    with pytest.raises(RequestError):
        ours(plan, {"inputs": [[1.0, 2.0]]})


def test_outputs_of_several_lengths_make_no_table_and_say_so(tmp_path):
    files = logged(tmp_path / "model", forest(zipmap=False), FRAME, input_example=None)
    plan = load_plan(files, "onnx", 1, compile=False)
    with pytest.raises(ModelError, match="differ in length"):
        ours(plan, {"dataframe_split": FRAME.to_dict(orient="split")})


def test_the_last_of_several_locations_counts_as_it_does_for_onnxruntime(tmp_path):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for place in ("model.onnx", "../../etc/passwd"):
            tensor.external_data.add(key="location", value=place)

    with pytest.raises(ModelError, match="outside of the model's folder"):
        load_plan(broken(tmp_path, change), "onnx", 1)


def test_tensors_from_elsewhere_are_refused_also_in_branches_of_nothing_but_sparse_ones(tmp_path):
    def change(model):
        tensor = TensorProto(data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="/etc/passwd")
        inner = onnx.GraphProto(name="inner", sparse_initializer=[onnx.SparseTensorProto(values=tensor)])
        model.graph.node.append(helper.make_node("If", ["X"], ["Z"], then_branch=inner, else_branch=inner))

    with pytest.raises(ModelError, match="outside of the model's folder"):
        load_plan(broken(tmp_path, change), "onnx", 1)


def test_a_graph_that_was_exported_for_one_row_is_given_one(tmp_path):
    model = product(np.ones((3, 2), dtype=np.float32))
    for port in (model.graph.input[0], model.graph.output[0]):
        port.type.tensor_type.shape.dim[0].dim_value = 1
    plan = load_plan(logged(tmp_path / "model", model, X[:1]), "onnx", 1)
    assert plan.engine == "onnx"
    np.testing.assert_allclose(open_engine(plan).columns([[1.0], [2.0], [4.0]]).labels, [[7.0, 7.0]])


@pytest.mark.parametrize("last", ["Mul", "Relu", "Tanh"])
def test_what_was_squeezed_stays_of_one_dimension(tmp_path, last):
    graph = product(np.ones((3, 1), dtype=np.float32))
    known = [numpy_helper.from_array(np.array([1]), "axes"), numpy_helper.from_array(np.float32([3.0]), "three")]
    graph.graph.initializer.extend(known)
    graph.graph.node.append(helper.make_node("Squeeze", ["Y", "axes"], ["flat"]))
    graph.graph.node.append(helper.make_node(last, ["flat", "three"] if last == "Mul" else ["flat"], ["last"]))
    graph.graph.output[0].CopyFrom(helper.make_tensor_value_info("last", TensorProto.FLOAT, [None]))
    files = logged(tmp_path / "model", graph, X[:5])
    answers = [ours(load_plan(files, "onnx", 1, compile=how), {"inputs": X[:5].tolist()})["predictions"] for how in (True, False)]
    assert load_plan(files, "onnx", 1).engine == "compiled"
    np.testing.assert_allclose(answers[0]["last"], answers[1]["last"], rtol=1e-5)
    assert np.shape(answers[0]["last"]) == (5,)


def test_elements_that_numpy_does_not_have_are_left_to_onnxruntime(tmp_path):
    graph = product(np.ones((3, 2), dtype=np.float32))
    graph.graph.initializer.append(helper.make_tensor("half", TensorProto.BFLOAT16, [1], [0.5]))
    graph.graph.node.append(helper.make_node("Cast", ["half"], ["number"], to=TensorProto.FLOAT))
    graph.graph.node.append(helper.make_node("Add", ["Y", "number"], ["Z"]))
    graph.graph.output[0].name = "Z"
    plan = load_plan(logged(tmp_path / "model", graph, X[:2]), "onnx", 1)
    assert plan.engine == "onnx"
    np.testing.assert_allclose(ours(plan, {"inputs": [[1.0, 2.0, 4.0]]})["predictions"]["Z"], [[7.5, 7.5]])
