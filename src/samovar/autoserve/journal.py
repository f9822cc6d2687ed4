"""What autoserve writes down in the app database. The endpoints do not depend on it: without a database it is written later."""

from __future__ import annotations

import collections
import datetime as dt
import hashlib
import threading
from typing import TYPE_CHECKING, Any

from samovar.errors import SamovarError
from samovar.logs import get_logger
from samovar.store import decisions, events, trust
from samovar.store.decisions import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from samovar.autoserve.plan import Key
    from samovar.store.database import Database
    from samovar.store.decisions import Standing

log = get_logger(__name__)

_KEPT_EVENTS = 20_000
"""Events that wait for the database: the start of ten thousand endpoints, some 10 MB."""


class Journal:
    """Records events and alias moves made elsewhere, and reads who is trusted.

    Args:
        open_database: opens the app database; called when it is first needed, and again until it succeeds.
        current: reads where an alias points now, None when it is gone; raises ``RetryLater`` when the registry is away.
    """

    def __init__(self, open_database: Callable[[], Database], current: Callable[[Key], int | None]) -> None:
        self._open = open_database
        self._current = current
        self._db: Database | None = None
        self._seen: dict[Key, int | None] = {}
        self._events: collections.deque[events.Event] = collections.deque(maxlen=_KEPT_EVENTS)
        self._complained = False
        self._opening = threading.Lock()
        self._noting = threading.Lock()

    def trusted(self, model: str, version: int) -> bool:
        """Whether a person trusted the version; nobody did when the database cannot be asked."""
        try:
            with self.database().read() as connection:
                return trust.is_trusted(connection, model, version)
        except SamovarError as error:
            self._complain(error)
            return False

    def event(self, kind: str, key: Key | None = None, *, alarm: bool = False, **detail: Any) -> None:
        """Note an event; ``flush`` writes it."""
        model, alias = key if key is not None else ("", "")
        with self._noting:
            self._events.append(events.Event(kind=kind, model=model, alias=alias, detail=detail, alarm=alarm))

    def observe(self, aliases: Mapping[Key, int | None]) -> None:
        """Take note of where aliases point (None: it was deleted), and record the moves that Samovar did not make.

        What did not change since it was last seen costs a look into memory; all that did, a few queries together.
        """
        changed = {key: version for key, version in aliases.items() if self._seen.get(key, -1) != version}
        if not changed:
            return
        try:
            with self.database().read() as connection:
                standings = decisions.standings(connection, {key.model for key in changed})
            moves = {key: version for key, version in changed.items() if not _explained(standings.get(key), version)}
            # The listing may be older than the decisions just read: only what still holds is a move made elsewhere.
            moves = {key: at for key, at in moves.items() if key not in standings or self._current(key) == at}
            if moves:
                self._record(moves, standings)
            self._seen |= {key: at for key, at in changed.items() if key in moves or _explained(standings.get(key), at)}
            self._complained = False
        except SamovarError as error:
            self._complain(error)

    def flush(self) -> None:
        """Write the events that were noted, as of when they happened; those that cannot be written stay."""
        with self._noting:
            pending, self._events = self._events, collections.deque(maxlen=_KEPT_EVENTS)
        if not pending:
            return
        try:
            with self.database().begin() as connection:
                events.put_many(connection, pending)
            self._complained = False
        except SamovarError as error:
            with self._noting:
                self._events = collections.deque([*pending, *self._events], maxlen=_KEPT_EVENTS)
            self._complain(error)

    def close(self) -> None:
        """Give the database back."""
        if self._db is not None:
            self._db.close()

    def database(self) -> Database:
        """Return the app database, opened when it is first needed; raises ``SamovarError`` while it cannot be."""
        with self._opening:
            if self._db is None:
                self._db = self._open()
            return self._db

    def _record(self, moves: Mapping[Key, int | None], standings: Mapping[tuple[str, str], Standing]) -> None:
        made = [_external(key, version, standings.get(key)) for key, version in moves.items()]
        with self.database().begin() as connection:
            decisions.record_many(connection, made)
        for key, decision in zip(moves, made, strict=True):
            self.event("external_move", key, version=decision.to_version, before=decision.from_version)

    def _complain(self, error: SamovarError) -> None:
        if not self._complained:
            log.warning("the journal waits", reason=str(error))
        self._complained = True


def _explained(standing: Standing | None, version: int | None) -> bool:
    """Whether a decision says that the alias stands there: applied, or recorded and about to be."""
    last = standing.applied if standing is not None else None
    if last is None and version is None:
        return True
    if last is not None and last.to_version == version:
        return True
    newest = standing.newest if standing is not None else None
    return newest is not None and newest.verdict == "approved" and newest.applied_at is None and newest.to_version == version


def _external(key: Key, version: int | None, standing: Standing | None) -> Decision:
    last = standing.applied if standing is not None else None
    now = dt.datetime.now(dt.UTC)
    parts = [*key, str(version), last.key if last else ""]
    return Decision(
        key=hashlib.sha256("\0".join(["external", *parts]).encode()).hexdigest(),
        kind="external",
        model=key.model,
        alias=key.alias,
        from_version=last.to_version if last else None,
        to_version=version,
        verdict="approved",
        reason="The alias was moved in the registry, not by Samovar." if version else "The alias was deleted in the registry.",
        actor="unknown",
        created_at=now,
        applied_at=now,
    )
