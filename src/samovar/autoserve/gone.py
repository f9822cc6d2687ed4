"""Why an alias is gone. One that a person deleted ends its endpoint; a version deleted under its alias, or a rename, does not."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from samovar.autoserve.origin import origin
from samovar.errors import NotFound, SamovarError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from samovar.autoserve.plan import Key
    from samovar.autoserve.protocol import EndpointState
    from samovar.registry.client import Registry


class Gone:
    """Holds endpoints whose alias was not deleted as such. Asks the registry once about each alias that is gone.

    Args:
        registry: gives the registry.
    """

    def __init__(self, registry: Callable[[], Registry]) -> None:
        self._registry = registry
        self._before: frozenset[str] | None = None
        self._came: dict[Key, frozenset[str]] = {}
        self._pointed: dict[Key, int] = {}
        self._strange: dict[Key, bool] = {}
        self._judged: dict[Key, str] = {}

    @property
    def held(self) -> dict[Key, str]:
        """The endpoints that are held, and why."""
        return {key: reason for key, reason in self._judged.items() if reason}

    def observe(self, listed: Mapping[Key, int], ripe: Collection[Key], states: Mapping[Key, EndpointState]) -> frozenset[Key]:
        """Take one complete listing in, and return those of the ``ripe`` endpoints that may end.

        Args:
            listed: aliases in the registry, and the versions that they point to.
            ripe: endpoints whose aliases are gone for good.
            states: endpoints that exist.
        """
        self._watch(listed, states)
        self._judged = {key: reason for key, reason in self._judged.items() if key not in listed and key in states}
        for key in ripe:
            if key not in self._judged and key in states:
                try:
                    self._judged[key] = self._judge(key, states)
                except SamovarError:
                    continue  # nobody knows: asked again in the next round
        return frozenset(key for key in ripe if key not in states or self._judged.get(key) == "")

    def confirm(self) -> frozenset[Key]:
        """Let the held endpoints end; returns them."""
        released = frozenset(self.held)
        self._judged = self._judged | dict.fromkeys(released, "")
        return released

    def _watch(self, listed: Mapping[Key, int], states: Mapping[Key, EndpointState]) -> None:
        """Remember what each alias pointed to, and how the registry looked when it went.

        One of the models that came may be the old one under another name. A registry that lists no endpoint at all may be another
        one: that is seen in the first such listing, before anything of it is served.
        """
        self._pointed = {key: version for key, version in self._pointed.items() if key in states} | dict(listed)
        another = states.keys().isdisjoint(listed)
        self._strange = {key: self._strange.get(key, another) for key in states if key not in listed}
        models = frozenset(key.model for key in listed)
        new = models - self._before if self._before is not None else frozenset()
        self._came = {key: self._came.get(key, frozenset()) | new for key in states if key not in listed}
        self._before = models

    def _judge(self, key: Key, states: Mapping[Key, EndpointState]) -> str:
        state, registry = states[key], self._registry()
        serving = state.serving
        if serving is None:
            return ""
        if self._exists(lambda: registry.model(key.model)):
            deleted = self._deleted(key.model, self._versions(key, state))
            if deleted is None:
                return ""
            return (
                f"Version {deleted} was deleted from the registry under its alias."
                f" {'It' if deleted == serving else f'Version {serving}'} keeps answering from memory: set the alias to another"
                " version, or run `samovar confirm` to end it."
            )
        twins = frozenset(other.model for other, its in states.items() if state.origin and its.origin == state.origin)
        for model in sorted((self._came.get(key, frozenset()) | twins) - {key.model}):
            if self._exists(functools.partial(_same, registry, model, serving, state.origin)):
                return (
                    f"The registered model {key.model} is called {model} now. Version {serving} keeps answering here: point its"
                    f" callers to {model}@{key.alias}, then run `samovar confirm`."
                )
        if self._strange.get(key):
            return (
                f"The registry knows no model {key.model}, and no other that is served here. Version {serving} keeps answering:"
                " check the registry's address, or run `samovar confirm` to end it."
            )
        return ""

    def _versions(self, key: Key, state: EndpointState) -> list[int]:
        """Return the versions whose deletion would have taken the alias along.

        It need not have pointed to the one that serves. A controller that never saw it guesses from what the agent tried last.
        """
        guess = state.loading if state.loading is not None else state.failed
        return sorted({version for version in (state.serving, self._pointed.get(key, guess)) if version is not None})

    def _deleted(self, model: str, versions: Iterable[int]) -> int | None:
        registry = self._registry()
        return next(
            (version for version in versions if not self._exists(functools.partial(registry.version, model, version))), None
        )

    @staticmethod
    def _exists(look: Callable[[], object]) -> bool:
        try:
            look()
        except NotFound:
            return False
        return True


def _same(registry: Registry, model: str, version: int, wanted: str) -> None:
    """Raise NotFound unless a model has the very version that ``wanted`` is the digest of."""
    if origin(registry.version(model, version)) != wanted:
        raise NotFound("It is another version.")
