"""How long to wait after a failure: doubling, bounded, forgotten after a success. Pure."""

from __future__ import annotations

import msgspec


class Backoff(msgspec.Struct, frozen=True):
    """A schedule of delays in seconds.

    Attributes:
        first: delay after the first failure.
        longest: no delay is longer.
    """

    first: float
    longest: float

    def delay(self, failures: int) -> float:
        """Return the delay after ``failures`` failures in a row (0: none)."""
        if failures <= 0:
            return 0.0
        return min(self.longest, self.first * 2.0 ** min(failures - 1, 62))
