"""Why an alias is gone. One that a person deleted ends its endpoint; a version deleted under its alias, or a rename, does not."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from samovar.autoserve.origin import origin
from samovar.errors import NotFound, SamovarError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

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
        self._judged: dict[Key, str] = {}

    @property
    def held(self) -> dict[Key, str]:
        """The endpoints that are held, and why."""
        return {key: reason for key, reason in self._judged.items() if reason}

    def observe(self, listed: Collection[Key], ripe: Collection[Key], states: Mapping[Key, EndpointState]) -> frozenset[Key]:
        """Take one complete listing in, and return those of the ``ripe`` endpoints that may end."""
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

    def _watch(self, listed: Collection[Key], states: Mapping[Key, EndpointState]) -> None:
        """Remember which models came when an alias went: one of them may be the old one under another name."""
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
            if self._exists(lambda: registry.version(key.model, serving)):
                return ""
            return (
                f"Version {serving} was deleted from the registry under its alias. It keeps answering from memory: set the alias to"
                " another version, or run `samovar confirm` to end it."
            )
        twins = frozenset(other.model for other, its in states.items() if state.origin and its.origin == state.origin)
        for model in sorted((self._came.get(key, frozenset()) | twins) - {key.model}):
            if self._exists(functools.partial(_same, registry, model, serving, state.origin)):
                return (
                    f"The registered model {key.model} is called {model} now. Version {serving} keeps answering here: point its"
                    f" callers to {model}@{key.alias}, then run `samovar confirm`."
                )
        return ""

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
