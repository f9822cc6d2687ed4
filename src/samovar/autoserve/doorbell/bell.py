"""What happens when somebody rings: the delivery is checked, counted, and the loop is woken. Nothing here waits for anything."""

from __future__ import annotations

import collections
import threading
import time
from typing import TYPE_CHECKING, Literal

from samovar.autoserve.doorbell.signature import is_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Result = Literal["rung", "duplicate", "stale", "forged", "malformed", "too_large"]
"""``rung``: it woke the loop. ``duplicate``: it had come before. ``stale``: its time is too far from ours. ``forged``: it is not
signed with our secret. ``malformed``: its headers are none of MLflow's. ``too_large``: nobody read it."""

RESULTS: tuple[Result, ...] = ("rung", "duplicate", "stale", "forged", "malformed", "too_large")

PATH = "/webhooks/mlflow"
BODY_LIMIT = 64 * 2**10
"""Bytes of a delivery: MLflow sends a few names, at most 255 characters each, and a model's tags never."""

WINDOW_SECONDS = 300.0
"""How far a delivery's time may be from ours, either way: clocks differ, and MLflow's last retry comes within half a minute."""

REMEMBERED = 10_000
"""Deliveries whose id is remembered, a megabyte: 33 moves a second for the whole window. One that is forgotten and comes again
wakes the loop once more, which is harmless."""

_LONGEST_ID = 128


class Bell:
    """Takes deliveries in.

    Args:
        secret: what MLflow signs with.
        ring: wakes the loop.
        clock: seconds since the epoch.
    """

    def __init__(self, secret: str, ring: Callable[[], None], *, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._ring = ring
        self._clock = clock
        self._seen: collections.OrderedDict[str, float] = collections.OrderedDict()
        self._lock = threading.Lock()
        self.counts: dict[Result, int] = dict.fromkeys(RESULTS, 0)
        self.rung_at = 0.0

    @property
    def heard(self) -> int:
        """Deliveries that were MLflow's and came in time, the same one twice included."""
        return self.counts["rung"] + self.counts["duplicate"]

    def deliver(self, headers: Mapping[str, str], body: bytes) -> Result:
        """Check one delivery, count it, and ring if it is a new one of MLflow's. Headers have lower-case names."""
        result = self._judge(headers, body)
        self.count(result)
        if result == "rung":
            self.rung_at = self._clock()
            self._ring()
        return result

    def count(self, result: Result) -> None:
        """Count a delivery."""
        with self._lock:
            self.counts[result] += 1

    def _judge(self, headers: Mapping[str, str], body: bytes) -> Result:
        if len(body) > BODY_LIMIT:
            return "too_large"
        delivery, timestamp = headers.get("x-mlflow-delivery-id", ""), headers.get("x-mlflow-timestamp", "")
        if not 0 < len(delivery) <= _LONGEST_ID or not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
            return "malformed"
        # The signature first: what is not MLflow's learns nothing of our clock, and leaves nothing in our memory.
        if not is_signed(self._secret, delivery, timestamp, body, headers.get("x-mlflow-signature", "")):
            return "forged"
        now = self._clock()
        if abs(now - int(timestamp)) > WINDOW_SECONDS:
            return "stale"
        return "rung" if self._first_time(delivery, now) else "duplicate"

    def _first_time(self, delivery: str, now: float) -> bool:
        with self._lock:
            while self._seen and (len(self._seen) >= REMEMBERED or abs(now - next(iter(self._seen.values()))) > 2 * WINDOW_SECONDS):
                self._seen.popitem(last=False)
            known = delivery in self._seen
            self._seen.setdefault(delivery, now)
        return not known
