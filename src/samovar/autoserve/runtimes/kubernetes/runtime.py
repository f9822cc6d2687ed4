"""The Kubernetes runtime: what it declares, Kubernetes does; what it must know later is written on the objects."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.origin import origin
from samovar.autoserve.protocol import EndpointState
from samovar.autoserve.runtimes.kubernetes import manifests, states
from samovar.autoserve.runtimes.kubernetes.cluster import KINDS
from samovar.autoserve.runtimes.kubernetes.manifests import ENDPOINT, Offer
from samovar.autoserve.tuning import PLAIN
from samovar.errors import Conflict, Superseded
from samovar.logs import get_logger
from samovar.scoring.plan import FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.autoserve.plan import Key
    from samovar.autoserve.runtimes.kubernetes.cluster import Cluster
    from samovar.autoserve.runtimes.kubernetes.placement import Placement
    from samovar.autoserve.tuning import Tuning
    from samovar.registry.client import Version


log = get_logger(__name__)


class _Failure(msgspec.Struct, frozen=True):
    """A version that did not come."""

    key: Key
    version: int
    reason: str
    count: int

    def told(self, state: EndpointState | None) -> EndpointState:
        """Return the endpoint's state with the failure in it; an endpoint that has nothing else has this."""
        said = state if state is not None else EndpointState(*self.key, port=manifests.PORT, format=FORMAT)
        loading = None if said.loading == self.version else said.loading
        return msgspec.structs.replace(said, loading=loading, failed=self.version, failures=self.count, reason=self.reason)


class KubernetesRuntime:
    """Endpoints are Deployments and Services of one namespace.

    Args:
        cluster: the cluster.
        placement: where and how endpoints stand there.
        version: reads a version from the registry.
        trusted: whether a person trusted a version.
    """

    def __init__(
        self, cluster: Cluster, placement: Placement, version: Callable[[str, int], Version], trusted: Callable[[str, int], bool]
    ) -> None:
        self.epoch = 0
        self._cluster = cluster
        self._placement = placement
        self._version = version
        self._trusted = trusted
        self._failures: dict[Key, _Failure] = {}

    def endpoints(self) -> dict[Key, EndpointState]:
        """See ``Runtime``. Three listings, however many endpoints there are. What will not come is taken back in passing."""
        labels = manifests.owned(self._placement)
        sets, pods = (_by_endpoint(self._cluster.list(kind, labels)) for kind in ("ReplicaSet", "Pod"))
        found: dict[Key, EndpointState] = {}
        for deployment in self._cluster.list("Deployment", labels):
            name = deployment["metadata"]["name"]
            seen = states.Seen(deployment, sets.get(name, []), pods.get(name, []))
            state = states.state(seen, self._host(name))
            if state.failed is not None and states.epoch_of(deployment) <= self.epoch:
                self._give_up(states.key_of(deployment), state, seen)
            found[states.key_of(deployment)] = state
        for key, failure in self._failures.items():
            found[key] = failure.told(found.get(key))
        return found

    def bring(self, key: Key, version: int, *, wished: Callable[[], bool], again: bool = False) -> None:  # noqa: ARG002 - nothing is kept
        """See ``Runtime``. Returns when Kubernetes has taken the order; the roll-out is seen in ``endpoints``."""
        known = self._version(key.model, version)
        trusted = self._trusted(key.model, version)
        found = self._deployment(key)
        if found is None and self._cluster.get("Deployment", endpoint_name(*key)) is not None:
            raise Conflict(
                f"The namespace has a Deployment {endpoint_name(*key)} that this Samovar does not own.",
                remedy="Delete or rename it, or give Samovar another namespace.",
            )
        tuning = states.tuning_of(found) if found is not None else PLAIN
        if wished():
            self._failures.pop(key, None)
            self._apply(Offer(key, version, known.label, origin(known), tuning, trusted), found)

    def tune(self, key: Key, tuning: Tuning) -> None:
        """See ``Runtime``."""
        found = self._deployment(key)
        if found is None:
            return
        offer = msgspec.structs.replace(states.offer_of(found, found["spec"]["template"]), tuning=tuning)
        self._apply(offer, found)
        self._prune(offer)

    def cancel(self, key: Key) -> None:
        """See ``Runtime``."""
        found = self._deployment(key)
        if found is None:
            return
        sets = self._cluster.list("ReplicaSet", manifests.owned(self._placement) | {ENDPOINT: endpoint_name(*key)})
        seen = states.Seen(found, sets, [])
        now = states.state(seen, "")
        if now.loading is not None:
            self._take_back(key, now, seen)

    def stop(self, key: Key) -> None:
        """See ``Runtime``."""
        if self._deployment(key) is not None:
            self._remove(key)
        self._failures.pop(key, None)

    def _give_up(self, key: Key, state: EndpointState, seen: states.Seen) -> None:
        """Take back a version that will not come, and remember why: its pods, which know, go with it."""
        assert state.failed is not None
        count = self._failures[key].count + 1 if key in self._failures else 1
        self._failures[key] = _Failure(key, state.failed, state.reason, count)
        log.warning("a version failed", model=key.model, alias=key.alias, version=state.failed, reason=state.reason)
        with contextlib.suppress(Conflict):  # somebody changed it meanwhile: the next look sees what has become of it
            self._take_back(key, state, seen)

    def _take_back(self, key: Key, state: EndpointState, seen: states.Seen) -> None:
        """Return to the version that answers; with none there is nothing to return to."""
        template = states.template_of(seen.replica_sets, state.serving) if state.serving is not None else None
        if template is not None:
            self._apply(states.offer_of(seen.deployment, template), seen.deployment)
        else:
            self._remove(key)

    def _remove(self, key: Key) -> None:
        """Take away what is this endpoint's and ours; a namesake of somebody else stays."""
        for kind in self._kinds():
            if self._owned(kind, endpoint_name(*key)):
                self._cluster.delete(kind, endpoint_name(*key))

    def _prune(self, offer: Offer) -> None:
        """Take away the objects that an endpoint of another tuning had."""
        name = endpoint_name(*offer.key)
        kept = {one["kind"] for one in self._objects(offer)}
        for kind in self._kinds():
            if kind not in kept and self._owned(kind, name):
                self._cluster.delete(kind, name)

    def _kinds(self) -> list[str]:
        return [kind for kind in KINDS if kind != "HTTPRoute" or self._cluster.has_gateway_api()]

    def _owned(self, kind: str, name: str) -> bool:
        found = self._cluster.get(kind, name)
        return found is not None and self._ours(found)

    def _ours(self, found: dict[str, Any]) -> bool:
        return manifests.owned(self._placement).items() <= (found["metadata"].get("labels") or {}).items()

    def _objects(self, offer: Offer) -> list[dict[str, Any]]:
        return manifests.objects(offer, self._placement, epoch=self.epoch, routes=self._cluster.has_gateway_api())

    def _apply(self, offer: Offer, found: dict[str, Any] | None) -> None:
        for one in self._objects(offer):
            # Another controller's word between our look and our order is a conflict, not a race.
            known = found["metadata"]["resourceVersion"] if found is not None and one["kind"] == "Deployment" else ""
            self._cluster.apply(one, seen=known)

    def _deployment(self, key: Key) -> dict[str, Any] | None:
        """Return the endpoint's Deployment if it is ours; raises ``Superseded`` when a younger controller has changed it."""
        found = self._cluster.get("Deployment", endpoint_name(*key))
        if found is None or not self._ours(found) or states.key_of(found) != key:
            return None
        if states.epoch_of(found) > self.epoch:
            raise Superseded("A controller with a younger lease gives the orders here.", remedy="Stop this controller.")
        return found

    def _host(self, name: str) -> str:
        return f"{name}.{self._placement.namespace}.svc"


def _by_endpoint(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    parted: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        parted.setdefault(one["metadata"]["labels"].get(ENDPOINT, ""), []).append(one)
    return parted
