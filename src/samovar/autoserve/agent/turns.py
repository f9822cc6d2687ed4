"""Who may load now: two hundred workers that load at once would all be late."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

TURN_SECONDS = 2.0
"""Who loads for longer leaves its place to the next: it waits or hangs, and must not keep others from loading."""

PLACES = max(4, 2 * len(os.sched_getaffinity(0)))
"""Workers that load at once: enough to keep all cores busy while some of them wait."""


class Turns:
    """Lets a few load at a time, first come, first served.

    Args:
        loop: the agent's loop.
        places: how many at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, places: int = PLACES) -> None:
        self._loop = loop
        self._places = places
        self._waiting: dict[str, Callable[[], None]] = {}
        self._loading: dict[str, asyncio.TimerHandle] = {}

    def ask(self, token: str, start: Callable[[], None]) -> None:
        """Call ``start`` when it is this one's turn, maybe now."""
        self._waiting[token] = start
        self._next()

    def over(self, token: str) -> None:
        """Note that one has loaded, has failed, or is no longer wanted."""
        self._waiting.pop(token, None)
        timer = self._loading.pop(token, None)
        if timer is not None:
            timer.cancel()
            self._next()

    def _next(self) -> None:
        while self._waiting and len(self._loading) < self._places:
            token = next(iter(self._waiting))
            start = self._waiting.pop(token)
            self._loading[token] = self._loop.call_later(TURN_SECONDS, self.over, token)
            start()
