"""What every step works with: settings, app database, lake and registry, opened together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from samovar import addresses
from samovar import settings as settings_module
from samovar.errors import RetryLater
from samovar.registry.client import Registry
from samovar.store.database import Database, open_database
from samovar.store.lake import Lake, open_lake

if TYPE_CHECKING:
    from types import TracebackType

    from samovar.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """The outside world of a step. Use it as a context manager, or close it."""

    settings: Settings
    db: Database
    lake: Lake
    registry: Registry

    def close(self) -> None:
        """Give back the connections."""
        self.db.close()
        self.registry.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def open_context(settings: Settings | None = None) -> Context:
    """Open the world that the settings name; the registry and the lake are reached when they are first used.

    Raises:
        SettingsError: a setting is wrong.
        StoreUnavailable: the app database cannot be reached.
    """
    settings = settings or settings_module.get()
    return Context(
        settings=settings,
        db=open_database(settings),
        lake=open_lake(settings),
        registry=Registry(_tracking_uri(settings), settings.mlflow_timeout),
    )


def _tracking_uri(settings: Settings) -> str | None:
    """Where MLflow is; None (the registry then says so when it is used) rather than an error, since ingest needs no MLflow."""
    try:
        return addresses.tracking_uri(settings)
    except RetryLater:
        return None
