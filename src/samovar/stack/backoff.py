"""How long to wait before a program is started again."""

from __future__ import annotations

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 15.0
STEADY_SECONDS = 5.0
"""A program that was well for this long has earned a quick restart."""


class Backoff:
    """Doubles the wait with each early death, and forgets them once the program was well for a while."""

    def __init__(self) -> None:
        self._early = 0

    def after(self, well_seconds: float) -> float:
        """Return the seconds to wait after a death.

        Args:
            well_seconds: how long the program had been well; 0 when it never was.
        """
        self._early = 0 if well_seconds >= STEADY_SECONDS else self._early + 1
        return float(min(FIRST_SECONDS * 2 ** max(0, self._early - 1), LONGEST_SECONDS))
