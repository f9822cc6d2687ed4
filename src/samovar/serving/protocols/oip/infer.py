"""The protocol's routes: what the model is, whether it is ready, and ``infer``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

import samovar
from samovar.errors import NotFound
from samovar.scoring.forms.layout import Layout, NotPlain
from samovar.serving import errors
from samovar.serving.jobs import Job
from samovar.serving.protocols.answers import Scored
from samovar.serving.protocols.oip import write
from samovar.serving.protocols.oip.read import read
from samovar.serving.protocols.oip.tensors import datatype_of
from samovar.serving.wire import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.jobs import Answers, Row, Stages, Together
    from samovar.serving.traffic.frames import How

ACCEPTED = ("application/json", "application/octet-stream", "")
"""Triton's own client names no media type."""

_DATATYPES = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "binary": "BYTES",
    "datetime": "BYTES",
}


class Infer:
    """Answers ``infer``; a `samovar.serving.jobs.Handler`.

    Args:
        plan: the version.
        engine: who answers.
    """

    accepted: tuple[str, ...] = ACCEPTED
    how: How = "columns"
    quick: Callable[[bytes], Row | None] | None = None
    stages: Stages | None = None
    together: Together | None = None

    def __init__(self, plan: ScorerPlan, engine: Engine) -> None:
        self._layout = Layout(plan)
        self._head = {"model_name": plan.model, "model_version": str(plan.version)}
        self._outputs = _outputs(engine)

    def decode(self, body: bytes, media: str, headers: Mapping[bytes, bytes]) -> Job:  # noqa: ARG002 - the header tells
        """See `samovar.serving.jobs.Handler`."""
        if not self._layout.columns:
            raise NotFound("This model has no signature of plain columns.", remedy="Use /invocations.")
        try:
            asked, columns = read(body, headers, self._layout)
        except NotPlain:
            raise NotFound("This model tells apart what was not sent.", remedy="Send every input, or use /invocations.") from None
        names = write.wanted(asked, self._outputs)
        finish: Callable[[Any], bytes | Response] = lambda scored: write.answer(scored, asked, names, self._signed(scored))  # noqa: E731
        return Job(columns, len(columns[0]), _scored, finish)

    def _signed(self, scored: Scored) -> dict[str, Any]:
        """Name the version that answered; where several did, the header says which ones."""
        voice = scored.voices[0] if scored.voices else None
        if voice is None or any(other != voice for other in scored.voices or ()):
            return self._head
        return {**self._head, "model_version": str(voice.version)}

    def error(self, error: Exception) -> Response:
        """See `samovar.serving.jobs.Handler`."""
        return refusal(error)


def refusal(error: Exception) -> Response:
    """Return an error in the protocol's shape."""
    said = errors.describe(error)
    text = f"{said.path}: {said.message}" if said.path else said.message
    return Response(said.status, msgspec.json.encode({"error": text}), headers=said.headers)


def paths(plan: ScorerPlan) -> tuple[str, str]:
    """Return the model's two paths: as it is, and by its version."""
    model = f"/v2/models/{plan.model}"
    return model, f"{model}/versions/{plan.version}"


def pages(plan: ScorerPlan) -> dict[str, Response]:
    """Return the routes that never ask the model."""
    server = {"name": "samovar", "version": samovar.__version__, "extensions": ["binary_tensor_data"]}
    found = {"/v2": _page(server), "/v2/health/live": _page({"live": True}), "/v2/health/ready": _page({"ready": True})}
    for path in paths(plan):
        found[path] = _page(metadata(plan))
        found[f"{path}/ready"] = _page({"name": plan.model, "ready": True})
    return found


def metadata(plan: ScorerPlan) -> dict[str, Any]:
    """Return what the protocol says of a model."""
    layout = Layout(plan)
    if layout.named:
        inputs = [_tensor(column.name, _DATATYPES[column.type], [-1]) for column in layout.columns]
    else:
        shape = [-1] if layout.texts else [-1, len(layout.columns)]
        inputs = [_tensor("input-0", _DATATYPES[column.type], shape) for column in layout.columns[:1]]
    classes = plan.contract.classes
    labels = classes or (plan.program.answer.classes if plan.program is not None else ())
    outputs = [_tensor(write.LABELS, datatype_of(labels[0]) if labels else "FP64", [-1])]
    if classes:
        outputs.append(_tensor(write.PROBABILITIES, "FP64", [-1, len(classes)]))
    head = {"name": plan.model, "versions": [str(plan.version)], "platform": f"samovar_{plan.engine}"}
    return {**head, "inputs": inputs, "outputs": outputs}


def _outputs(engine: Engine) -> tuple[str, ...]:
    return (write.LABELS, write.PROBABILITIES) if engine.classes else (write.LABELS,)


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _page(value: Any) -> Response:
    return Response(200, msgspec.json.encode(value))


def _scored(engine: Engine, columns: Sequence[Sequence[Any]], _params: Mapping[str, Any]) -> Answers:
    return Scored.of(engine.columns(columns))
