"""Pipeline runs: which step has been done on what, so that doing it again changes nothing."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from samovar.store import query
from samovar.store.tables import pipeline_runs

if TYPE_CHECKING:
    import datetime as dt


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRun:
    """One step on one dataset with one code and one declaration.

    Attributes:
        key: digest of (step, project, dataset, code, settings).
        step: ``ingest``, ``train``, ...
        project: the project.
        status: ``running`` also after a kill; ``done`` is final.
        attempts: how often it was begun.
        result: what the step returned, once done.
        error: why the last attempt failed.
        started_at: when the last attempt began.
        finished_at: when it ended.
    """

    key: str
    step: str
    project: str
    status: Literal["running", "done", "failed"] = "running"
    attempts: int = 1
    result: dict[str, Any] | None = None
    error: str | None = None
    started_at: dt.datetime = dataclasses.field(default_factory=query.now)
    finished_at: dt.datetime | None = None


def begin(connection: sa.Connection, key: str, step: str, project: str) -> PipelineRun:
    """Begin a step; the caller looks at ``status``: one that is ``done`` has its result and must not be done again."""
    run = PipelineRun(key=key, step=step, project=project)
    if query.insert(connection, pipeline_runs, dataclasses.asdict(run)):
        return run
    again = sa.update(pipeline_runs).where(pipeline_runs.c.key == key, pipeline_runs.c.status != "done")
    connection.execute(
        again.values(
            status="running", attempts=pipeline_runs.c.attempts + 1, error=None, started_at=run.started_at, finished_at=None
        )
    )
    return get(connection, key) or run


def finish(connection: sa.Connection, key: str, result: dict[str, Any]) -> None:
    """Note that the step is done, and what it returned."""
    _end(connection, key, status="done", result=result, error=None)


def fail(connection: sa.Connection, key: str, error: str) -> None:
    """Note why the step failed; it may be begun again."""
    _end(connection, key, status="failed", error=error)


def forget(connection: sa.Connection, key: str) -> None:
    """Delete a run, so that its step may be done again."""
    connection.execute(sa.delete(pipeline_runs).where(pipeline_runs.c.key == key))


def get(connection: sa.Connection, key: str) -> PipelineRun | None:
    """Return the run with this key."""
    return query.first(connection, PipelineRun, query.select(pipeline_runs, PipelineRun).where(pipeline_runs.c.key == key))


def list_(connection: sa.Connection, project: str) -> list[PipelineRun]:
    """Return the project's runs, oldest first."""
    statement = query.select(pipeline_runs, PipelineRun).where(pipeline_runs.c.project == project)
    return query.all_(connection, PipelineRun, statement.order_by(pipeline_runs.c.id))


def _end(connection: sa.Connection, key: str, **values: Any) -> None:
    # A run that is done stays so: a slow twin of it must not turn it into a failed one.
    statement = sa.update(pipeline_runs).where(pipeline_runs.c.key == key, pipeline_runs.c.status != "done")
    connection.execute(statement.values(finished_at=query.now(), **values))
