"""The app database: SQLite inside the state folder by default, PostgreSQL by URL.

A transaction is ``with database.begin() as connection``; the repositories beside this module take that connection. Opening the
database brings its tables up to date. Every failure to reach it is a `StoreUnavailable` that shows no password.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import event, exc

from samovar.errors import SettingsError, StoreUnavailable
from samovar.store import schema, urls
from samovar.store.locks import FileLocks, SessionLocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from samovar.settings import Settings

BUSY_SECONDS = 15.0
"""How long a SQLite writer waits for another; transactions here last milliseconds."""
CONNECT_SECONDS = 5
"""How long a connection to PostgreSQL may take."""

_PAGE = 16 * 2**10  # bytes: the prediction log comes by the megabyte, and a page costs some system calls whatever its size


class Database:
    """An open app database.

    Safe to use from several threads. SQLite keeps no connection between transactions, so that a process may fork at any time.
    """

    def __init__(self, engine: sa.Engine, locks: FileLocks | SessionLocks, place: str) -> None:
        self._engine = engine
        self._locks = locks
        self.place = place
        """Where the database is, for people: a path, or host and database name."""

    @property
    def local(self) -> bool:
        """Whether all its users are on this host (SQLite)."""
        return self._engine.dialect.name == "sqlite"

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Open a transaction: committed at the end, rolled back on an error.

        SQLite takes its write lock here, not at the first write: a reader that turns into a writer could not wait for its turn.

        Raises:
            StoreUnavailable: the database cannot be reached, or stayed locked.
        """
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that only reads: it waits for no writer.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        with self._translated(), self._engine.connect().execution_options(reads_only=True) as connection:
            yield connection

    @contextlib.contextmanager
    def lock(self, name: str, *, wait_seconds: float = 600.0) -> Iterator[None]:
        """Hold the lock called ``name`` among all users of this database; the death of its holder frees it.

        Raises:
            Conflict: somebody else held it for all of ``wait_seconds``.
            StoreUnavailable: the database cannot be reached, or went away meanwhile and took the lock with it.
        """
        with self._translated(), self._locks.hold(name, wait_seconds):
            yield

    def close(self) -> None:
        """Give back pooled connections; the database may be used again afterwards."""
        self._engine.dispose()

    def _translated(self) -> contextlib.AbstractContextManager[None]:
        return translated(self.place)


def open_database(settings: Settings) -> Database:
    """Open the app database, made and migrated as needed.

    Raises:
        SettingsError: the database URL is wrong, or its driver is not installed.
        StoreUnavailable: it cannot be reached, or its folder cannot be written.
        Conflict: a newer Samovar has migrated it.
    """
    url = urls.database_url(settings)
    place = urls.describe(url)
    with translated(place):
        database = _open_sqlite(url, place) if url.get_backend_name() == "sqlite" else _open_postgresql(url, place)
        schema.migrate(database._engine, lambda: database.lock("migrate"))  # noqa: SLF001 - the one other place that may know it
    return database


def _open_sqlite(url: sa.URL, place: str) -> Database:
    path = urls.sqlite_path(url)
    _create_private(path)
    engine = sa.create_engine(url, poolclass=sa.NullPool, json_serializer=_to_json, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Database(engine, FileLocks(path.parent / "locks"), place)


def _create_private(path: Path) -> None:
    """Make the file before SQLite does: it holds rows of people, and SQLite would make it readable for everybody."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"The app database {path} cannot be written ({error.strerror}).",
            remedy="Make the folder writable, or set SAMOVAR_HOME to one that is.",
        ) from None


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not open transactions of its own: `_begin_sqlite` does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA page_size={_PAGE}")  # only of a database that has no page yet
    cursor.execute("PRAGMA journal_mode=WAL")  # readers and a writer do not wait for each other
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def _open_postgresql(url: sa.URL, place: str) -> Database:
    try:
        engine = sa.create_engine(
            url,
            json_serializer=_to_json,
            executemany_mode="values_plus_batch",  # bulk inserts that skip known rows: a hundred a round trip, not one
            pool_pre_ping=True,  # a server that was restarted costs nobody an error
            connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "samovar"},
        )
    except ModuleNotFoundError:
        raise SettingsError(
            "The database URL names PostgreSQL, whose driver is not installed.", remedy="Install samovar[postgres]."
        ) from None
    event.listen(engine, "handle_error", _leave_reader)
    return Database(engine, SessionLocks(engine), place)


_READ_ONLY = "25006"
"""PostgreSQL's ``read_only_sql_transaction``."""


def _leave_reader(context: sa.ExceptionContext) -> None:
    """Let go of a server that only reads since another took its place: its connections would be found alive for ever."""
    if getattr(context.original_exception, "pgcode", None) == _READ_ONLY:
        context.is_disconnect = True


_OURS = (exc.DataError, exc.IntegrityError, exc.ProgrammingError, exc.NotSupportedError)
"""Mistakes of ours: a constraint, a wrong statement. The rest is the database's: away, full, without a free connection, or (an
``InternalError``) one that only reads since another server took its place."""


@contextlib.contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn the driver's failures into `StoreUnavailable`."""
    try:
        yield
    except (exc.DatabaseError, exc.InterfaceError, exc.TimeoutError) as error:
        if isinstance(error, _OURS):
            raise
        reason = str(getattr(error, "orig", None) or error).strip().split("\n", 1)[0]
        raise StoreUnavailable(
            f"The app database ({place}) cannot be used: {reason}.",
            remedy="Check that it runs, and that SAMOVAR_DATABASE_URL and POSTGRES_PASSWORD are right.",
        ) from None


def _to_json(value: Any) -> str:
    """Encode JSON columns: times as ISO 8601, NumPy scalars as numbers, NaN (which JSON has not) as null."""
    return msgspec.json.encode(value, enc_hook=_plain).decode()


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} does not go into a JSON column")
