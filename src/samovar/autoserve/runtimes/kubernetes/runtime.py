"""The Kubernetes runtime: what it declares, Kubernetes does; what it must know later is written on the objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.origin import origin
from samovar.autoserve.runtimes.kubernetes import manifests, states
from samovar.autoserve.runtimes.kubernetes.cluster import KINDS
from samovar.autoserve.runtimes.kubernetes.manifests import ENDPOINT, Offer
from samovar.autoserve.tuning import PLAIN
from samovar.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.autoserve.plan import Key
    from samovar.autoserve.protocol import EndpointState
    from samovar.autoserve.runtimes.kubernetes.cluster import Cluster
    from samovar.autoserve.runtimes.kubernetes.placement import Placement
    from samovar.autoserve.tuning import Tuning
    from samovar.registry.client import Version


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

    def endpoints(self) -> dict[Key, EndpointState]:
        """See ``Runtime``. Three listings, however many endpoints there are."""
        labels = manifests.owned(self._placement)
        sets, pods = (_by_endpoint(self._cluster.list(kind, labels)) for kind in ("ReplicaSet", "Pod"))
        found = {}
        for deployment in self._cluster.list("Deployment", labels):
            name = deployment["metadata"]["name"]
            seen = states.Seen(deployment, sets.get(name, []), pods.get(name, []))
            found[states.key_of(deployment)] = states.state(seen, self._host(name))
        return found

    def bring(self, key: Key, version: int, *, wished: Callable[[], bool], again: bool = False) -> None:
        """See ``Runtime``. Returns when Kubernetes has taken the order; the roll-out is seen in ``endpoints``."""
        known = self._version(key.model, version)
        trusted = self._trusted(key.model, version)
        found = self._deployment(key)
        tuning, attempt = PLAIN, 0
        if found is not None:
            before = states.offer_of(found, found["spec"]["template"])
            tuning = before.tuning
            attempt = before.attempt + again if before.version == version else 0
        if wished():
            self._apply(Offer(key, version, known.label, origin(known), tuning, trusted, attempt), found)

    def tune(self, key: Key, tuning: Tuning) -> None:
        """See ``Runtime``."""
        found = self._deployment(key)
        if found is None:
            return
        offer = msgspec.structs.replace(states.offer_of(found, found["spec"]["template"]), tuning=tuning)
        self._apply(offer, found)
        self._prune(offer)

    def cancel(self, key: Key) -> None:
        """See ``Runtime``. The template goes back to the version that answers; with none there is nothing to go back to."""
        found = self._deployment(key)
        if found is None:
            return
        sets = self._cluster.list("ReplicaSet", manifests.owned(self._placement) | {ENDPOINT: endpoint_name(*key)})
        now = states.state(states.Seen(found, sets, []), "")
        if now.loading is None:
            return
        template = states.template_of(sets, now.serving) if now.serving is not None else None
        if template is not None:
            self._apply(states.offer_of(found, template), found)
        else:
            self._remove(key)

    def stop(self, key: Key) -> None:
        """See ``Runtime``."""
        if self._deployment(key) is not None:
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
        """Return the endpoint's Deployment; raises ``Conflict`` when it is not ours to change."""
        found = self._cluster.get("Deployment", endpoint_name(*key))
        if found is None:
            return None
        if not self._ours(found) or states.key_of(found) != key:
            raise Conflict(
                f"The namespace has a Deployment {endpoint_name(*key)} that this Samovar does not own.",
                remedy="Delete or rename it, or give Samovar another namespace.",
            )
        if states.epoch_of(found) > self.epoch:
            raise Conflict("A controller with a younger lease has spoken.", remedy="Stop this controller.")
        return found

    def _host(self, name: str) -> str:
        return f"{name}.{self._placement.namespace}.svc"


def _by_endpoint(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    parted: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        parted.setdefault(one["metadata"]["labels"].get(ENDPOINT, ""), []).append(one)
    return parted
