"""A whole graph: its one input in, its outputs as MLflow names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import lower_operator, predict
from samovar.scoring.compiler.rules.onnx.flow import Cells, Chosen, Flow, Maps, Numbers
from samovar.scoring.compiler.values import Frame
from samovar.scoring.program import Answer, Output

if TYPE_CHECKING:
    from samovar.scoring.compiler.rules.onnx.flow import Held
    from samovar.scoring.compiler.values import Draft, Value
    from samovar.scoring.onnxfile import Graph, Port
    from samovar.scoring.program import ColumnKind

_TAKES: dict[str, frozenset[ColumnKind]] = {
    "float": frozenset({"float32", "float64"}),
    "int64": frozenset({"int64"}),
    "int32": frozenset({"int32"}),
    "string": frozenset({"str"}),
    "bool": frozenset({"bool"}),
}
"""What an input of each type is given; mlflow rounds float64 to float32, and nothing else is cast."""


@predict("samovar.scoring.onnxfile.graph.Graph")
def graph(step: Graph, value: Value, draft: Draft) -> None:
    """Node after node."""
    assert isinstance(value, Frame)
    if len(step.inputs) != 1:
        raise NotLowered("The graph has several inputs.")
    draft.single = True
    flow = Flow(draft, {**step.known, step.inputs[0].name: _entry(step.inputs[0], value)})
    for node in step.nodes:
        lower_operator(node, flow)
    draft.answer = _answer(step, [_numbers(flow, port) for port in step.outputs])


def _entry(port: Port, frame: Frame) -> Cells:
    if not set(frame.kinds) <= _TAKES.get(port.kind, frozenset()):
        raise NotLowered(f"The graph's input is of {port.kind or 'an unusual type'}, and the signature has other columns.")
    if port.shape is None or len(port.shape) != 2 or port.shape[1] not in (None, frame.width) or port.shape[0] is not None:
        raise NotLowered("The graph's input is no matrix of any number of rows as wide as the signature.")
    return Cells(frame)


def _numbers(flow: Flow, port: Port) -> Held | None:
    held = flow.held.get(port.name)
    return flow.rounded(port.name, held) if isinstance(held, Cells) else held


def _answer(step: Graph, found: list[Held | None]) -> Answer:
    names = [port.name for port in step.outputs]
    match found:
        case [Numbers() as only]:
            return Answer(only.number, "value", outputs=(Output(names[0], "label", only.flat),))
        case [Chosen() as label]:
            return Answer(label.number, label.rule, label.classes, outputs=(Output(names[0], "label", label.flat),))  # type: ignore[arg-type]
        case [Chosen() as label, (Numbers() | Maps()) as shares]:
            if isinstance(shares, Numbers) and shares.width != len(label.classes):
                raise NotLowered("The graph's second output is not one number for each class.")
            holds = Output(names[1], "map" if isinstance(shares, Maps) else "shares", flat=False)
            if isinstance(shares, Maps) and shares.classes != label.classes:
                raise NotLowered("The graph's outputs name the classes in another order.")
            return Answer(label.number, label.rule, label.classes, shares.number, (Output(names[0], "label", label.flat), holds))  # type: ignore[arg-type]
        case _:
            raise NotLowered("The graph's outputs are no label, probabilities or numbers.")
