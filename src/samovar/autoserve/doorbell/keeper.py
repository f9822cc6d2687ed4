"""Keeps our webhook in MLflow as it should be: makes it, finds it again, mends it, and proves that it rings here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from samovar.autoserve.doorbell.identity import PREFIX
from samovar.errors import GiveUp, NotFound, RetryLater, SamovarError
from samovar.logs import get_logger
from samovar.registry.webhooks import ALIAS_EVENTS, CACHE_SECONDS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from samovar.autoserve.doorbell.bell import Bell
    from samovar.registry.webhooks import Webhook, Webhooks

log = get_logger(__name__)

CHECK_SECONDS = 30.0
"""Between two looks at the list of webhooks: one request of a few milliseconds."""

PROVE_SECONDS = 300.0
"""After so long without a delivery MLflow is asked to send an example: nobody moving an alias looks like a dead line."""

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
AWAY_SECONDS = 2.0
"""Between two tries while MLflow does not answer: as often as it is polled then, so that it rings as soon as it is back."""
PATIENCE_SECONDS = 60.0
"""For so long after our own start an MLflow that does not answer is one that still starts."""

State = Literal["waiting", "ringing", "silent"]
"""``waiting``: MLflow has not answered yet, or another controller acts. ``ringing``: a delivery came through. ``silent``: none
does, and the note says why."""


@dataclass(frozen=True)
class DoorbellState:
    """How the doorbell is.

    Attributes:
        state: see ``State``.
        note: why it does not ring and what to do; empty when it does.
        url: where MLflow sends to.
        settled: whether MLflow knows of it for sure, so that polling may be slower.
    """

    state: State = "waiting"
    note: str = ""
    url: str = ""
    settled: bool = False


class Keeper:
    """Looks after one webhook.

    Args:
        webhooks: gives MLflow's webhooks; raises ``RetryLater`` when there is no address yet.
        bell: where deliveries arrive.
        name: what our webhook is called.
        url: where MLflow reaches us.
        secret: what deliveries are signed with.
        active: whether this controller is the one that acts; another one's webhook is left alone.
        clock: monotonic seconds.
    """

    def __init__(  # noqa: PLR0913 - whose webhook, and what it shall be
        self,
        webhooks: Callable[[], Webhooks],
        bell: Bell,
        *,
        name: str,
        url: str,
        secret: str,
        active: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._webhooks = webhooks
        self._bell = bell
        self._name = name
        self._url = url
        self._secret = secret
        self._active = active
        self._clock = clock
        self._began = self._changed_at = clock()
        self._proved_at = -PROVE_SECONDS
        self._proved_id = ""
        self._heard = 0
        self._failures = 0
        self.state = DoorbellState(url=url)

    def run(self, stop: threading.Event) -> None:
        """Check until stopped."""
        while not stop.wait(self.check()):
            pass

    def check(self) -> float:
        """Look once, and mend what is wrong; returns the seconds until the next look."""
        if not self._active():
            self.state = DoorbellState(note="Another controller acts; it looks after the webhook.", url=self._url)
            return FIRST_RETRY_SECONDS
        try:
            self._keep(self._webhooks())
        except RetryLater as error:
            starting = not self._proved_id and self._clock() - self._began < PATIENCE_SECONDS
            self._show(DoorbellState("waiting" if starting else "silent", _explained(error), self._url))
            return AWAY_SECONDS
        except SamovarError as error:
            return self._fail(_explained(error))
        except Exception:
            log.exception("the doorbell was not looked after")
            return self._fail("MLflow's webhooks could not be looked after: see the log of autoserve.")
        self._failures = 0
        settled = self._clock() - self._changed_at > CACHE_SECONDS
        self._show(DoorbellState("ringing", url=self._url, settled=settled))
        return CHECK_SECONDS

    def _keep(self, webhooks: Webhooks) -> None:
        ours = self._only_one(webhooks)
        if ours is None:
            self._change(webhooks.create(self._name, self._url, self._secret, self._description()))
            ours = self._only_one(webhooks)  # another controller may have made one at the same moment
            if ours is None:
                raise GiveUp("Our webhook was deleted as soon as it was made.")
        if (ours.url, ours.active, ours.events) != (self._url, True, frozenset(ALIAS_EVENTS)):
            self._mend(webhooks, ours)
        if self._proven(ours):
            return
        if self._prove(webhooks, ours):
            # The secret cannot be read back: only a delivery tells that it is another one.
            self._mend(webhooks, ours)
            trouble = self._prove(webhooks, ours)
            if trouble:
                raise GiveUp(
                    f"MLflow's webhook does not reach {self._url}: {trouble}.",
                    remedy="Set SAMOVAR_ADVERTISED_URL to the address at which MLflow reaches autoserve.",
                )

    def _only_one(self, webhooks: Webhooks) -> Webhook | None:
        """Find our webhook; of several, all controllers keep the same one. One of an earlier secret at our address goes too."""
        found = webhooks.list()
        ours = sorted((one for one in found if one.name == self._name), key=lambda one: (one.created_ms, one.id))
        stale = [one for one in found if one.name != self._name and one.name.startswith(PREFIX) and one.url == self._url]
        for double in ours[1:] + stale:
            webhooks.delete(double.id)
        return ours[0] if ours else None

    def _mend(self, webhooks: Webhooks, ours: Webhook) -> None:
        self._change(webhooks.mend(ours.id, self._url, self._secret, self._description()))

    def _change(self, webhook: Webhook) -> None:
        self._changed_at = self._clock()
        self._proved_id = ""
        log.info("registered with MLflow", webhook=webhook.name, url=webhook.url)

    def _proven(self, ours: Webhook) -> bool:
        """Whether deliveries of this webhook arrived not long ago."""
        if self._bell.heard > self._heard:
            self._heard, self._proved_at = self._bell.heard, self._clock()
        return self._proved_id == ours.id and self._clock() - self._proved_at < PROVE_SECONDS

    def _prove(self, webhooks: Webhooks, ours: Webhook) -> str:
        """Have MLflow ring; returns why nothing was heard. Its word is not enough: somebody else may listen at that address."""
        before = self._bell.heard
        trouble = webhooks.test(ours.id)
        if trouble:
            return trouble
        if self._bell.heard == before:
            return "somebody else answers there"
        self._heard, self._proved_at, self._proved_id = self._bell.heard, self._clock(), ours.id
        return ""

    def _description(self) -> str:
        return f"Wakes Samovar's autoserve at {self._url}. Samovar makes and mends it."

    def _fail(self, note: str) -> float:
        self._show(DoorbellState("silent", note, self._url))
        self._failures += 1
        return float(min(FIRST_RETRY_SECONDS * 2 ** (self._failures - 1), LONGEST_RETRY_SECONDS))

    def _show(self, state: DoorbellState) -> None:
        if (state.state, state.note) != (self.state.state, self.state.note):
            log.info("the doorbell changed", state=state.state, note=state.note)
        self.state = state


def _explained(error: SamovarError) -> str:
    """Say what stands in the way, and that nothing is lost by it."""
    if isinstance(error, NotFound):
        return "This MLflow server has no webhooks; aliases are found by polling."
    return f"{error} Aliases are found by polling meanwhile."
