"""Brings one model version from the registry to the agent."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import msgspec

from samovar.autoserve import memory, protocol
from samovar.autoserve.origin import origin
from samovar.autoserve.runtimes.process import plancache
from samovar.errors import Conflict, ModelError, StackUnavailable, Untrusted
from samovar.registry.files import fetch_files
from samovar.scoring.builder import run_builder
from samovar.scoring.plan import FORMAT, encode
from samovar.scoring.request import BuildRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.autoserve.environments.shelf import Need, Shelf
    from samovar.autoserve.plan import Key
    from samovar.autoserve.runtimes.process.link import AgentLink
    from samovar.autoserve.runtimes.process.plancache import PlanCache
    from samovar.registry.client import Registry


_NOTES = 1000
"""Characters of a plan's notes that travel with every worker."""


class Delivery:
    """Fetches, has built, and hands over.

    Args:
        registry: gives the registry; raises ``RetryLater`` when its address is not known yet.
        agent: the agent.
        trusted: whether a person trusted a version.
        cache: plans that were built before.
        build_seconds: longest time of a build.
        build_memory: bytes that a build may take; 0 is no limit.
        compile: whether models may be lowered to compiled scorers.
        shelf: environments for trusted versions that need another one than this host's; None when there are to be none.
    """

    def __init__(  # noqa: PLR0913 - whom it asks, and how a build is made
        self,
        registry: Callable[[], Registry],
        agent: AgentLink,
        trusted: Callable[[str, int], bool],
        cache: PlanCache,
        build_seconds: float,
        *,
        build_memory: int = 0,
        compile: bool = True,  # noqa: A002 - what the setting and the request call it
        shelf: Shelf | None = None,
    ) -> None:
        self._registry = registry
        self._agent = agent
        self._trusted = trusted
        self._cache = cache
        self._build_seconds = build_seconds
        self._build_memory = build_memory
        self._compile = compile
        self._shelf = shelf
        self._needs: dict[tuple[str, str], Need] = {}  # by model and origin, of versions that wait for their environment

    def bring(self, key: Key, number: int, *, wished: Callable[[], bool], again: bool = False) -> None:
        """Have the agent serve a version; a version that is no longer wished for when it is ready is dropped.

        Args:
            key: the endpoint.
            number: the version.
            wished: asked again when the plan is ready.
            again: it was brought before and failed, so its plan is built anew.

        Raises:
            SamovarError: why it cannot be served.
        """
        registry = self._registry()
        version = registry.version(key.model, number)
        offer = protocol.Serve(key.model, key.alias, number, version.label, origin(version), FORMAT)
        # The alias may have moved while MLflow took its time. What was promoted or rolled back is in the agent's memory already.
        if not wished() or self._agent.serve(offer):
            return
        self._check_prepared(key.model, offer.origin)
        files = fetch_files(registry, version)
        trusted = self._trusted(key.model, number)
        need = self._shelf.need(files) if self._shelf is not None else None
        request = BuildRequest(
            model=key.model,
            version=number,
            run_id=version.run_id,
            label=version.label,
            files=files,
            trusted=trusted,
            compile=self._compile,
            environment=need.name if need is not None and trusted else "",
        )
        kept = None if again else self._cache.get(request)
        python = self._python(request, offer.origin, need, kept)
        fd = self._build(request, python, wished) if kept is None else memory.seal(kept, name=f"{key.model}-v{number}")
        if fd is None:
            return
        try:
            plan = memory.read(fd) if kept is None else kept
            if wished():
                self._agent.serve(_offered(offer, plan, request, need), fd)
        finally:
            os.close(fd)
        if kept is None:
            self._cache.put(request, plan)

    def _check_prepared(self, model: str, origin: str) -> None:
        """Wait for an environment without reading the model's files again and again."""
        need = self._needs.get((model, origin))
        if need is not None and self._shelf is not None:
            self._shelf.python(need)
            del self._needs[model, origin]

    def _python(self, request: BuildRequest, origin: str, need: Need | None, kept: bytes | None) -> str | None:
        """Return the interpreter of the version's own environment, which is there when this returns; None for the host's.

        A compiled plan that was kept needs none of the model's libraries, so it needs no environment.
        """
        if not request.environment or need is None or self._shelf is None:
            return None
        if kept is not None and plancache.head(kept).engine == "compiled":
            return None
        self._needs[request.model, origin] = need
        python = self._shelf.python(need)
        del self._needs[request.model, origin]
        return python

    def _build(self, request: BuildRequest, python: str | None, wished: Callable[[], bool]) -> int | None:
        """Have a plan built; return its descriptor, or None when nobody wishes for it any more."""
        if python is not None:
            return self._build_afresh(request, python, wished)
        order = protocol.Build(request.model, request.version, self._build_seconds)
        request_fd = memory.seal(msgspec.msgpack.encode(request), name="request")
        try:
            answer = self._agent.build(order, request_fd, wished)
        except StackUnavailable:
            # No zygote now: a builder that starts from nothing takes seconds longer, and is as good.
            return self._build_afresh(request, sys.executable, wished)
        finally:
            os.close(request_fd)
        if answer is None:
            return None
        built, fd = answer
        if fd is not None:
            return fd
        raise (Untrusted if built.condition == "Untrusted" else ModelError)(built.message, remedy=built.remedy)

    def _build_afresh(self, request: BuildRequest, python: str, wished: Callable[[], bool]) -> int | None:
        try:
            plan = run_builder(request, self._build_seconds, memory=self._build_memory, python=python, wished=wished)
        except Conflict:
            return None
        return memory.seal(encode(plan), name=f"{request.model}-v{request.version}")


def _offered(offer: protocol.Serve, plan: bytes, request: BuildRequest, need: Need | None) -> protocol.Serve:
    """Say what a plan is: a compiled one runs in any environment."""
    found = plancache.head(plan)
    notes = found.notes
    if need is not None and request.environment:
        notes += f" {'Built' if found.engine == 'compiled' else 'Runs'} in an environment of its own: {need.why}."
    elif need is not None:
        notes += f" It asks for other libraries ({need.why}); `samovar trust {request.model}/{request.version}` gives it its own."
    environment = "" if found.engine == "compiled" else request.environment
    return msgspec.structs.replace(offer, engine=found.engine, notes=notes.strip()[:_NOTES], environment=environment)
