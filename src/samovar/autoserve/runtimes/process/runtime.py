"""The process runtime: the agent of this host, and what brings versions to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.autoserve.plan import Key
    from samovar.autoserve.protocol import EndpointState
    from samovar.autoserve.runtimes.process.delivery import Delivery
    from samovar.autoserve.runtimes.process.link import AgentLink
    from samovar.autoserve.tuning import Tuning


class ProcessRuntime:
    """Endpoints are worker processes of one agent.

    Args:
        agent: the agent of this host.
        delivery: brings versions to it.
    """

    def __init__(self, agent: AgentLink, delivery: Delivery) -> None:
        self._agent = agent
        self._delivery = delivery

    @property
    def epoch(self) -> int:
        """See ``Runtime``."""
        return self._agent.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._agent.epoch = epoch

    def endpoints(self) -> dict[Key, EndpointState]:
        """See ``Runtime``."""
        return self._agent.endpoints()

    def bring(self, key: Key, version: int, *, wished: Callable[[], bool], again: bool = False) -> None:
        """See ``Runtime``."""
        self._delivery.bring(key, version, wished=wished, again=again)

    def tune(self, key: Key, tuning: Tuning) -> None:
        """See ``Runtime``."""
        self._agent.tune(key, tuning)

    def cancel(self, key: Key) -> None:
        """See ``Runtime``."""
        self._agent.cancel(key)

    def stop(self, key: Key) -> None:
        """See ``Runtime``."""
        self._agent.stop(key)
