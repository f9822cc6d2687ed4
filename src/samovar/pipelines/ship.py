"""Ships what endpoints logged on their disks to the app database: each file once, then it is deleted."""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
from typing import TYPE_CHECKING, Any

from samovar import logs
from samovar.errors import StoreUnavailable
from samovar.serving.spool import folder as folder_
from samovar.serving.spool import reader
from samovar.store import prediction_log, query
from samovar.store.prediction_log import Features, LogRows, ShippedSegment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from samovar.serving.spool.records import Header
    from samovar.store.database import Database

_log = logs.get_logger(__name__)

_AT_ONCE = 1_000
"""Rows of one insert, and of one table of their values: a megabyte where they are texts."""


def ship(database: Database, folder: Path, *, keep_days: float = 30.0) -> dict[str, Any]:
    """Store every complete file of every endpoint, and delete it; delete what is too old in the database.

    A file and its name are stored in one transaction: killed at any moment and run again, or run twice at once, no row is stored
    twice and none is missing.

    Args:
        database: the app database.
        folder: holds a folder for each endpoint.
        keep_days: days that rows stay in the database.

    Returns:
        ``files``, ``requests`` and ``rows`` that were stored, ``broken`` files that cannot be read, ``failed`` files that the
        database refused (they stay), ``forgotten`` rows that were too old.

    Raises:
        StoreUnavailable: the database cannot be reached; whatever is not stored is still there.
    """
    done = {"files": 0, "requests": 0, "rows": 0, "broken": 0, "failed": 0}
    for endpoint in sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []:
        for path in reader.complete(endpoint):
            for name, amount in _ship_one(database, path).items():
                done[name] += amount
    return {"status": "done" if done["files"] else "unchanged", **done, "forgotten": _forget(database, keep_days)}


def _forget(database: Database, keep_days: float) -> int:
    """Delete what is too old; the database is locked for writing only when there is something."""
    before = query.now() - dt.timedelta(days=keep_days)
    with database.read() as connection:
        if not prediction_log.has_older(connection, before):
            return 0
    with database.begin() as connection:
        return prediction_log.forget(connection, before)


def _ship_one(database: Database, path: Path) -> dict[str, int]:
    try:
        stored = _store(database, path)
    except FileNotFoundError:  # another one was faster
        return {}
    except reader.NotASegment as error:
        _log.error("a file of the prediction log cannot be read", file=path.name, reason=str(error))
        return {"broken": 1} if _put_aside(path) else {}
    except (StoreUnavailable, KeyboardInterrupt):
        raise
    except Exception:  # noqa: BLE001 - one file that the database refuses must not hold up the others
        _log.exception("the database refuses a file of the prediction log", file=path.name)
        return {"failed": 1}
    path.unlink(missing_ok=True)
    return stored


def _put_aside(path: Path) -> bool:
    """Keep a file that cannot be read for a person to look at; False when another one was faster."""
    try:
        path.rename(path.with_suffix(folder_.BROKEN))
    except FileNotFoundError:
        return False
    return True


def _store(database: Database, path: Path) -> dict[str, int]:
    reading = reader.Reading(path)
    first = last = None
    requests = 0
    with _no_collection(), database.begin() as connection:
        shipment = prediction_log.begin(connection, _segment(reading.header))
        if shipment is None:  # stored, but its file was not deleted before the end came
            return {}
        for rows in reading.batches(_AT_ONCE):
            table = (rows.at, rows.request_ids, rows.row_indices, rows.routes)
            features = [Features(one.first, one.rows, dict(zip(reading.names, one.columns, strict=True))) for one in rows.tables]
            shipment.add(LogRows(*table, rows.keys, rows.labels, rows.probabilities, features))
            first, last, requests = first or rows.at[0], rows.at[-1], requests + rows.requests
        shipment.finish(requests=requests, torn=reading.torn, first_at=first, last_at=last)
    if reading.torn:  # what a killed worker was writing; nobody got those answers
        _log.warning("a file of the prediction log ends in the middle", file=path.name, end=reading.end, torn=reading.torn)
    return {"files": 1, "requests": requests, "rows": shipment.rows}


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from looking at every row again and again: they are in no cycle, and soon gone."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _segment(header: Header) -> ShippedSegment:
    fields = ([header.key] if header.key is not None else []) + list(header.fields)
    return ShippedSegment(
        segment=header.segment,
        project=header.project,
        model=header.model,
        alias=header.alias,
        version=header.version,
        role=header.role if header.role in {"shadow", "challenger"} else "champion",  # type: ignore[arg-type]
        contract=header.schema,
        fields=[[field.name, field.log] for field in fields],
        classes=list(header.classes),
    )
