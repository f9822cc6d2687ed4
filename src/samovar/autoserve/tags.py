"""Tags of registered models that the controller writes: a few a round, the newest value of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samovar.errors import FixInput, NotFound, SamovarError
from samovar.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.registry.client import Registry

log = get_logger(__name__)

AT_ONCE = 5
"""Tags written in one round: some 50 ms, so that no alias waits for them."""
PATIENCE_SECONDS = 30.0
"""How long none is written after a write has failed: a registry that hangs must not hold up every round."""


class Tags:
    """Tags that wait to be written.

    Args:
        registry: gives the registry.
        clock: monotonic seconds.
    """

    def __init__(self, registry: Callable[[], Registry], clock: Callable[[], float]) -> None:
        self._registry = registry
        self._clock = clock
        self._waiting: dict[tuple[str, str], str | None] = {}
        self._not_before = -PATIENCE_SECONDS

    def put(self, model: str, tag: str, value: str | None) -> None:
        """Have a tag set, or with None deleted."""
        self._waiting[model, tag] = value

    def flush(self) -> None:
        """Write a few."""
        for (model, tag), value in list(self._waiting.items())[:AT_ONCE]:
            if not self.write(model, tag, value):
                return
            del self._waiting[model, tag]

    def write(self, model: str, tag: str, value: str | None) -> bool:
        """Set a tag now, or with None delete it; False when that must wait. Safe to call from any thread."""
        if self._clock() < self._not_before:
            return False
        try:
            if value is None:
                self._registry().delete_model_tag(model, tag)
            else:
                self._registry().set_model_tag(model, tag, value)
        except (NotFound, FixInput) as error:
            log.warning("a tag is not written", model=model, tag=tag, reason=str(error))  # gone, or too long a name
        except SamovarError as error:
            self._not_before = self._clock() + PATIENCE_SECONDS
            log.warning("tags wait", waiting=len(self._waiting), reason=str(error))
            return False
        return True
