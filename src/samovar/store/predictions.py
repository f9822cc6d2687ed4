"""Predictions: one row per (model version, dataset, row), whoever computed it and however often."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from samovar.store import query
from samovar.store.tables import predictions

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One prediction.

    Attributes:
        project: whose dataset.
        model: registered model.
        version: its version.
        role: ``champion``, or ``shadow`` when nobody acts on it.
        dataset: digest of the dataset.
        row_index: position in the dataset, from 0.
        key: the row's key; empty when the contract has none.
        prediction: the predicted label, as text.
        probability: of the positive class, or of the predicted one; None when the model gives none.
        created_at: when it was computed.
    """

    project: str
    model: str
    version: int
    role: Literal["champion", "shadow"]
    dataset: str
    row_index: int
    prediction: str
    key: str = ""
    probability: float | None = None
    created_at: dt.datetime = dataclasses.field(default_factory=query.now)


def add(connection: sa.Connection, rows: Sequence[Prediction]) -> None:
    """Store predictions in bulk; those of a known (model, version, dataset, row) stay as they are."""
    # The dictionary is made by hand: dataclasses.asdict copies deeply and takes ten times as long.
    query.insert_many(connection, predictions, [{name: getattr(row, name) for name in _NAMES} for row in rows])


def count(  # noqa: PLR0913 - what may be counted by
    connection: sa.Connection,
    *,
    project: str | None = None,
    model: str | None = None,
    version: int | None = None,
    dataset: str | None = None,
    role: str | None = None,
) -> int:
    """Count the predictions that match all that is given."""
    wanted = {"project": project, "model": model, "version": version, "dataset": dataset, "role": role}
    where = [predictions.c[name] == value for name, value in wanted.items() if value is not None]
    return connection.scalar(sa.select(sa.func.count()).select_from(predictions).where(*where)) or 0


def of(connection: sa.Connection, model: str, version: int, dataset: str) -> list[Prediction]:
    """Return a version's predictions for a dataset, in the order of its rows."""
    table: Any = predictions.c
    statement = query.select(predictions, Prediction).where(
        table.model == model, table.version == version, table.dataset == dataset
    )
    return query.all_(connection, Prediction, statement.order_by(table.row_index))


_NAMES = tuple(field.name for field in dataclasses.fields(Prediction))
