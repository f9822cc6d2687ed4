"""Which entity goes where: the same one always to the same version, and a changed share moves no more than it must.

Each model cuts the hashes of its entities into 10,000 slots of its own. An alias takes slots in an order of its own, so a larger
share is the smaller one and some more.
"""

from __future__ import annotations

import hashlib
from math import gcd
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOTS = 10_000
GROUPS = 2048
"""Parts that entities are cut into once more, apart from the slots: the counts of each tell how far rows depend on each other."""


class Assignment:
    """The slots of one model.

    Args:
        model: name of the registered model: splits of two models are independent.
        shares: (alias, percent) of those who get a share; together at most 100.
    """

    def __init__(self, model: str, shares: Sequence[tuple[str, int]]) -> None:
        self._start = hashlib.blake2b(key=_key(model), digest_size=8)
        self._slots = [0] * SLOTS
        for number, (alias, percent) in enumerate(shares, start=1):
            self._give(number, alias, percent * SLOTS // 100)

    def __call__(self, entity: bytes) -> tuple[int, int]:
        """Return who answers an entity's rows (0 is the champion, i the i-th of the shares), and its group."""
        made = self._start.copy()
        made.update(entity)
        rest, slot = divmod(int.from_bytes(made.digest(), "little"), SLOTS)
        return self._slots[slot], rest % GROUPS

    def _give(self, number: int, alias: str, count: int) -> None:
        """Give away free slots in the alias's own order."""
        slot, step = _order(alias)
        while count > 0:
            if not self._slots[slot]:
                self._slots[slot] = number
                count -= 1
            slot = (slot + step) % SLOTS


def _key(model: str) -> bytes:
    return hashlib.blake2b(model.encode(), digest_size=32).digest()


def _order(alias: str) -> tuple[int, int]:
    """Return the first slot and a step that comes to all of them."""
    digest = hashlib.blake2b(alias.encode(), digest_size=16).digest()
    step = int.from_bytes(digest[:8], "little") % SLOTS
    while gcd(step, SLOTS) != 1:
        step += 1
    return int.from_bytes(digest[8:], "little") % SLOTS, step % SLOTS
