"""An endpoint's part in the traffic of its model: what it shares of its own, and what it answers of others'."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from samovar.serving.spool.opening import open_spool
from samovar.serving.traffic.host import Host
from samovar.serving.traffic.policy import NOTHING
from samovar.serving.traffic.shadowing import Shadowing
from samovar.serving.traffic.sharing import Sharing

if TYPE_CHECKING:
    import asyncio
    import socket

    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.config import EndpointConfig
    from samovar.serving.desk import Desk
    from samovar.serving.metrics import Metrics
    from samovar.serving.traffic.frames import Welcome
    from samovar.serving.traffic.policy import Policy
    from samovar.serving.turn import Spool


class Neighbours:
    """Both sides of one worker.

    Args:
        plan: the version.
        engine: its model.
        desk: scores.
        config: the endpoint.
        metrics: counts.
    """

    def __init__(self, plan: ScorerPlan, engine: Engine, desk: Desk, config: EndpointConfig, metrics: Metrics) -> None:
        self._plan = plan
        self._desk = desk
        self._config = config
        self._metrics = metrics
        self._shadowing = Shadowing(plan, engine, desk.lock, metrics, config.alias, self._shadow_log)
        self._host = Host(plan, engine, desk, self._shadowing, config.alias)
        self._sharing = Sharing(plan, engine, desk, metrics, self._challenger_log)

    async def open(self, loop: asyncio.AbstractEventLoop, listener: socket.socket | None) -> None:
        """Begin, on the loop that serves; ``listener`` is where others reach this endpoint, if they do."""
        self._sharing.open(loop)
        self._shadowing.open(loop)
        if listener is not None:
            await self._host.open(listener)

    def follow(self, policy: Policy) -> None:
        """Share like this from now on; on the loop."""
        if policy == self._sharing.policy:
            return
        self._sharing.follow(policy)
        self._desk.share(None if policy == NOTHING else self._sharing)

    @property
    def empty(self) -> bool:
        """Whether nobody is connected who could still ask."""
        return self._host.empty

    def leave(self) -> None:
        """Tell others to go elsewhere; what still comes is answered."""
        self._host.leave()

    def tick(self) -> None:
        """Called about once a second."""
        self._sharing.tick()
        self._shadowing.tick()

    def close(self) -> None:
        """Hang up, after the last answer."""
        self._host.close()
        self._sharing.close()
        self._shadowing.close()

    def _challenger_log(self, welcome: Welcome) -> Spool:
        """Open the log of answers that another version gave to our rows."""
        told = {"role": "challenger", "version": welcome.version, "label": welcome.label, "project": welcome.project}
        return open_spool(self._plan, self._config, self._metrics, **told)

    def _shadow_log(self, alias: str) -> Spool:
        """Open the log of this version's answers to copies of what another alias was asked."""
        told = {"role": "shadow", "alias": alias}
        return open_spool(self._plan, msgspec.structs.replace(self._config), self._metrics, **told)
