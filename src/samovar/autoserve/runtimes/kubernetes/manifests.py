"""One alias as Kubernetes objects. Pure: the same endpoint gives the same objects, so applying them again changes nothing.

Every object is applied whole, with server-side apply and force: what Samovar declares is Samovar's, as Kubernetes advises
controllers; fields that it does not declare (``spec.replicas`` under an autoscaler, annotations of others) are left alone.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.tuning import PLAIN, Tuning

if TYPE_CHECKING:
    from samovar.autoserve.plan import Key
    from samovar.autoserve.runtimes.kubernetes.placement import Placement

MANAGER = "samovar"
PORT = 8080
NOTE = "samovar.io/"
"""Prefix of our annotations, which hold what no label can: names with spaces, digests, JSON."""

INSTANCE = "app.kubernetes.io/instance"
ENDPOINT = "samovar.io/endpoint"
VERSION = "version"

_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_HEARD_SECONDS = 5
"""Seconds between a pod's notice to leave and the last router that hears of it: until then it goes on accepting."""


class Offer(msgspec.Struct, frozen=True):
    """A version to be served by an endpoint.

    Attributes:
        key: model and alias.
        version: number in the registry.
        label: what answers call it.
        origin: tells it from a later version of the same number.
        tuning: how it is served.
        trusted: whether a person trusted its files, which may then run code.
    """

    key: Key
    version: int
    label: str
    origin: str
    tuning: Tuning = PLAIN
    trusted: bool = False


def objects(offer: Offer, placement: Placement, *, epoch: int, routes: bool) -> list[dict[str, Any]]:
    """Return the objects of an endpoint, in the order in which they are applied.

    Args:
        offer: what it serves.
        placement: where.
        epoch: lease of the controller that says so.
        routes: whether the cluster knows the Gateway API.
    """
    made = [_service(offer, placement), deployment(offer, placement, epoch=epoch)]
    if least(offer.tuning, placement) > 1:
        made.append(_budget(offer, placement))
    if _grows(offer.tuning, placement):
        made.append(_autoscaler(offer, placement))
    if routes and placement.gateway:
        made.append(_route(offer, placement))
    return made


def deployment(offer: Offer, placement: Placement, *, epoch: int) -> dict[str, Any]:
    """Return the Deployment; its annotations are all that a new controller needs to know."""
    notes = {
        "model": offer.key.model,
        "alias": offer.key.alias,
        "epoch": str(epoch),
        "tuning": msgspec.json.encode(offer.tuning).decode(),
    }
    spec: dict[str, Any] = {
        "selector": {"matchLabels": _selector(offer.key, placement)},
        # A pod more, never one less: the old version answers until the new one does.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "progressDeadlineSeconds": placement.progress_seconds,
        "revisionHistoryLimit": 2,
        "template": _template(offer, placement),
    }
    if not _grows(offer.tuning, placement):  # the autoscaler's field, where there is one
        spec["replicas"] = least(offer.tuning, placement)
    return _object("apps/v1", "Deployment", offer.key, placement, spec=spec, notes=notes)


def owned(placement: Placement) -> dict[str, str]:
    """Return the labels of everything that this Samovar owns."""
    return {"app.kubernetes.io/managed-by": MANAGER, INSTANCE: placement.instance}


def least(tuning: Tuning, placement: Placement) -> int:
    """Return how many pods an endpoint has when nobody asks it anything."""
    return tuning.workers or placement.replicas


def quantity(megabytes: float) -> str:
    """Write megabytes as Kubernetes does."""
    return f"{megabytes:.0f}M"


def _grows(tuning: Tuning, placement: Placement) -> bool:
    return placement.max_replicas > least(tuning, placement)


def _selector(key: Key, placement: Placement) -> dict[str, str]:
    return {INSTANCE: placement.instance, ENDPOINT: endpoint_name(*key)}


def _labels(key: Key, placement: Placement) -> dict[str, str]:
    named = {"model": key.model, "alias": key.alias}
    plain = {name: value for name, value in named.items() if _LABEL.fullmatch(value)}
    return owned(placement) | {ENDPOINT: endpoint_name(*key), "project": "mlops"} | plain


def _object(  # noqa: PLR0913 - the parts of an object
    api: str, kind: str, key: Key, placement: Placement, *, spec: dict[str, Any], notes: dict[str, str] | None = None
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": endpoint_name(*key),
        "namespace": placement.namespace,
        "labels": _labels(key, placement),
    }
    if notes:
        metadata["annotations"] = {f"{NOTE}{name}": value for name, value in notes.items()}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def _template(offer: Offer, placement: Placement) -> dict[str, Any]:
    notes = {
        "version": str(offer.version),
        "label": offer.label,
        "origin": offer.origin,
        "trusted": str(offer.trusted).lower(),
    }
    return {
        "metadata": {
            "labels": _labels(offer.key, placement) | {VERSION: str(offer.version)},
            "annotations": {f"{NOTE}{name}": value for name, value in notes.items()},
        },
        "spec": {
            "automountServiceAccountToken": False,  # a model has no business with the cluster
            "terminationGracePeriodSeconds": placement.drain_seconds + _HEARD_SECONDS + 5,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [_container(offer, placement)],
            "volumes": [{"name": "state", "emptyDir": {}}],
        },
    }


def _container(offer: Offer, placement: Placement) -> dict[str, Any]:
    key = offer.key
    memory = quantity(offer.tuning.memory_mb or placement.memory_mb)
    limits = {"memory": memory}
    if offer.tuning.cpus is not None:
        limits["cpu"] = f"{offer.tuning.cpus:g}"
    container: dict[str, Any] = {
        "name": "endpoint",
        "image": placement.image,
        "args": ["serve-version", "--model", key.model, "--alias", key.alias, "--version", str(offer.version)],
        "env": [{"name": name, "value": value} for name, value in _environment(offer, placement).items()],
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": {
            "requests": {"cpu": f"{min(placement.cpu, offer.tuning.cpus or 1024):g}", "memory": memory},
            "limits": limits,
        },
        "startupProbe": _probe(period=1, failures=placement.progress_seconds),
        "readinessProbe": _probe(period=2, failures=2),
        "livenessProbe": _probe(period=10, failures=6),
        # A pod is told to leave before every router knows: it goes on accepting for that long.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_HEARD_SECONDS)]}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "state", "mountPath": "/state"}],
    }
    if placement.secret:
        container["envFrom"] = [{"secretRef": {"name": placement.secret}}]
    return container


def _environment(offer: Offer, placement: Placement) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": placement.tracking_uri,
        "SAMOVAR_HOME": "/state",
        "SAMOVAR_DRAIN_SECONDS": str(placement.drain_seconds),
        "SAMOVAR_TRUSTED": "1" if offer.trusted else "0",
        "SAMOVAR_AUTH": "off" if placement.open_to_all else "keys",
        "LOG_FORMAT": "json",
        "TMPDIR": "/state",
    }


def _probe(*, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": "/health", "port": "http"},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 2,
    }


def _service(offer: Offer, placement: Placement) -> dict[str, Any]:
    ports = [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}]
    spec = {"selector": _selector(offer.key, placement), "ports": ports}
    return _object("v1", "Service", offer.key, placement, spec=spec)


def _budget(offer: Offer, placement: Placement) -> dict[str, Any]:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": _selector(offer.key, placement)}}
    return _object("policy/v1", "PodDisruptionBudget", offer.key, placement, spec=spec)


def _autoscaler(offer: Offer, placement: Placement) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": placement.cpu_percent}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": endpoint_name(*offer.key)},
        "minReplicas": least(offer.tuning, placement),
        "maxReplicas": placement.max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    return _object("autoscaling/v2", "HorizontalPodAutoscaler", offer.key, placement, spec=spec)


def _route(offer: Offer, placement: Placement) -> dict[str, Any]:
    namespace, _, gateway = placement.gateway.rpartition("/")
    parent = {"name": gateway} | ({"namespace": namespace} if namespace else {})
    paths = [f"/models/{_quoted(offer.key.model)}/{_quoted(offer.key.alias)}"]
    if offer.key.alias == "Production":
        paths.append(f"/models/{_quoted(offer.key.model)}")
    rules = [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": path}}],
            "filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}],
            "backendRefs": [{"name": endpoint_name(*offer.key), "port": PORT}],
        }
        for path in paths
    ]
    return _object("gateway.networking.k8s.io/v1", "HTTPRoute", offer.key, placement, spec={"parentRefs": [parent], "rules": rules})


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")
