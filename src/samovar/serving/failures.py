"""Failures of ours in the log: every kind of them, but not every one of them.

A traceback takes half a millisecond to write. A client that sends what a model cannot bear, as fast as it can, must neither slow
the others down nor fill the disk.
"""

from __future__ import annotations

import time

from samovar import logs
from samovar.errors import RetryLater

log = logs.get_logger(__name__)

_SECONDS = 1.0  # between two reports of one kind
_KINDS = 256  # kept apart


class Failures:
    """Reports failures, each kind at most once a second."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], float] = {}
        self._untold: dict[tuple[str, str], int] = {}

    def tell(self, error: Exception, request_id: bytes, path: str) -> None:
        """Report that a request failed; says how many like it went unreported before."""
        name = type(error.__cause__ or error).__name__
        kind, now = (name, path), time.monotonic()
        if now - self._told.get(kind, -_SECONDS) < _SECONDS:
            self._untold[kind] = self._untold.get(kind, 0) + 1
            return
        if len(self._told) >= _KINDS:
            self._told.clear()
            self._untold.clear()
        self._told[kind] = now
        trace = None if isinstance(error, RetryLater) else error
        others = self._untold.pop(kind, 0)
        log.error("a request failed", request_id=request_id.decode(), path=path, error=name, unreported=others, exc_info=trace)
