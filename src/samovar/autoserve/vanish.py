"""When an endpoint may end: a wrong registry address must not empty a fleet. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from samovar.autoserve.plan import Key

AGREEING = 2
"""Complete listings in a row that must miss an alias before its endpoint ends: one could be a reader's race."""

SHARE = 0.2
"""More than this share of the fleet vanishing at once, and at least ``FEW`` endpoints, is held for a person."""

FEW = 3
"""In small fleets a fifth is less than one endpoint: deleting one or two aliases is everyday work."""


class Vanishing:
    """Counts listings that miss an alias, and holds what looks like an accident."""

    def __init__(self) -> None:
        self._missed: dict[Key, int] = {}
        self._confirmed: frozenset[Key] = frozenset()
        self.held: frozenset[Key] = frozenset()

    def observe(self, listed: AbstractSet[Key], running: AbstractSet[Key]) -> frozenset[Key]:
        """Take one complete listing in, and return the endpoints that may end now.

        Args:
            listed: aliases in the registry.
            running: endpoints that exist.
        """
        gone = frozenset(running - listed)
        self._missed = {key: self._missed.get(key, 0) + 1 for key in gone}
        self._confirmed &= gone
        ripe = frozenset(key for key, times in self._missed.items() if times >= AGREEING) - self._confirmed
        # Once held, an endpoint stays held until its alias is back or a person confirms.
        self.held = ripe if self._accident(len(gone - self._confirmed), len(running)) else self.held & ripe
        return (ripe | self._confirmed) - self.held

    def confirm(self) -> frozenset[Key]:
        """Let the held endpoints end; returns them."""
        released, self._confirmed, self.held = self.held, self._confirmed | self.held, frozenset()
        return released

    @staticmethod
    def _accident(gone: int, running: int) -> bool:
        everything = running > 1 and gone == running
        return everything or (gone >= FEW and gone > SHARE * running)
