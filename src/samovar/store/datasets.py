"""Datasets: checked snapshots of a project's rows, newest last."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from samovar.store import query
from samovar.store.tables import datasets

if TYPE_CHECKING:
    import datetime as dt

    import sqlalchemy as sa

Origin = Literal["source", "injected"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One dataset.

    Attributes:
        project: whose rows.
        digest: SHA-256 of the accepted rows' content.
        origin: ``source``, or ``injected`` for one made by `samovar drift inject`.
        parent: digest of the dataset that an injected one came from.
        contract: digest of the contract it was checked against.
        url: its Parquet snapshot in the lake.
        rows: accepted rows.
        rejected: rows in quarantine.
        report: anomalies of the whole.
        created_at: when it was stored.
    """

    project: str
    digest: str
    contract: str
    url: str
    rows: int
    rejected: int = 0
    origin: Origin = "source"
    parent: str = ""
    report: dict[str, Any] = dataclasses.field(default_factory=dict)
    created_at: dt.datetime = dataclasses.field(default_factory=query.now)


def add(connection: sa.Connection, dataset: Dataset) -> None:
    """Store a dataset; one with the same project and digest stays as it is."""
    query.insert(connection, datasets, dataclasses.asdict(dataset))


def latest(connection: sa.Connection, project: str, *, origin: Origin | None = None) -> Dataset | None:
    """Return the project's newest dataset, of one origin if given."""
    statement = _of(project).order_by(datasets.c.id.desc())
    if origin is not None:
        statement = statement.where(datasets.c.origin == origin)
    return query.first(connection, Dataset, statement)


def get(connection: sa.Connection, project: str, digest_prefix: str) -> Dataset | None:
    """Return the newest dataset whose digest starts so."""
    statement = _of(project).where(datasets.c.digest.startswith(digest_prefix, autoescape=True))
    return query.first(connection, Dataset, statement.order_by(datasets.c.id.desc()))


def list_(connection: sa.Connection, project: str) -> list[Dataset]:
    """Return the project's datasets, oldest first."""
    return query.all_(connection, Dataset, _of(project).order_by(datasets.c.id))


def _of(project: str) -> sa.Select[Any]:
    return query.select(datasets, Dataset).where(datasets.c.project == project)
