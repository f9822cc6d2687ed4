"""Rows that one turn of the event loop brought, scored in one call at its end: for models that are faster so.

Nothing waits for it: answers leave at the end of the turn anyway (`samovar.serving.turn`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from samovar.serving.jobs import Row
    from samovar.serving.turn import Turn
    from samovar.serving.wire import Response


class Waiting(NamedTuple):
    """A request of one row that was read.

    Attributes:
        values: the row, as its handler reads it.
        request_id: the request.
        headers: of the request.
        deliver: sends the answer.
        started: when it began, on ``time.perf_counter``'s clock.
        received: bytes of its body.
    """

    values: Any
    request_id: bytes
    headers: Mapping[bytes, bytes]
    deliver: Callable[[Response], None]
    started: float
    received: int


class Gathering:
    """The rows of one route in one turn.

    Args:
        turn: tells when it ends.
        read: reads a row from a body.
        finish: answers rows.
        settle: told the answer to each, or why there is none; raises nothing.
    """

    def __init__(
        self,
        turn: Turn,
        read: Callable[[bytes], Any],
        finish: Callable[[Sequence[Any]], list[Row]],
        settle: Callable[[Waiting, Row | Exception], None],
    ) -> None:
        self.read = read
        self._turn = turn
        self._finish = finish
        self._settle = settle
        self._waiting: list[Waiting] = []

    def add(self, one: Waiting) -> None:
        """Let a row be answered at the end of the turn."""
        if not self._waiting:
            self._turn.before(self._end)
        self._waiting.append(one)

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one, row in zip(waiting, self._answered([one.values for one in waiting]), strict=True):
            self._settle(one, row)

    def _answered(self, rows: list[Any]) -> Sequence[Row | Exception]:
        """Answer rows together; when that fails, each by itself, so that one that the model refuses harms no other."""
        try:
            return self._finish(rows)
        except Exception as error:  # noqa: BLE001 - it becomes the answer, or whoever caused it meets it again
            if len(rows) == 1:
                return [error]
        return [answer for row in rows for answer in self._answered([row])]
