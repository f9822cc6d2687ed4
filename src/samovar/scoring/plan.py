"""The scorer plan: what a builder hands to a worker. Versioned data, never a pickle of Samovar's own.

A plan carries everything an endpoint needs to answer: the model's bytes, the contract, the signature and the input example. It
lives in memory (a sealed memory file that the agent keeps), so that a worker comes back without MLflow.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from samovar.contracts.spec import ModelContract  # noqa: TC001 - msgspec reads the annotation at run time
from samovar.scoring.program import Program  # noqa: TC001 - msgspec reads the annotation at run time

FORMAT = 3
"""Raised when a plan written by one Samovar cannot be read by another; a worker refuses other formats."""

Serialization = Literal["skops", "pickle"]
"""How the ``sklearn`` engine's object is stored; ``pickle`` stands for cloudpickle too and needs trust."""

Engine = Literal["compiled", "sklearn", "onnx", "pyfunc"]
"""``compiled``: a program, run without the model's libraries. ``sklearn``: one scikit-learn object, called without mlflow.
``onnx``: an ONNX graph in onnxruntime. ``pyfunc``: any other flavour, through mlflow's pyfunc."""


class SignatureColumn(msgspec.Struct, frozen=True):
    """One input column of the MLflow signature; ``type`` is MLflow's name of it (``double``, ``long``, ``string``, ...)."""

    name: str
    type: str
    required: bool = True


class TensorInput(msgspec.Struct, frozen=True):
    """The single unnamed tensor that a model logged with arrays takes; -1 in ``shape`` is any length."""

    dtype: str
    shape: tuple[int, ...]


class ScorerPlan(msgspec.Struct, frozen=True):
    """One model version, ready to serve.

    Attributes:
        format: see ``FORMAT``.
        model: registered model.
        version: registry version number.
        label: what answers call the version: its ``semver`` tag, else ``v<version>``.
        run_id: MLflow run that logged the model.
        digest: SHA-256 of the model's files.
        engine: who computes the answers.
        trusted: whether a person trusted files that may run code.
        files: path inside the model's folder -> bytes, of the files the engine needs.
        model_file: for ``sklearn`` and ``onnx``: the path of the serialised object in ``files``.
        contract: row, answer, classes and threshold; made from the signature for a model logged elsewhere.
        signature: input columns of ``/invocations``; empty when the model has no column signature. Columns of a signature
            without names have empty names and count by position.
        tensor: what the model takes instead of columns when its signature is one unnamed tensor.
        params: default values of the signature's params.
        example: input example as records, at most a few rows; empty when the model has none.
        probe: body of ``/invocations`` with the whole input example, as MLflow stored it; empty when there is none.
        serialization: how ``model_file`` is stored.
        predict_fn: the method that ``/invocations`` answers with (MLflow's ``pyfunc_predict_fn``).
        notes: why the engine is what it is, in one sentence.
        program: for ``compiled``: what the model was lowered to; ``files`` is empty then.
        ties: for ``compiled``: compared rows at which the labels differ because the model is undecided between them.
        maker: the code that built it, see `samovar.scoring.maker`.
    """

    format: int
    model: str
    version: int
    label: str
    run_id: str
    digest: str
    engine: Engine
    trusted: bool
    files: dict[str, bytes]
    model_file: str
    contract: ModelContract
    signature: tuple[SignatureColumn, ...] = ()
    params: dict[str, Any] = {}
    example: tuple[dict[str, Any], ...] = ()
    probe: bytes = b""
    tensor: TensorInput | None = None
    serialization: Serialization = "skops"
    predict_fn: str = "predict"
    notes: str = ""
    program: Program | None = None
    ties: int = 0
    maker: str = ""


def encode(plan: ScorerPlan) -> bytes:
    """Serialise a plan (MessagePack)."""
    return msgspec.msgpack.encode(plan)


def decode(data: bytes) -> ScorerPlan:
    """Read a plan.

    Raises:
        ValueError: the bytes are no plan, or one of another format.
    """
    try:
        plan = msgspec.msgpack.decode(data, type=ScorerPlan)
    except msgspec.DecodeError as error:
        raise ValueError("these bytes are no scorer plan of this Samovar") from error
    if plan.format != FORMAT:
        raise ValueError(f"scorer plan has format {plan.format}, this Samovar reads {FORMAT}: build it again")
    return plan
