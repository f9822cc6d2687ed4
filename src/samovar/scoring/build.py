"""A model's files into a scorer plan: what it is, whether it may load, whether it answers its own input example."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.contracts import document
from samovar.contracts.answers import default_response
from samovar.contracts.signature import from_columns
from samovar.contracts.spec import ContractSpec, ModelContract
from samovar.errors import ContractError, ModelError
from samovar.scoring import maker, mlmodel, probe
from samovar.scoring import plan as plans
from samovar.scoring.engine import open_engine
from samovar.scoring.plan import ScorerPlan

if TYPE_CHECKING:
    from samovar.scoring.explanation import Explanation
    from samovar.scoring.plan import Engine
    from samovar.scoring.request import BuildRequest

_PROBE_LIMIT = 1 * 2**20  # bytes of input example that travel with a plan


def build(request: BuildRequest) -> ScorerPlan:
    """Turn a model version's files into a plan that has answered its own input example; compiled, if it can be.

    Raises:
        Untrusted: the files may run code and ``request.trusted`` is False.
        ModelError: the model cannot be read, does not load, or fails at its own input example.
    """
    return built(request)[0]


def explained(request: BuildRequest) -> tuple[ScorerPlan, Explanation | None]:
    """Build and say what became of the model; None for one that stayed with mlflow's pyfunc. Raises as `build`."""
    from samovar.scoring.explain import explain  # noqa: PLC0415 - loads the compiler, which most builders need and no other process

    plan, engine = built(request)
    return plan, None if plan.engine == "pyfunc" else explain(plan, engine)


def built(request: BuildRequest) -> tuple[ScorerPlan, Any]:
    """Return the plan and the model's own engine, opened for it; raises as `build`."""
    try:
        description = mlmodel.parse(request.files["MLmodel"])
    except KeyError:
        raise ModelError("The version's folder has no MLmodel file.", remedy="Log the model with mlflow.") from None
    draft = _draft(request, description)
    engine = open_engine(draft)
    finished = msgspec.structs.replace(draft, contract=_finish(draft, engine.classes))
    probe.check(finished, engine)
    if not request.compile or (finished.engine == "pyfunc" and description.loader not in _FOREIGN):
        return finished, engine
    return _compiled(finished, engine, request), engine


_FOREIGN = frozenset({"mlflow.xgboost", "mlflow.lightgbm"})
"""Flavors other than scikit-learn's with rules of their own."""


def _compiled(plan: ScorerPlan, engine: Any, request: BuildRequest) -> ScorerPlan:
    from samovar.scoring.lowering import lower  # noqa: PLC0415 - scikit-learn, which only a builder of such a model loads

    compiled: Any
    done, compiled = lower(plan, engine, request.files)
    if compiled is not None:
        probe.check(done, compiled)
    return done


def _draft(request: BuildRequest, description: mlmodel.MLmodel) -> ScorerPlan:
    engine, why = _engine(description)
    signature = description.signature
    return ScorerPlan(
        format=plans.FORMAT,
        model=request.model,
        version=request.version,
        label=request.label,
        run_id=request.run_id,
        digest=_digest(request.files),
        engine=engine,
        trusted=request.trusted,
        files=_files(request.files, description, engine),
        model_file="" if engine == "pyfunc" else description.model_file,
        contract=_contract(request, signature),
        signature=signature.columns,
        params=signature.params,
        example=probe.records(request.files, description),
        probe=_small(probe.body(request.files, description)),
        tensor=signature.tensor,
        serialization=description.serialization,
        predict_fn=description.predict_fn,
        notes=why,
        maker=maker.name(request.environment),
    )


def _engine(description: mlmodel.MLmodel) -> tuple[Engine, str]:
    if description.loader not in _ENGINES:
        return "pyfunc", f"The flavor is loaded by {description.loader}, so mlflow's pyfunc answers."
    if description.code:
        return "pyfunc", "The model brings its own code files, so mlflow's pyfunc answers."
    if description.loader == "mlflow.sklearn" and not description.signature.plain:
        return "pyfunc", "The signature has nested types, so mlflow's pyfunc answers."
    return _ENGINES[description.loader]


_ENGINES: dict[str, tuple[Engine, str]] = {
    "mlflow.sklearn": ("sklearn", "A scikit-learn model, called without mlflow."),
    "mlflow.onnx": ("onnx", "An ONNX model, run by onnxruntime without mlflow."),
}
"""Flavors that are served without mlflow."""


def _files(files: dict[str, bytes], description: mlmodel.MLmodel, engine: Engine) -> dict[str, bytes]:
    """Return what the engine needs: of an ONNX model also the tensors, which mlflow writes beside it under names of its own."""
    if engine == "pyfunc":
        return files
    found = {description.model_file} & files.keys()
    if engine == "onnx" and found:
        from samovar.scoring.onnxfile import outside  # noqa: PLC0415 - protobuf, which only such a model needs

        folder = PurePosixPath(description.model_file).parent
        found |= {str(folder / name) for name in outside(files[description.model_file])}
    return {name: data for name, data in files.items() if name in found}


def _contract(request: BuildRequest, signature: mlmodel.Signature) -> ModelContract:
    """Take the contract that was logged with the version, else make one from the signature, else an empty one."""
    if document.PATH in request.files:
        try:
            return document.load(request.files[document.PATH])
        except ContractError as error:
            raise ModelError(error.message, remedy=error.remedy) from None
    try:
        rows = from_columns(request.model, [msgspec.to_builtins(column) for column in signature.columns])
    except ContractError:  # no column signature: /invocations only
        rows = ContractSpec(name=request.model, fields=())
    return ModelContract(contract=rows, response=default_response(rows, ()))


def _finish(draft: ScorerPlan, classes: tuple[Any, ...]) -> ModelContract:
    """Add what only the loaded model knows; a contract that contradicts the model is refused."""
    contract = draft.contract
    if contract.classes:
        if classes and tuple(contract.classes) != classes:
            raise ModelError("The contract's classes are not the model's.", remedy="Train and log the version again.")
        return contract
    if not classes:
        return contract
    positive = classes[1] if len(classes) == 2 else None
    response = contract.response if contract.project else default_response(contract.contract, classes)
    return msgspec.structs.replace(contract, classes=classes, positive=contract.positive or positive, response=response)


def _small(body: bytes) -> bytes:
    return body if len(body) <= _PROBE_LIMIT else b""


def _digest(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(files[name]).digest())
    return digest.hexdigest()
