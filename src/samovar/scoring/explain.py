"""The builder explains a plan: see `samovar.scoring.explanation.Explanation`."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.scoring.engines.compiled import Runner
from samovar.scoring.explanation import Explanation, Node
from samovar.scoring.lowering import example_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.scoring.lowering import Native
    from samovar.scoring.plan import ScorerPlan
    from samovar.scoring.program import Program

_MANY = 1000
_SECONDS = 0.2  # spent on each measurement, at least three calls


def explain(plan: ScorerPlan, engine: Native) -> Explanation:
    """Explain a plan, given the open native model it was made from."""
    program = plan.program
    columns = tuple(f"{column.name or index}: {column.type}" for index, column in enumerate(plan.signature))
    said = Explanation(plan.engine, plan.notes, columns, tuple(steps(engine.model)), ties=plan.ties)
    if program is None:
        return said
    row = _row(plan, program)
    many = [[value] * _MANY for value in row]
    ask, runner = engine.columns, Runner(program)
    return msgspec.structs.replace(
        said,
        nodes=_nodes(program),
        native_row_us=_timed(lambda: ask([[value] for value in row])),
        row_us=_timed(lambda: runner.row(row)),
        native_many_us=_timed(lambda: ask(many)) / _MANY,
        many_us=_timed(lambda: runner.batch(many)) / _MANY,
    )


def _row(plan: ScorerPlan, program: Program) -> list[Any]:
    rows = example_rows(plan, program.columns)
    return rows[0] if rows else [{"str": "", "bool": False}.get(column.kind, 0.0) for column in program.columns]


def _nodes(program: Program) -> tuple[Node, ...]:
    first = len(program.columns)
    return tuple(
        Node(first + index, type(node).__name__, node.inputs, len(msgspec.msgpack.encode(node)))
        for index, node in enumerate(program.nodes)
    )


def _timed(call: Callable[[], Any]) -> float:
    """Return the median microseconds of a call."""
    times: list[float] = []
    deadline = time.perf_counter() + _SECONDS
    while len(times) < 3 or time.perf_counter() < deadline:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return round(median(times) * 1e6, 2)


def steps(model: Any, depth: int = 0) -> list[str]:
    """Return a fitted model's steps, one line each, nested ones indented."""
    lines = ["  " * depth + type(model).__name__]
    for inner in _inner(model):
        lines += steps(inner, depth + 1)
    return lines


def _inner(model: Any) -> list[Any]:
    for name in ("steps", "transformers_", "transformer_list"):
        held = getattr(model, name, None)
        if isinstance(held, list):
            return [part[1] for part in held if not isinstance(part[1], str) and part[1] is not None]
    for name in ("best_estimator_", "estimator_", "estimator"):
        if hasattr(getattr(model, name, None), "get_params"):
            return [getattr(model, name)]
    return []
