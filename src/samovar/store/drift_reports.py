"""Drift reports: one per (model version, dataset, policy)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from samovar.store import query
from samovar.store.tables import drift_reports

if TYPE_CHECKING:
    import datetime as dt

    import sqlalchemy as sa


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """One drift report.

    Attributes:
        project: whose dataset.
        model: registered model.
        version: the version whose reference profile was the yardstick.
        dataset: digest of the dataset that was compared with it.
        settings: digest of the drift policy.
        verdict: ``ok``, ``alarm`` or ``too_few_rows``.
        worst_psi: the largest population stability index of a feature.
        report: the whole report.
        folder: where ``drift_report.csv``, ``.json`` and ``.html`` are.
        created_at: when it was made.
    """

    project: str
    model: str
    version: int
    dataset: str
    settings: str
    verdict: Literal["ok", "alarm", "too_few_rows"]
    worst_psi: float
    report: dict[str, Any]
    folder: str
    created_at: dt.datetime = dataclasses.field(default_factory=query.now)


def add(connection: sa.Connection, report: StoredReport) -> StoredReport:
    """Store a report and return it; where one of the same version, dataset and policy is known, return that one."""
    query.insert(connection, drift_reports, dataclasses.asdict(report))
    return get(connection, report.model, report.version, report.dataset, report.settings) or report


def get(connection: sa.Connection, model: str, version: int, dataset: str, settings: str) -> StoredReport | None:
    """Return the report of a version on a dataset under a policy."""
    table: Any = drift_reports.c
    statement = query.select(drift_reports, StoredReport).where(
        table.model == model, table.version == version, table.dataset == dataset, table.settings == settings
    )
    return query.first(connection, StoredReport, statement)


def latest(connection: sa.Connection, project: str) -> StoredReport | None:
    """Return the project's newest report."""
    statement = query.select(drift_reports, StoredReport).where(drift_reports.c.project == project)
    return query.first(connection, StoredReport, statement.order_by(drift_reports.c.id.desc()))


def list_(connection: sa.Connection, project: str) -> list[StoredReport]:
    """Return the project's reports, oldest first."""
    statement = query.select(drift_reports, StoredReport).where(drift_reports.c.project == project)
    return query.all_(connection, StoredReport, statement.order_by(drift_reports.c.id))
