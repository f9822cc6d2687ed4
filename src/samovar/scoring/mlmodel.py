"""The ``MLmodel`` file: what a logged model is, read without mlflow."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from samovar.errors import ModelError
from samovar.scoring.plan import Serialization, SignatureColumn, TensorInput

SCALARS = frozenset({"boolean", "integer", "long", "float", "double", "string", "binary", "datetime"})
"""MLflow's column types that hold one value a row."""


class Signature(msgspec.Struct, frozen=True):
    """The inputs of a model signature.

    Attributes:
        columns: the columns; empty when the signature is a tensor or there is none.
        tensor: the single unnamed tensor, if that is the input.
        params: default values of the inference params.
        plain: whether ``columns`` and ``tensor`` say all of it; False for nested types and named tensors.
    """

    columns: tuple[SignatureColumn, ...] = ()
    tensor: TensorInput | None = None
    params: dict[str, Any] = {}
    plain: bool = True


class MLmodel(msgspec.Struct, frozen=True):
    """What Samovar needs to know of an ``MLmodel`` file.

    Attributes:
        loader: the module that loads the model; ``mlflow.sklearn`` for scikit-learn.
        model_file: for scikit-learn and ONNX: the file of the serialised object.
        serialization: for scikit-learn: how it is stored.
        predict_fn: the method that predicts.
        code: folder of Python files that come with the model, empty when there is none.
        signature: inputs.
        example_file: the input example.
        probe_file: the input example as a body of ``/invocations``.
    """

    loader: str
    model_file: str
    serialization: Serialization
    predict_fn: str
    code: str
    signature: Signature
    example_file: str
    probe_file: str


def parse(data: bytes) -> MLmodel:
    """Read an ``MLmodel`` file.

    Raises:
        ModelError: it is no such file, or the model has no Python flavor.
    """
    try:
        document = msgspec.yaml.decode(data, type=dict[str, Any])
        return _read(document)
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"The MLmodel file cannot be read ({type(error).__name__}).", remedy="Log the model again with mlflow 2 or newer."
        ) from None


def _read(document: dict[str, Any]) -> MLmodel:
    flavors: dict[str, Any] = document.get("flavors") or {}
    pyfunc: dict[str, Any] | None = flavors.get("python_function")
    if pyfunc is None:
        raise ModelError("The model has no python_function flavor.", remedy="Log it with a flavor that MLflow can serve.")
    sklearn: dict[str, Any] = flavors.get("sklearn") or {}
    onnx: dict[str, Any] = flavors.get("onnx") or {}
    example: dict[str, Any] = document.get("saved_input_example_info") or {}
    return MLmodel(
        loader=str(pyfunc["loader_module"]),
        model_file=str(sklearn.get("pickled_model") or onnx.get("data") or pyfunc.get("model_path") or ""),
        serialization="skops" if sklearn.get("serialization_format") == "skops" else "pickle",
        predict_fn=str(pyfunc.get("predict_fn") or "predict"),
        code=str(pyfunc.get("code") or sklearn.get("code") or onnx.get("code") or ""),
        signature=_signature(document.get("signature") or {}),
        example_file=str(example.get("artifact_path") or ""),
        probe_file=str(example.get("serving_input_path") or ""),
    )


def _signature(document: dict[str, Any]) -> Signature:
    params = {spec["name"]: spec.get("default") for spec in _json(document.get("params"))}
    inputs = _json(document.get("inputs"))
    if not inputs:
        return Signature(params=params)
    if _kind(inputs) == "columns":
        columns = tuple(
            SignatureColumn(name=str(column.get("name") or ""), type=column["type"], required=bool(column.get("required", True)))
            for column in inputs
        )
        return Signature(columns=columns, params=params)
    if _kind(inputs) == "tensor":
        spec = inputs[0]["tensor-spec"]
        return Signature(tensor=TensorInput(dtype=spec["dtype"], shape=tuple(spec["shape"])), params=params)
    return Signature(params=params, plain=False)


def _kind(inputs: list[dict[str, Any]]) -> Literal["columns", "tensor", "nested"]:
    if all(column["type"] in SCALARS for column in inputs):
        return "columns"
    if len(inputs) == 1 and inputs[0]["type"] == "tensor" and not inputs[0].get("name"):
        return "tensor"
    return "nested"


def _json(text: str | None) -> list[dict[str, Any]]:
    return msgspec.json.decode(text, type=list[dict[str, Any]]) if text else []
