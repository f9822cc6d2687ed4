"""The controller's lease as a Lease object of the namespace that it is about: controllers need to share no database."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from samovar.autoserve.runtimes.kubernetes.manifests import NOTE
from samovar.autoserve.runtimes.kubernetes.states import note
from samovar.errors import Conflict
from samovar.store.leases import Lease, next_epoch

if TYPE_CHECKING:
    from samovar.autoserve.runtimes.kubernetes.cluster import Cluster


class ClusterPlace:
    """A namespace as a place for leases; see `samovar.autoserve.lease.Place`.

    Kubernetes refuses a change to an object that somebody else has changed since it was read, which is all that a lease needs.

    Args:
        cluster: the namespace.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def local(self) -> bool:
        """See ``Place``."""
        return False

    def get(self, name: str) -> Lease | None:
        """See ``Place``."""
        found = self._cluster.get("Lease", object_name(name))
        return _read(name, found) if found is not None else None

    def take(self, name: str, holder: str, seconds: float, seen: Lease | None) -> Lease | None:
        """See ``Place``."""
        taken = Lease(name, holder, next_epoch(seen), 0, seconds)
        try:
            if seen is None:
                self._cluster.create(_object(taken))
                return taken
            return taken if self._replace(taken, seen) else None
        except Conflict:
            return None

    def renew(self, lease: Lease) -> bool:
        """See ``Place``."""
        found = self._cluster.get("Lease", object_name(lease.name))
        if found is None or not _same(_read(lease.name, found), lease):
            return False
        beat = _read(lease.name, found).beat + 1
        try:
            self._cluster.apply(_object(lease, beat=beat), seen=found["metadata"]["resourceVersion"])
        except Conflict:
            return False
        return True

    def release(self, lease: Lease) -> None:
        """See ``Place``."""
        found = self._cluster.get("Lease", object_name(lease.name))
        if found is not None and _same(_read(lease.name, found), lease):
            self._cluster.apply(_object(lease, holder=""), seen=found["metadata"]["resourceVersion"])

    def _replace(self, taken: Lease, seen: Lease) -> bool:
        found = self._cluster.get("Lease", object_name(taken.name))
        if found is None:
            return False
        now = _read(taken.name, found)
        if (now.holder, now.epoch, now.beat) != (seen.holder, seen.epoch, seen.beat):
            return False
        self._cluster.apply(_object(taken), seen=found["metadata"]["resourceVersion"])
        return True


def object_name(name: str) -> str:
    """Return what a lease is called in a cluster."""
    return "samovar-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:200]


def _same(one: Lease, other: Lease) -> bool:
    return (one.holder, one.epoch) == (other.holder, other.epoch)


def _object(lease: Lease, *, beat: int = 0, holder: str | None = None) -> dict[str, Any]:
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec: dict[str, Any] = {"leaseDurationSeconds": max(1, round(lease.seconds)), "renewTime": now}
    said = lease.holder if holder is None else holder
    if said:
        spec["holderIdentity"] = said
    notes = {"name": lease.name, "epoch": str(lease.epoch), "beat": str(beat), "seconds": f"{lease.seconds:g}"}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": object_name(lease.name), "annotations": {f"{NOTE}{key}": value for key, value in notes.items()}},
        "spec": spec,
    }


def _read(name: str, found: dict[str, Any]) -> Lease:
    holder = str((found.get("spec") or {}).get("holderIdentity") or "")
    return Lease(name, holder, int(note(found, "epoch", "0")), int(note(found, "beat", "0")), float(note(found, "seconds", "15")))
