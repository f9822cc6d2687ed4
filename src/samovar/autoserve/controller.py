"""The controller: reads the registry, compares it with what runs, and tells the agent what to do.

It keeps nothing that cannot be read again, so it may be killed at any time: endpoints do not notice.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.autoserve import wishes
from samovar.autoserve.builds import Builds
from samovar.autoserve.gone import Gone
from samovar.autoserve.lasting import Lasting, fallbacks
from samovar.autoserve.lease import Alone
from samovar.autoserve.plan import Actual, Cancel, Key, Start, Stop, Swap, Tune, plan
from samovar.autoserve.retries import Retries
from samovar.autoserve.status import ALARMING, HELD, NOTABLE, EndpointStatus, describe
from samovar.autoserve.tags import Tags
from samovar.autoserve.tuning import PLAIN
from samovar.autoserve.vanish import Vanishing
from samovar.errors import GiveUp, Preparing, SamovarError, Superseded, Untrusted
from samovar.logs import get_logger
from samovar.scoring.plan import FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from samovar.autoserve.journal import Journal
    from samovar.autoserve.lease import Lease
    from samovar.autoserve.plan import Action
    from samovar.autoserve.protocol import EndpointState
    from samovar.autoserve.runtimes.base import Runtime
    from samovar.autoserve.wishes import Wish
    from samovar.registry.client import Registry

log = get_logger(__name__)

_LOOK_SECONDS = 0.5
"""Pause between two rounds while versions are being built one after the other."""


@dataclasses.dataclass(frozen=True)
class Health:
    """How the controller itself is.

    Attributes:
        registry: why the registry cannot be read; empty when it can.
        agent: why the agent cannot be reached; empty when it can.
        held: endpoints whose aliases vanished all at once, waiting for `samovar confirm`.
        listed_at: time of the last complete listing, seconds since the epoch; 0 before the first.
        standby: why this controller only looks on; empty while it acts.
        epoch: number of its lease; 0 while it stands by, or when nobody competes with it.
    """

    registry: str = ""
    agent: str = ""
    held: tuple[str, ...] = ()
    listed_at: float = 0.0
    standby: str = ""
    epoch: int = 0


@dataclasses.dataclass(frozen=True)
class Round:
    """One round of the loop, as it is told to whoever listens.

    Attributes:
        statuses: all endpoints after it.
        seconds: how long it took.
        whole: whether both sides could be read.
    """

    statuses: tuple[EndpointStatus, ...]
    seconds: float
    whole: bool


class Controller:
    """Makes what runs equal to what the registry says.

    Args:
        registry: gives the registry; raises ``RetryLater`` when its address is not known yet.
        runtime: runs the endpoints.
        journal: where changes are written down.
        lease: whether it may act; without one nobody competes with it.
        builders: versions brought at once.
        clock: monotonic seconds.
        place: see ``Lasting``.
    """

    def __init__(  # noqa: PLR0913 - whom it asks, and whether it may act
        self,
        registry: Callable[[], Registry],
        runtime: Runtime,
        journal: Journal,
        *,
        lease: Lease | None = None,
        builders: int = 2,
        clock: Callable[[], float] = time.monotonic,
        place: str = "",
    ) -> None:
        self._place = place
        self._lease: Lease = lease or Alone()
        self._clock = clock
        self._registry = registry
        self._runtime = runtime
        self._journal = journal
        self.wake = threading.Event()
        self.health = Health()
        self.listeners: list[Callable[[Round], None]] = []
        self._builds = Builds(self._build, self._on_built, builders)
        self._looked = -_LOOK_SECONDS
        self._later: threading.Timer | None = None
        self._retries = Retries(clock)
        self._tags = Tags(registry, clock)
        self._lasting = Lasting(self._retries, self._tags, clock, place)
        self._vanishing = Vanishing()
        self._gone = Gone(registry)
        self._wanted: dict[Key, Wish] | None = None
        self._states: dict[Key, EndpointState] = {}
        self._heard: dict[Key, int] = {}
        self._told: dict[Key, EndpointStatus] | None = None
        # The API's threads read the agent as the loop does, and let go what it holds.
        self._health_lock = threading.Lock()
        self._vanish_lock = threading.Lock()

    # --- the loop -------------------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event, poll_seconds: Callable[[], float]) -> None:
        """Reconcile until stopped: every poll, and when woken. The pause between polls is asked for anew each time."""
        while not stop.is_set():
            try:
                self.step()
            except Exception:
                log.exception("a round failed; the next one starts afresh")
            self.wake.wait(poll_seconds())
            self.wake.clear()

    def step(self) -> None:
        """One round: read both sides, plan, act, write down. What cannot be read leaves everything as it is."""
        began = self._looked = time.monotonic()
        wanted = self._read_registry()
        states = self._read_agent()
        if wanted is not None:
            self._wanted = wanted
        if states is not None:
            self._states = states
            self._hear(states)
        leads = self._leads()
        if leads and wanted is not None and states is not None:
            self._act(wanted, states)
        statuses = tuple(self.statuses(fresh=False))
        if leads:
            self._report(statuses)
        self._tell(Round(statuses, time.monotonic() - began, wanted is not None and states is not None))

    def _leads(self) -> bool:
        """Whether this controller acts; the one that begins to knows nothing of what it saw while it looked on."""
        standing = self._lease.standing()
        before = self.health
        self._set_health(standby=standing.reason, epoch=standing.epoch)
        if standing.reason:
            self._builds.clear()
            self._runtime.epoch = 0  # whatever it looks at, it changes nothing on the way
        elif standing.epoch != self._runtime.epoch:
            self._runtime.epoch = standing.epoch
            with self._vanish_lock:
                self._vanishing, self._gone = Vanishing(), Gone(self._registry)
            self._tags = Tags(self._registry, self._clock)
            self._lasting = Lasting(self._retries, self._tags, self._clock, self._place)
            self._told = None
            log.info("leads", epoch=standing.epoch, was=before.standby or "new")
        return not standing.reason

    def _may(self) -> bool:
        """Whether it still leads: asked just before each order."""
        standing = self._lease.standing()
        return not standing.reason and standing.epoch == self._runtime.epoch

    def _read_registry(self) -> dict[Key, Wish] | None:
        try:
            wanted = wishes.read(self._registry().models())
        except SamovarError as error:
            self._set_health(registry=str(error))
            return None
        self._set_health(registry="", listed_at=time.time())
        return wanted

    def _read_agent(self) -> dict[Key, EndpointState] | None:
        try:
            states = self._runtime.endpoints()
        except SamovarError as error:
            self._set_health(agent=str(error))
            return None
        self._set_health(agent="")
        return states

    def _hear(self, states: Mapping[Key, EndpointState]) -> None:
        """Learn of versions that failed in the agent since the last round. An endpoint that is made anew counts from zero again."""
        self._heard = {key: count for key, count in self._heard.items() if key in states and count <= states[key].failures}
        for key, state in states.items():
            if state.failed is not None and self._heard.get(key, 0) != state.failures:
                self._retries.note(key, state.failed, state.reason, own=not state.host_fault, crashed=state.crashed)
            self._heard[key] = state.failures
        self._lasting.hear(states)

    def _act(self, wished: dict[Key, Wish], states: dict[Key, EndpointState]) -> None:
        wanted = {key: wish.version for key, wish in wished.items()}
        tunings = {key: wish.tuning for key, wish in wished.items()}
        spare = fallbacks(wished)
        self._retries.keep_only(wanted, spare)
        self._lasting.review(wished)
        for key, version in self._retries.untrusted():
            if self._journal.trusted(key.model, version):
                self._retries.forgive(key, version)
        builds = self._builds.wishes()
        actual = {
            key: Actual(
                serving=_serving(states[key]) if key in states else None,
                loading=builds.get(key, states[key].loading if key in states else None),
                tuning=states[key].tuning if key in states else tunings.get(key, PLAIN),
                failing=key in states and states[key].crashed and states[key].failed == states[key].serving,
            )
            for key in {*states, *builds}
        }
        with self._vanish_lock:
            stoppable = self._vanishing.observe(wanted.keys(), actual.keys())
            stoppable = self._gone.observe(wanted, stoppable, states)
            held = {*self._vanishing.held, *self._gone.held}
        self._set_health(held=tuple(sorted(f"{key.model}@{key.alias}" for key in held)))
        blocked = self._retries.blocked() | self._lasting.barred(wished)
        for action in plan(wanted, actual, stoppable=stoppable, blocked=blocked, tunings=tunings, fallbacks=spare):
            self._do(action)
        self._journal.observe(wanted)
        self._tags.flush()

    def _do(self, action: Action) -> None:
        key = action.key
        if not self._may():
            return
        epoch = self._runtime.epoch
        try:
            match action:
                case Start(version=version) | Swap(version=version):
                    self._builds.submit(key, version)
                case Cancel():
                    self._builds.cancel(key)
                    self._runtime.cancel(key)
                case Tune(tuning=tuning):
                    self._runtime.tune(key, tuning)
                case Stop():
                    self._builds.cancel(key)
                    self._runtime.stop(key)
                    self._lasting.forget(key)
                    self._journal.observe({key: None})
                    self._journal.event("stopped", key)
        except Superseded:
            self._lease.refused(epoch)
        except SamovarError as error:
            log.warning("an action waits for the next round", action=type(action).__name__, model=key.model, reason=str(error))

    def _build(self, key: Key, version: int) -> None:
        began, epoch = time.monotonic(), self._runtime.epoch
        try:
            failure = self._retries.failure(key, version)
            failed = failure is not None and not failure.waiting
            self._keep_last_good(key, version)
            self._runtime.bring(key, version, wished=lambda: self._builds.wished(key, version) and self._may(), again=failed)
        except Preparing as waits:
            self._retries.wait(key, version, str(waits))
            return
        except Untrusted as error:
            self._retries.note(key, version, str(error), untrusted=True)
        except Superseded:
            self._lease.refused(epoch)
            return
        except SamovarError as error:
            if not self._builds.wished(key, version):
                return
            self._retries.note(key, version, str(error), own=isinstance(error, GiveUp))
        else:
            log.info("delivered", model=key.model, alias=key.alias, version=version, seconds=round(time.monotonic() - began, 2))
            return
        log.warning("not served", model=key.model, alias=key.alias, version=version, reason=self._reason(key, version))

    def _on_built(self) -> None:
        """Look at what came of a build, but not at once after each of hundreds: every look reads the whole registry."""
        pause = self._looked + _LOOK_SECONDS - time.monotonic()
        if not self._builds.wishes() or pause <= 0.0:
            self.wake.set()
        elif self._later is None or not self._later.is_alive():  # the next build may take minutes, and so may the next poll
            self._later = threading.Timer(pause, self.wake.set)
            self._later.daemon = True
            self._later.start()

    def _keep_last_good(self, key: Key, version: int) -> None:
        """Have written down what answers before another version takes its place."""
        wish = self._wanted.get(key) if self._wanted is not None else None
        if wish is not None and self._builds.wished(key, version) and self._may():
            self._lasting.leave(key, wish, version)

    def _reason(self, key: Key, version: int) -> str:
        failure = self._retries.failure(key, version)
        return failure.reason if failure else ""

    # --- what people ask --------------------------------------------------------------------------------------------------------

    def prepared(self) -> None:
        """Hear that something was made that a version may wait for."""
        self._retries.ready()
        self.wake.set()

    def confirm(self) -> tuple[str, ...]:
        """Let endpoints end that are held although their aliases are gone; returns their names."""
        with self._vanish_lock:
            released = self._vanishing.confirm() | self._gone.confirm()
        for key in released:
            self._journal.event("confirmed", key)
        self.wake.set()
        return tuple(sorted(f"{key.model}@{key.alias}" for key in released))

    def statuses(self, *, fresh: bool = True) -> list[EndpointStatus]:
        """Judge all endpoints, as they are now or (``fresh=False``) as of the last round."""
        read = self._read_agent() if fresh else None
        states = self._states if read is None else read
        wanted = self._wanted
        builds = self._builds.wishes()
        gone = self._gone.held
        found = []
        for key in sorted({*states, *(wanted or {})}):
            wish = wanted.get(key) if wanted is not None else None
            version = wish.version if wish is not None else None
            held = HELD if key in self._vanishing.held else gone.get(key, "")
            failure = (self._lasting.failure(key, wish) if wish is not None else None) or self._retries.failure(key, version)
            status = describe(key, version, states.get(key), failure=failure, building=key in builds, held=held)
            found.append(msgspec.structs.replace(status, warnings=(*status.warnings, *(wish.problems if wish is not None else ()))))
        return found

    # --- what is written down -----------------------------------------------------------------------------------------------------

    def _tell(self, done: Round) -> None:
        """Tell whoever listens; what fails there does not stop the loop."""
        for listener in self.listeners:
            try:
                listener(done)
            except Exception:
                log.exception("a listener failed")

    def _report(self, statuses: Iterable[EndpointStatus]) -> None:
        """Note as events which version answers, and what a person should know, whenever it changes."""
        now = {Key(status.model, status.alias): status for status in statuses}
        before, self._told = self._told, now
        for key, status in now.items():
            # After our own start, what serves as before is no news; what is wrong is.
            old = before.get(key) if before is not None else msgspec.structs.replace(status, condition="Ready")
            if status.serving is not None and (old is None or old.serving != status.serving):
                self._journal.event("served", key, version=status.serving)
            if status.condition in NOTABLE and (old is None or old.condition != status.condition):
                alarm = status.condition in ALARMING
                self._journal.event(status.condition.lower(), key, alarm=alarm, wanted=status.wanted, reason=status.reason)
        self._journal.flush()

    def _set_health(self, **changes: Any) -> None:
        with self._health_lock:
            before = self.health
            after = self.health = dataclasses.replace(before, **changes)
        for what in ("registry", "agent", "held", "standby"):
            now = getattr(after, what)
            if now != getattr(before, what):
                log.warning("health changed", **{what: now or "well"})
                if what == "held" and now:
                    self._journal.event("held", alarm=True, endpoints=list(now))


def _serving(state: EndpointState) -> int | None:
    """Return the version that serves for good: a plan that only an earlier Samovar reads serves until it is built again."""
    return state.serving if state.format == FORMAT else None
