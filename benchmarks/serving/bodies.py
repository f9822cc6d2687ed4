"""Rows into requests: each server gets them in the form its documentation recommends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BATCH = 10_000  # rows of a large request


@dataclass(frozen=True)
class Model:
    """A trained model, its unseen rows, and what it answers to them itself.

    Attributes:
        name: registered model.
        columns: input columns.
        rows: distinct rows.
        predictions: the model's own `predict`, a value a row.
        probabilities: the model's own `predict_proba`.
    """

    name: str
    columns: list[str]
    rows: list[list[Any]]
    predictions: list[Any]
    probabilities: list[list[float]]


def read(folder: Path, name: str) -> Model:
    """Read what the trainer wrote."""
    content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return Model(name, content["columns"], content["rows"], content["predictions"], content["probabilities"])


def split(model: Model, rows: Sequence[Sequence[Any]]) -> bytes:
    """MLflow's protocol, in the form its documentation recommends."""
    return _json({"dataframe_split": {"columns": model.columns, "data": rows}})


def record(model: Model, rows: Sequence[Sequence[Any]]) -> bytes:
    """One typed row."""
    return _json(dict(zip(model.columns, rows[0], strict=True)))


def table(model: Model, rows: Sequence[Sequence[Any]]) -> bytes:
    """Many rows for the hand-written server."""
    return _json({"columns": model.columns, "data": rows})


def poison(model: Model) -> list[bytes]:
    """Requests that no server may answer, each wrong in its own way; none is wrong only for one of the servers."""
    good = model.rows[0]
    found = [b'{"dataframe_split": {"columns": ["a"', b"[]", b"{}", _json({"dataframe_split": 7})]
    for index in range(len(good)):
        found += [split(model, [[*good[:index], wrong, *good[index + 1 :]]]) for wrong in ({"a": 1}, [[1.0]])]
        left = [column for column in model.columns if column != model.columns[index]]
        found.append(_json({"dataframe_split": {"columns": left, "data": [[*good[:index], *good[index + 1 :]]]}}))
    return found


def write_lines(path: Path, bodies: Sequence[bytes]) -> Path:
    """Write one body a line for the load generator."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(bodies) + b"\n")
    return path


def batches(model: Model, render: Callable[[Model, Sequence[Sequence[Any]]], bytes], count: int) -> list[tuple[int, bytes]]:
    """Return large requests that share no first row, with the row each starts at."""
    total = len(model.rows)
    starts = range(0, total, total // count)[:count]
    return [(start, render(model, [model.rows[(start + offset) % total] for offset in range(BATCH)])) for start in starts]


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
