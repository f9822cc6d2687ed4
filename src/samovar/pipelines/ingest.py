"""Ingest: rows from the project's source into a checked, immutable dataset; the rows that break the contract into quarantine."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl

from samovar.contracts import document
from samovar.contracts.check import Checked, check
from samovar.errors import DataError, SamovarError
from samovar.logs import get_logger
from samovar.pipelines import anomalies, steps
from samovar.project import Window
from samovar.store import content, datasets, quarantine

if TYPE_CHECKING:
    from samovar.pipelines.context import Context
    from samovar.project import Project

REFUSED_ITEMS = 1000
"""How many findings a refused dataset leaves in quarantine: enough to see what is wrong with the source, which has the rows."""

_PLAIN = (str, bool, dt.datetime, dt.date, dt.time)


_log = get_logger(__name__)


def ingest(ctx: Context, project: Project, window: Window | None = None) -> dict[str, Any]:
    """Read, check and store a project's rows.

    The same rows under the same contract are one dataset, however often they are ingested.

    Args:
        ctx: the world.
        project: whose source is read.
        window: span of event time that the source is asked for; None for everything.

    Returns:
        ``status`` (``done`` or ``unchanged``), ``project``, ``dataset`` (digest), ``rows``, ``rejected`` (rows), ``reasons``
        (``field: reason`` -> count), ``anomalies``, ``url`` of the snapshot and ``batch`` (digest of the raw rows).

    Raises:
        DataError: the source fails or gives no rows, a column is missing, or too many rows break the contract.
        StoreUnavailable: database or lake cannot be reached.
    """
    raw = _read(project, window or Window())
    batch = content.digest(raw)
    key = steps.step_key("ingest", project.name, batch, steps.code_digest(project), _rules(project))
    done = steps.run_once(ctx, "ingest", project.name, key, lambda: _store(ctx, project, raw, batch))
    if done.status == "unchanged" and ctx.lake.lacks(done.result["url"]):  # somebody deleted the file: the source has the rows
        ctx.lake.put(project.name, _check(project, raw).accepted)
    return {"status": done.status, **done.result}


def _check(project: Project, raw: pl.DataFrame) -> Checked:
    return check(raw, project.contract, target=project.target, time=project.time, carried=project.carried)


def _read(project: Project, window: Window) -> pl.DataFrame:
    try:
        rows: Any = project.source(window)
        frame = rows.collect() if isinstance(rows, pl.LazyFrame) else rows
    except SamovarError:
        raise
    except Exception as error:
        reason = (str(error).strip().split("\n", 1)[0] or "no message").rstrip(".")
        raise DataError(
            f"The source of project {project.name} failed: {type(error).__name__}: {reason}.", remedy="Mend the source function."
        ) from error
    if not isinstance(frame, pl.DataFrame):
        raise DataError(
            f"The source of project {project.name} returned a {type(frame).__name__}.", remedy="Return a polars frame from it."
        )
    if frame.is_empty():
        raise DataError(f"The source of project {project.name} gave no rows.", remedy="Check the source and the window.")
    return frame


def _rules(project: Project) -> str:
    """Return the digest of what decides how rows are checked; a new metric or candidate does not ask for new data."""
    return steps.digest_of([project.contract, project.target, project.time, project.carried, project.quality, project.drift.psi])


def _store(ctx: Context, project: Project, raw: pl.DataFrame, batch: str) -> dict[str, Any]:
    """Check and store; safe to be killed anywhere, since all it writes is known by its content."""
    checked = _check(project, raw)
    rejected = checked.bad_rows
    reasons = dict(Counter(f"{rejection.field}: {rejection.reason}" for rejection in checked.rejected).most_common())
    if checked.accepted.is_empty() or rejected / raw.height > project.quality.max_bad_share:
        _quarantine(ctx, project, batch, _items(raw, checked)[:REFUSED_ITEMS])
        raise _refusal(project, raw.height, rejected, reasons)
    items = _items(raw, checked)
    dataset = _dataset(ctx, project, checked.accepted, rejected)
    with ctx.db.begin() as connection:
        quarantine.add(connection, project.name, batch, items)
        datasets.add(connection, dataset)
    return {
        "project": project.name,
        "dataset": dataset.digest,
        "rows": dataset.rows,
        "rejected": rejected,
        "reasons": reasons,
        "anomalies": dataset.report["anomalies"],
        "url": dataset.url,
        "batch": batch,
    }


def _dataset(ctx: Context, project: Project, accepted: pl.DataFrame, rejected: int) -> datasets.Dataset:
    """Put the rows into the lake, and describe them against the dataset before; one that is known is described already."""
    digest = content.digest(accepted)
    with ctx.db.read() as connection:
        known = datasets.get(connection, project.name, digest)
        before = datasets.latest(connection, project.name, origin="source")
    if known is not None:
        return known
    contract = document.digest(project.contract)
    comparable = before is not None and before.contract == contract
    previous = _previous(ctx, before) if before is not None and comparable else None
    report = anomalies.report(accepted, project, previous)
    snapshot = ctx.lake.put(project.name, accepted)
    return datasets.Dataset(
        project=project.name,
        digest=digest,
        contract=contract,
        url=snapshot.url,
        rows=snapshot.rows,
        rejected=rejected,
        report={**report, "previous": before.digest if before is not None and comparable else None},
    )


def _previous(ctx: Context, before: datasets.Dataset) -> pl.DataFrame | None:
    """The dataset to compare with; a lost or moved snapshot costs the comparison, not the new rows."""
    try:
        return ctx.lake.read(before.url)
    except SamovarError as error:
        _log.warning("the dataset before cannot be read", project=before.project, reason=str(error))
        return None


def _quarantine(ctx: Context, project: Project, batch: str, items: list[quarantine.Item]) -> None:
    with ctx.db.begin() as connection:
        quarantine.add(connection, project.name, batch, items)


def _items(raw: pl.DataFrame, checked: Checked) -> list[quarantine.Item]:
    return [
        quarantine.Item(
            rejection.row_index,
            rejection.field,
            rejection.reason,
            {name: _plain(value) for name, value in raw.row(rejection.row_index, named=True).items()},
        )
        for rejection in checked.rejected
    ]


def _plain(value: Any) -> Any:
    """Return a raw value as JSON can hold it, and so that a person still sees what came."""
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value)


def _refusal(project: Project, rows: int, rejected: int, reasons: dict[str, int]) -> DataError:
    worst = "; ".join(f"{reason} ({count})" for reason, count in list(reasons.items())[:3])
    return DataError(
        f"{rejected} of {rows} rows of project {project.name} break the contract"
        f" (at most {project.quality.max_bad_share:.0%} may): {worst}.",
        remedy="Mend the source or the contract; the rows are in the table quarantine.",
    )
