"""How long moves take: from the round that saw an alias point to a version, to that version's first moment of answering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from samovar.autoserve.metrics.families import Histogram
from samovar.autoserve.plan import Key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from samovar.autoserve.status import EndpointStatus

BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds; 1 and 3 are the bounds of the promised median and p99."""

Kind = Literal["start", "swap"]


class _Move(NamedTuple):
    version: int
    seen: float
    kind: Kind


class Swaps:
    """Watches endpoints, and counts the seconds of each move once it is served. A move that another overtakes is not counted."""

    def __init__(self) -> None:
        self.seconds: dict[Kind, Histogram] = {"start": Histogram(BOUNDS), "swap": Histogram(BOUNDS)}
        self._wanted: dict[Key, int | None] | None = None
        self._moves: dict[Key, _Move] = {}

    @property
    def pending(self) -> int:
        """Moves that are not served yet."""
        return len(self._moves)

    def observe(self, statuses: Iterable[EndpointStatus], seen: float, now: float) -> None:
        """Take in how all endpoints are.

        Args:
            statuses: the endpoints.
            seen: when the registry was read for them, seconds since the epoch.
            now: seconds since the epoch.
        """
        before, self._wanted = self._wanted, {}
        for status in statuses:
            key = Key(status.model, status.alias)
            self._wanted[key] = status.wanted
            self._end(key, status, now)  # of a move before: it may be served in the very round that sees the next one
            if before is not None and status.wanted is not None and before.get(key) != status.wanted:
                kind: Kind = "start" if status.serving is None else "swap"
                self._moves[key] = _Move(status.wanted, seen, kind)
                self._end(key, status, now)
        self._moves = {key: move for key, move in self._moves.items() if key in self._wanted}

    def _end(self, key: Key, status: EndpointStatus, now: float) -> None:
        move = self._moves.get(key)
        if move is None or status.serving != move.version or not status.pids:
            return
        # The agent says when it began to answer; the controller looks only now and then.
        self.seconds[move.kind].add(max(0.0, min(status.since or now, now) - move.seen))
        del self._moves[key]
