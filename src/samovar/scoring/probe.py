"""A model's own input example: read from its files, asked of its engine before any client asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from samovar.errors import ModelError, RequestError
from samovar.scoring.forms import reader

if TYPE_CHECKING:
    from samovar.scoring.engine import Engine
    from samovar.scoring.mlmodel import MLmodel
    from samovar.scoring.plan import ScorerPlan

_ROWS = 3  # rows of the example that documentation shows


def body(files: dict[str, bytes], description: MLmodel) -> bytes:
    """Return the input example as a body of ``/invocations``; empty when the model has none."""
    if description.probe_file in files:
        return files[description.probe_file]
    table = _table(files, description)
    return msgspec.json.encode({"dataframe_split": table}) if table else b""


def records(files: dict[str, bytes], description: MLmodel) -> tuple[dict[str, Any], ...]:
    """Return the first rows of a tabular input example."""
    table = _table(files, description)
    if not table:
        return ()
    return tuple(dict(zip(table["columns"], row, strict=False)) for row in table["data"][:_ROWS])


def _table(files: dict[str, bytes], description: MLmodel) -> dict[str, Any]:
    data = files.get(description.example_file)
    if not data:
        return {}
    try:
        table = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return {}
    named = isinstance(table, dict) and table.keys() >= {"columns", "data"}
    return {"columns": [str(name) for name in table["columns"]], "data": table["data"]} if named else {}


def check(plan: ScorerPlan, engine: Engine) -> None:
    """Ask the model its own input example, in MLflow's protocol and in the typed one.

    Raises:
        ModelError: it does not answer.
    """
    try:
        if plan.probe:
            reader.ask(engine, plan, plan.probe)
        if plan.example and plan.contract.contract.fields and plan.example[0].keys() >= _features(plan):
            engine.score({name: [row.get(name) for row in plan.example] for name in plan.example[0]})
    except (RequestError, ModelError) as error:
        raise ModelError(
            f"The model does not answer its own input example: {error.message}",
            remedy="Log it with an input example that fits its signature.",
        ) from error


def _features(plan: ScorerPlan) -> set[str]:
    return {field.name for field in plan.contract.contract.features}
