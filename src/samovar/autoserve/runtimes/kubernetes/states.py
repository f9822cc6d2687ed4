"""What a cluster says of an endpoint, read from its Deployment, ReplicaSets and Pods. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from samovar.autoserve.plan import Key
from samovar.autoserve.protocol import EndpointState
from samovar.autoserve.runtimes.kubernetes.manifests import NOTE, PORT, VERSION, Offer
from samovar.autoserve.standalone import codes
from samovar.autoserve.tuning import PLAIN, Tuning, unshared
from samovar.scoring.plan import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CRASHES = 3
"""Restarts of a pod that never answered after which its version counts as failed, long before Kubernetes' own deadline."""

FINAL = frozenset({codes.WRONG_SETTINGS, codes.MODEL_FAILS, codes.NOT_FOUND, codes.UNTRUSTED})
"""How an endpoint ends that will end so again."""

_WORDS = 500


class Seen(msgspec.Struct):
    """One endpoint's objects, as plain JSON values."""

    deployment: dict[str, Any]
    replica_sets: list[dict[str, Any]]
    pods: list[dict[str, Any]]


def key_of(deployment: Mapping[str, Any]) -> Key:
    """Return whose Deployment it is."""
    return Key(note(deployment, "model"), note(deployment, "alias"))


def note(thing: Mapping[str, Any], name: str, default: str = "") -> str:
    """Return one of our annotations."""
    return str((thing["metadata"].get("annotations") or {}).get(f"{NOTE}{name}", default))


def epoch_of(deployment: Mapping[str, Any]) -> int:
    """Return the lease of the controller that changed it last."""
    return int(note(deployment, "epoch", "0"))


def tuning_of(deployment: Mapping[str, Any]) -> Tuning:
    """Return how it is served; what a later Samovar wrote and this one cannot read is plain."""
    try:
        return msgspec.json.decode(note(deployment, "tuning", "{}"), type=Tuning)
    except msgspec.DecodeError:
        return PLAIN


def offer_of(deployment: Mapping[str, Any], template: Mapping[str, Any]) -> Offer:
    """Return what a pod template (the Deployment's own, or an older ReplicaSet's) serves."""
    return Offer(
        key_of(deployment),
        int(note(template, "version", "0")),
        note(template, "label"),
        note(template, "origin"),
        tuning_of(deployment),
        note(template, "trusted") == "true",
    )


def state(seen: Seen, host: str) -> EndpointState:
    """Judge one endpoint.

    Args:
        seen: its objects.
        host: name under which the cluster reaches it.
    """
    wanted = int(note(seen.deployment["spec"]["template"], "version", "0"))
    ready = _ready(seen.replica_sets)
    complete = _complete(seen.deployment)
    serving, template = _serving(seen, wanted, ready, complete=complete)
    failed = None if complete else _failure(seen, wanted)
    return EndpointState(
        *key_of(seen.deployment),
        port=PORT,
        serving=serving,
        label=note(template, "label") if template is not None else "",
        up=serving is not None and ready.get(serving, 0) > 0,
        loading=None if complete or serving == wanted else wanted,
        failed=wanted if failed is not None else None,
        failures=0 if failed is None else 1,
        reason=failed or "",
        restarts=sum(_restarts(pod) for pod in seen.pods),
        format=FORMAT,
        host=host,
        tuning=tuning_of(seen.deployment),
        warnings=unshared(tuning_of(seen.deployment)),
        origin=note(template, "origin") if template is not None else "",
    )


def _complete(deployment: Mapping[str, Any]) -> bool:
    """Whether the Deployment's own version has taken over everywhere, however its pods are now."""
    status = deployment.get("status") or {}
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return False
    return any(
        one["type"] == "Progressing" and one["status"] == "True" and one.get("reason") == "NewReplicaSetAvailable"
        for one in status.get("conditions") or ()
    )


def _ready(replica_sets: Iterable[Mapping[str, Any]]) -> dict[int, int]:
    """Return how many pods of each version answer."""
    found: dict[int, int] = {}
    for one in replica_sets:
        version = int(note(one["spec"]["template"], "version", "0"))
        found[version] = found.get(version, 0) + int((one.get("status") or {}).get("readyReplicas") or 0)
    return found


def _serving(seen: Seen, wanted: int, ready: Mapping[int, int], *, complete: bool) -> tuple[int | None, Mapping[str, Any] | None]:
    if complete:
        return wanted, seen.deployment["spec"]["template"]
    # While a roll-out is under way the one before it is what the endpoint serves, until no pod of it is left.
    answering = sorted((count, version != wanted, version) for version, count in ready.items() if count)
    if not answering:
        return None, None
    version = next((version for _, other, version in reversed(answering) if other), wanted)
    return version, template_of(seen.replica_sets, version)


def template_of(replica_sets: Iterable[Mapping[str, Any]], version: int) -> Mapping[str, Any] | None:
    """Return the pod template of a version that is still there."""
    return next(
        (one["spec"]["template"] for one in replica_sets if note(one["spec"]["template"], "version", "0") == str(version)), None
    )


def _failure(seen: Seen, wanted: int) -> str | None:
    """Return why the version on its way will not come, None while it may."""
    for pod in seen.pods:
        if (pod["metadata"].get("labels") or {}).get(VERSION) == str(wanted) and not _is_ready(pod) and _hopeless(pod):
            return _last_words(pod) or "Its container keeps ending."
    for one in (seen.deployment.get("status") or {}).get("conditions") or ():
        if one["type"] == "Progressing" and one["status"] == "False":
            return next((words for pod in seen.pods if (words := _last_words(pod))), str(one.get("message") or one.get("reason")))
    return None


def _containers(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    return (pod.get("status") or {}).get("containerStatuses") or []


def _restarts(pod: Mapping[str, Any]) -> int:
    return sum(int(one.get("restartCount") or 0) for one in _containers(pod))


def _is_ready(pod: Mapping[str, Any]) -> bool:
    return all(one.get("ready") for one in _containers(pod))


def _hopeless(pod: Mapping[str, Any]) -> bool:
    """Whether a pod that is not ready has said that it never will be, or has ended too often."""
    ends = {
        (one.get(where) or {}).get("terminated", {}).get("exitCode") for one in _containers(pod) for where in ("state", "lastState")
    }
    return _restarts(pod) >= CRASHES or bool(ends & FINAL)


def _last_words(pod: Mapping[str, Any]) -> str:
    """Return what a pod said last: the line it ended with, or why it cannot begin."""
    for one in _containers(pod):
        for where in ("state", "lastState"):
            ended = (one.get(where) or {}).get("terminated") or {}
            if ended.get("message") or ended.get("reason") == "OOMKilled":
                return (ended.get("message") or "It took more memory than it may.").strip().splitlines()[-1][:_WORDS]
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CreateContainerConfigError"}:
            return f"{waiting['reason']}: {waiting.get('message', '')}"[:_WORDS]
    return ""
