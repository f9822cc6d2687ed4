"""ONNX models as the builder has them after loading."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx

from samovar.contracts.spec import ContractSpec, ModelContract, ResponseSpec
from samovar.scoring import plan as plans
from samovar.scoring.engines import onnx
from samovar.scoring.lowering import lowered

TENSORS = {"f": "float32", "i": "int64", "O": "str"}


def exported(model, rows, *, zipmap=False):
    """Return a fitted estimator as the bytes of an ONNX file."""
    return to_onnx(model, rows[:1], options={"zipmap": zipmap} if hasattr(model, "predict_proba") else None).SerializeToString()


def graph(nodes, width, outputs, known=(), kind=TensorProto.FLOAT):
    """Return the bytes of a hand-made graph with one input X (n, width); outputs are pairs of a name and a type."""
    made = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("X", kind, [None, width])],
        [helper.make_tensor_value_info(name, of, None) for name, of in outputs],
        [numpy_helper.from_array(array, name) for name, array in known],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)])
    model.ir_version = 9
    return model.SerializeToString()


def opened(data, *, width, columns=None, example=()):
    """Return a plan and its engine: for a matrix of float32, or for columns of these types."""
    signature = tuple(plans.SignatureColumn(f"c{index}", kind) for index, kind in enumerate(columns or ()))
    plan = plans.ScorerPlan(
        format=plans.FORMAT,
        model="onnx",
        version=1,
        label="v1",
        run_id="",
        digest="seed",
        engine="onnx",
        trusted=False,
        files={"model.onnx": data},
        model_file="model.onnx",
        contract=ModelContract(contract=ContractSpec(name="onnx", fields=()), response=ResponseSpec("Answer", ())),
        signature=signature,
        tensor=None if columns else plans.TensorInput("float32", (-1, width)),
        example=tuple({f"c{index}": value for index, value in enumerate(row)} for row in example),
    )
    return plan, onnx.open_plan(plan)


def agreed(data, rows):
    """Lower a graph and hold it to onnxruntime as the builder does; returns the runner, the agreement and the engine."""
    plan, engine = opened(data, width=rows.shape[1])
    runner, agreement = lowered(plan, engine, files={})
    return runner, agreement, engine


def bits(data, rows):
    """Assert that a program gives onnxruntime's very answers to rows, alone and together; returns it."""
    runner, _, engine = agreed(data, rows)
    columns = [column.tolist() for column in rows.T]
    native, ours = engine.columns(columns), runner.batch(columns)
    alone = [runner.row(row) for row in rows.tolist()]
    near(native.labels, ours.labels)
    near(native.labels, [label for label, _ in alone])
    if native.probabilities is not None:
        near(native.probabilities, ours.probabilities)
        near(native.probabilities, [shares for _, shares in alone])
    return runner.program


def near(theirs, ours, units=4):
    """Assert that numbers are within so many units in the last place of float32, and others equal."""
    theirs, ours = np.asarray(theirs), np.asarray(ours)
    if theirs.dtype.kind != "f":
        assert theirs.tolist() == ours.tolist()
        return
    np.testing.assert_array_less(
        np.abs(theirs.astype(np.float64) - ours), (units + 0.01) * np.spacing(np.abs(theirs).astype(np.float32))
    )
