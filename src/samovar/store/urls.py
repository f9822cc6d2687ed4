"""Where the app database is: the settings' URL, checked, completed and described for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy import exc

from samovar.errors import SettingsError

if TYPE_CHECKING:
    from samovar.settings import Settings

_POSTGRESQL = frozenset({"postgres", "postgresql", "postgresql+psycopg2"})
_REMEDY = "Use postgresql://user@host:5432/database or sqlite:////folder/file.db."


def database_url(settings: Settings) -> sa.URL:
    """Return the complete URL of the app database.

    Raises:
        SettingsError: the URL cannot be read, or names a database that Samovar does not know.
    """
    if settings.database_url is None:
        return sa.URL.create("sqlite", database=str(settings.state / "app.db"))
    return _checked("SAMOVAR_DATABASE_URL", settings.database_url, settings)


def study_url(settings: Settings) -> str | None:
    """Return the complete URL of the search's storage, password included; None keeps searches in memory. Raises SettingsError."""
    if settings.optuna_storage is None:
        return None
    return _checked("OPTUNA_STORAGE", settings.optuna_storage, settings).render_as_string(hide_password=False)


def _checked(variable: str, text: str, settings: Settings) -> sa.URL:
    try:
        url = sa.make_url(text)
    except (exc.ArgumentError, ValueError):
        raise SettingsError(f"{variable} is no database URL.", remedy=_REMEDY) from None
    if url.drivername in _POSTGRESQL:
        return _complete(url.set(drivername="postgresql+psycopg2"), settings)
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        if url.database in (None, "", ":memory:"):
            raise SettingsError(f"{variable} names no SQLite file.", remedy=_REMEDY)
        return url
    raise SettingsError(f"{variable} names a database that Samovar does not know.", remedy=_REMEDY)


def _complete(url: sa.URL, settings: Settings) -> sa.URL:
    if not url.username:
        url = url.set(username=settings.postgres_user)
    if not url.password and settings.postgres_password is not None:
        url = url.set(password=settings.postgres_password.get_secret_value())
    return url


def sqlite_path(url: sa.URL) -> Path:
    """Return the file of a SQLite URL."""
    return Path(url.database or "").expanduser().absolute()


def describe(url: sa.URL) -> str:
    """Return where a database is, without user, password or query."""
    if url.get_backend_name() == "sqlite":
        return str(sqlite_path(url))
    port = f":{url.port}" if url.port else ""
    return f"PostgreSQL {url.database} at {url.host or 'the local socket'}{port}"
