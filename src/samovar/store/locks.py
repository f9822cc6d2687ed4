"""Named locks that their holder's death frees: files for SQLite, session locks for PostgreSQL."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from samovar.errors import Conflict, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_POLL_SECONDS = 0.05

_held: set[int] = set()
"""Descriptors that stand for locks of this process."""


def _let_go_in_child() -> None:
    """Take the locks' descriptors from a forked child, or the lock would outlive a parent that was killed.

    They are replaced, not closed: a closed number would be given to the child's next file, and its copy of a database connection
    would write there.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in _held:
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@contextlib.contextmanager
def _holding(descriptor: int) -> Iterator[None]:
    _held.add(descriptor)
    try:
        yield
    finally:
        _held.discard(descriptor)


class FileLocks:
    """Locks of one host: ``flock`` on a file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def hold(self, name: str, wait_seconds: float) -> Iterator[None]:
        """Hold the lock; raises Conflict when another holds it for all of ``wait_seconds``."""
        descriptor = self._open(name)
        try:
            with _holding(descriptor):
                _wait(lambda: _flock(descriptor), name, wait_seconds)
                yield
        finally:
            os.close(descriptor)  # frees the lock; the file stays, since removing it would race with whoever waits for it

    def _open(self, name: str) -> int:
        path = self._folder / hashlib.sha256(name.encode()).hexdigest()[:16]
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(
                f"The lock folder {self._folder} cannot be written ({error.strerror}).",
                remedy="Make the folder writable, or set SAMOVAR_HOME to one that is.",
            ) from None


class SessionLocks:
    """Locks of all hosts that use one PostgreSQL: advisory locks, each held by a connection of its own."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @contextlib.contextmanager
    def hold(self, name: str, wait_seconds: float) -> Iterator[None]:
        """Hold the lock; raises Conflict when another holds it for all of ``wait_seconds``."""
        number = lock_number(name)
        # Autocommit: a transaction left open for the minutes of a training would keep PostgreSQL from cleaning up.
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            _wait(lambda: bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(number)))), name, wait_seconds)
            try:
                with _holding(_socket_of(connection)):
                    yield
            finally:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(number)))


def serialise(connection: sa.Connection, name: str) -> None:
    """Let no other transaction that names the same thing go on until this one ends.

    A SQLite transaction is alone from its start; PostgreSQL needs to be told.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock_number(name))))


def lock_number(name: str) -> int:
    """Return the 64-bit number by which PostgreSQL knows the lock ``name``."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def _socket_of(connection: sa.Connection) -> int:
    descriptor: int = connection.connection.dbapi_connection.fileno()  # type: ignore[union-attr] # psycopg2's, not DBAPI's
    return descriptor


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(attempt: Callable[[], bool], name: str, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while not attempt():
        if time.monotonic() >= deadline:
            raise Conflict(
                f"Another process has been at {name} for {wait_seconds:.0f} s.", remedy="Wait until it ends, or stop it."
            )
        time.sleep(_POLL_SECONDS)
