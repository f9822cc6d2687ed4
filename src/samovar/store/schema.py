"""Brings a database's tables up to date (Alembic); `samovar.store.migrations` holds the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from samovar.errors import Conflict
from samovar.store.migrations import HEAD

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable


def migrate(engine: sa.Engine, lock: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
    """Apply the migrations that are missing, all of them or none, one process at a time.

    Raises:
        Conflict: the database was migrated by a newer Samovar.
    """
    if revision(engine) == HEAD:  # the usual case costs one query and does not import Alembic (0.2 s)
        return
    with lock():
        _upgrade(engine)


def revision(engine: sa.Engine) -> str | None:
    """Return the migration that the database stands at; None when it has no tables yet."""
    with engine.connect().execution_options(reads_only=True) as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        return found


def _upgrade(engine: sa.Engine) -> None:
    from alembic import command  # noqa: PLC0415 - only a database that is behind pays for the import
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "samovar.store:migrations")
    config.set_main_option("path_separator", "os")
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError:
        raise Conflict(
            "The app database was migrated by a newer Samovar.", remedy="Install that Samovar, or use another SAMOVAR_HOME."
        ) from None
