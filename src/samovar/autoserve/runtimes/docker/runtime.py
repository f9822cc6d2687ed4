"""The Docker runtime: one container for each alias, and for the time of a swap one beside it.

All that must be known later is written on the containers: labels say what each serves, its name says which part it plays. Every
look at the world (``endpoints``, and ``bring`` while it waits) also takes what is begun one step further, so a swap whose
controller died is finished by the next one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.origin import origin
from samovar.autoserve.protocol import EndpointState
from samovar.autoserve.runtimes.docker import boxes, endings, recipe
from samovar.autoserve.runtimes.docker.boxes import Box, Offer
from samovar.autoserve.tuning import PLAIN, unshared
from samovar.errors import Conflict, ModelError, NotFound, SamovarError, Superseded
from samovar.logs import get_logger
from samovar.scoring.plan import FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from samovar.autoserve.plan import Key
    from samovar.autoserve.runtimes.docker.engine import Engine
    from samovar.autoserve.runtimes.docker.proving import Prover
    from samovar.autoserve.runtimes.docker.recipe import Placement
    from samovar.autoserve.tuning import Tuning
    from samovar.registry.client import Version

log = get_logger(__name__)

_LOOK_SECONDS = 0.1
_LAST_CALL = 15.0
"""Seconds over the drain's own time before a container that does not leave is ended."""
_UNTUNED_SECONDS = 60.0
"""How long a tuning rests that no container could be started with."""
_ENDED = frozenset({"exited", "dead"})


class _Failure(msgspec.Struct, frozen=True):
    """A version that failed while nobody waited for it."""

    version: int
    reason: str
    count: int


class DockerRuntime:
    """Endpoints are containers of one engine.

    Args:
        engine: the engine.
        placement: gives where and how endpoints stand on it, as of now.
        version: reads a version from the registry.
        trusted: whether a person trusted a version.
        prover: asks new containers whether they answer.
    """

    def __init__(
        self,
        engine: Engine,
        placement: Callable[[], Placement],
        version: Callable[[str, int], Version],
        trusted: Callable[[str, int], bool],
        prover: Prover,
    ) -> None:
        self.epoch = 0
        self._engine = engine
        self._placement = placement
        self._version = version
        self._trusted = trusted
        self._prover = prover
        self._lock = threading.RLock()
        self._awaited: dict[str, SamovarError | None] = {}
        self._failures: dict[Key, _Failure] = {}
        self._leaving: dict[str, tuple[float, bool]] = {}
        self._untuned: dict[Key, tuple[Tuning, float]] = {}
        self._traffic: dict[Key, Tuning] = {}

    # --- Runtime ----------------------------------------------------------------------------------------------------------------

    def endpoints(self) -> dict[Key, EndpointState]:
        """See ``Runtime``. One listing, however many endpoints there are."""
        with self._lock:
            found = self._listed()
            if self._youngest(found) <= self.epoch and self._go_on(found):
                found = self._listed()
            known = {box.id for box in found}
            self._prover.forget(known)
            self._leaving = {box: when for box, when in self._leaving.items() if box in known}
            parted: dict[Key, list[Box]] = {key: [] for key in self._failures} | _by_key(found)
            return {key: state for key, ours in parted.items() if (state := self._state(key, ours)) is not None}

    def bring(self, key: Key, version: int, *, wished: Callable[[], bool], again: bool = False) -> None:
        """See ``Runtime``. Returns when the version has the endpoint's name, or raises why it has not."""
        known = self._version(key.model, version)
        trusted = self._trusted(key.model, version)
        with self._lock:
            ours = self._ours(key)
            newest = _newest(ours)
            tuning = newest.offer.tuning if newest is not None else PLAIN
            offer = self._offer(key, known, tuning, trusted=trusted)
            if newest is not None and newest.offer == offer and newest.state not in _ENDED and not again:
                box = newest.id
            elif not wished():
                return
            else:
                self._check_name(key)
                box = self._start(offer, ours)
            self._failures.pop(key, None)
            self._awaited[box] = None
        try:
            self._wait(key, box, wished)
        finally:
            self._awaited.pop(box, None)

    def tune(self, key: Key, tuning: Tuning) -> None:
        """See ``Runtime``. Workers and limits need a new container, which takes over as a new version would."""
        with self._lock:
            ours = self._ours(key)
            current, newest = _current(ours), _newest(ours)
            if current is None or newest is None:
                return
            self._traffic[key] = tuning
            wanted = msgspec.structs.replace(tuning, split=(), shadow=())
            resting, until = self._untuned.get(key, (None, 0.0))
            if newest.offer.tuning == wanted or newest is not current or (resting == wanted and time.monotonic() < until):
                return
            self._start(msgspec.structs.replace(current.offer, tuning=wanted), ours)

    def cancel(self, key: Key) -> None:
        """See ``Runtime``."""
        with self._lock:
            for box in self._ours(key):
                if box.role == "candidate":
                    self._remove(box)

    def stop(self, key: Key) -> None:
        """See ``Runtime``."""
        with self._lock:
            for box in self._ours(key):
                if box.role == "candidate":
                    self._remove(box)
                elif box.role == "current":
                    self._retire(box)
                    self._terminate(box)
            self._failures.pop(key, None)
            self._traffic.pop(key, None)

    # --- the world --------------------------------------------------------------------------------------------------------------

    def _listed(self, key: Key | None = None) -> list[Box]:
        placement = self._placement()
        labels = boxes.owned(placement.instance) | ({"model": key.model, "alias": key.alias} if key is not None else {})
        read = (boxes.read(one, placement.network) for one in self._engine.containers(labels))
        return sorted((box for box in read if box is not None), key=lambda box: box.generation)

    def _ours(self, key: Key) -> list[Box]:
        """List an endpoint's containers, for an order; raises ``Superseded`` when a controller with a younger lease has spoken."""
        found = self._listed()
        if self._youngest(found) > self.epoch:
            raise Superseded("A controller with a younger lease gives the orders here.", remedy="Stop this controller.")
        return [box for box in found if box.offer.key == key]

    def _youngest(self, found: Iterable[Box]) -> int:
        return max((box.epoch for box in found), default=0)

    def _check_name(self, key: Key) -> None:
        """Refuse an endpoint whose name a stranger's container has."""
        name = endpoint_name(*key)
        with contextlib.suppress(NotFound):
            said = self._engine.inspect(name)["Config"].get("Labels") or {}
            if not boxes.owned(self._placement().instance).items() <= said.items():
                raise Conflict(
                    f"The Docker Engine has a container {name} that this Samovar does not own.",
                    remedy="Remove or rename it, or set SAMOVAR_INSTANCE if it is your own from before.",
                )

    def _state(self, key: Key, ours: list[Box]) -> EndpointState | None:
        current = _current(ours)
        candidates = [box for box in ours if box.role == "candidate" and box.state not in _ENDED]
        failure = self._failures.get(key)
        if current is None and not candidates and failure is None:
            return None
        newest = candidates[-1] if candidates else current
        assert newest is not None or failure is not None
        traffic = self._traffic.get(key, PLAIN)
        tuning = newest.offer.tuning if newest is not None else PLAIN
        state = EndpointState(
            *key,
            port=boxes.PORT,
            loading=candidates[-1].offer.version if candidates else None,
            failed=failure.version if failure else None,
            failures=failure.count if failure else 0,
            reason=failure.reason if failure else "",
            tuning=msgspec.structs.replace(tuning, split=traffic.split, shadow=traffic.shadow),
            warnings=unshared(traffic),
        )
        if current is None:
            return state
        return msgspec.structs.replace(
            state,
            serving=current.offer.version,
            label=current.offer.label,
            up=current.state == "running" and current.healthy is not False,
            since=current.created,
            engine=self._prover.engine(current),
            format=current.offer.format or FORMAT,
            host=current.address or endpoint_name(*key),
        )

    # --- one step further -------------------------------------------------------------------------------------------------------

    def _go_on(self, found: list[Box]) -> bool:
        """Take what is begun one step further; tell whether anything was changed."""
        changed = False
        for key, ours in _by_key(found).items():
            try:
                changed |= self._go_on_with(key, ours)
            except (Conflict, NotFound) as error:
                # Somebody else moved the same container: the next look shows what came of it.
                log.info("a container was moved by another", model=key.model, alias=key.alias, reason=str(error))
                changed = True
        return changed

    def _go_on_with(self, key: Key, ours: list[Box]) -> bool:
        changed = False
        current = _current(ours)
        candidates = [box for box in ours if box.role == "candidate"]
        for box in candidates[:-1]:
            self._remove(box)  # a newer wish came
            changed = True
        for box in candidates[-1:]:
            changed |= self._judge(key, box, current)
        for box in ours:
            if box.role == "retired":
                changed |= self._see_off(box)
        if current is not None and current.state in {"exited", "created"}:
            self._engine.start(current.id)  # it was stopped by hand; what is wished is that it serves
            changed = True
        return changed

    def _judge(self, key: Key, box: Box, current: Box | None) -> bool:
        if box.state in _ENDED:
            self._fail(key, box, endings.why(self._engine, box))
            return True
        if box.state == "running":
            try:
                proven = self._prover.answers(box)
            except ModelError as error:
                self._fail(key, box, error)
                return True
            if proven:
                self._promote(box, current)
                return True
        if time.time() - box.created > self._placement().start_seconds:
            seconds = self._placement().start_seconds
            self._fail(key, box, ModelError(f"The container did not answer within {seconds:.0f} seconds."))
            return True
        return False

    def _promote(self, box: Box, current: Box | None) -> None:
        """Give the endpoint's name to a container that has proved itself. Between the two, for milliseconds, nobody has it."""
        self._engine.restart_always(box.id)
        if current is not None:
            self._retire(current)
        self._engine.rename(box.id, endpoint_name(*box.offer.key))
        self._failures.pop(box.offer.key, None)
        log.info("serving", model=box.offer.key.model, alias=box.offer.key.alias, version=box.offer.version, address=box.address)

    def _fail(self, key: Key, box: Box, error: SamovarError) -> None:
        self._remove(box)
        if box.offer.tuning != PLAIN:
            self._untuned[key] = box.offer.tuning, time.monotonic() + _UNTUNED_SECONDS
        if box.id in self._awaited:
            self._awaited[box.id] = error
            return
        before = self._failures.get(key)
        self._failures[key] = _Failure(box.offer.version, str(error), before.count + 1 if before else 1)
        log.warning("a version fails", model=key.model, alias=key.alias, version=box.offer.version, reason=str(error))

    def _retire(self, box: Box) -> None:
        self._engine.rename(box.id, boxes.retired_name(box.offer.key, box.generation))
        self._leaving[box.id] = time.monotonic(), False

    def _terminate(self, box: Box) -> None:
        self._leaving[box.id] = time.monotonic(), True
        with contextlib.suppress(Conflict):  # it has ended by itself
            self._engine.terminate(box.id)

    def _see_off(self, box: Box) -> bool:
        """Let a container go that clients no longer come to: it lingers, is told to leave, and is removed when it has left."""
        now = time.monotonic()
        since, told = self._leaving.setdefault(box.id, (now, False))
        placement = self._placement()
        if box.state in _ENDED or box.state == "created" or (told and now - since > placement.drain_seconds + _LAST_CALL):
            self._remove(box)
            return True
        if not told and now - since >= placement.linger_seconds:
            self._terminate(box)
        return False

    # --- a new container --------------------------------------------------------------------------------------------------------

    def _offer(self, key: Key, known: Version, tuning: Tuning, *, trusted: bool) -> Offer:
        placement = self._placement()
        made = FORMAT if placement.engine == "samovar" else 0
        return Offer(
            key, known.version, known.label, origin(known), placement.image, placement.engine, made, tuning, trusted=trusted
        )

    def _start(self, offer: Offer, ours: list[Box]) -> str:
        placement = self._placement()
        for box in ours:
            if box.role == "candidate":
                self._remove(box)
        generation = max((box.generation for box in ours), default=0) + 1
        self._engine.ensure_network(placement.network, boxes.owned(placement.instance))
        body = recipe.container(offer, placement, generation=generation, epoch=self.epoch)
        try:
            made = self._engine.create(boxes.candidate_name(offer.key, generation), body)
        except NotFound as error:
            raise NotFound(
                f"The engine cannot make the container: {error.message}", remedy=f"Build or pull the image {offer.image}."
            ) from None
        try:
            if placement.secrets and offer.engine == "samovar":
                self._engine.put(made, recipe.SECRETS.rpartition("/")[0], recipe.archive(placement.secrets))
            self._engine.start(made)
        except SamovarError:
            with contextlib.suppress(SamovarError):
                self._engine.remove(made)
            raise
        return made

    def _wait(self, key: Key, box: str, wished: Callable[[], bool]) -> None:
        """Wait until a container serves; raises why it does not. One that is gone was cancelled."""
        while True:
            with self._lock:
                ours = self._listed(key)
                self._go_on_with_care(key, ours)
                error = self._awaited[box]
                if error is not None:
                    raise error
                mine = next((one for one in self._listed(key) if one.id == box), None)
                if mine is None or mine.role != "candidate":
                    return
                if not wished():
                    self._remove(mine)
                    return
            time.sleep(_LOOK_SECONDS)

    def _go_on_with_care(self, key: Key, ours: list[Box]) -> None:
        with contextlib.suppress(Conflict, NotFound):
            self._go_on_with(key, ours)

    def _remove(self, box: Box) -> None:
        with contextlib.suppress(NotFound, Conflict):  # gone, or being removed
            self._engine.remove(box.id)


def _by_key(found: Iterable[Box]) -> dict[Key, list[Box]]:
    parted: dict[Key, list[Box]] = {}
    for box in found:
        parted.setdefault(box.offer.key, []).append(box)
    return parted


def _current(ours: Iterable[Box]) -> Box | None:
    return next((box for box in ours if box.role == "current"), None)


def _newest(ours: Iterable[Box]) -> Box | None:
    return max((box for box in ours if box.role != "retired"), key=lambda box: box.generation, default=None)
