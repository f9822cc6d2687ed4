"""Which controller may give orders: none whose lease is older than the youngest that has spoken."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from samovar.autoserve.agent.ledger import write_atomically
from samovar.logs import get_logger

if TYPE_CHECKING:
    from pathlib import Path

log = get_logger(__name__)


class Epochs:
    """Remembers the highest epoch heard, also over a crash of the agent. An agent that ends in order forgets it.

    Args:
        path: file of the number; made when the first controller with a lease speaks.
    """

    refusal = "A controller with a younger lease gives the orders here. If there is none, run `samovar down` and `samovar up`."
    """What a controller is told whose lease is too old."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.highest = _read(path)

    def admit(self, epoch: int) -> bool:
        """Whether an order may be carried out; a higher epoch than ever turns away the lower ones from now on."""
        if epoch > self.highest:
            self.highest = epoch
            try:
                write_atomically(self._path, str(epoch).encode(), durable=False)
            except OSError as error:  # a full disk must not stop the orders of the one who may give them
                log.warning("the controller's epoch cannot be kept", error=error.strerror)
        return epoch >= self.highest


def _read(path: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text(encoding="ascii"))
    return 0
