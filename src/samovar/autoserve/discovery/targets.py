"""Target groups for Prometheus' ``http_sd``. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from samovar.addresses import AUTOSERVE, GATEWAY, GATEWAY_METRICS, MLFLOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from samovar.autoserve.status import EndpointStatus

PROJECT = "mlops"
_SERVICES = {AUTOSERVE: "mlflow-autoserve", GATEWAY: "mlflow-gateway", GATEWAY_METRICS: "mlflow-gateway", MLFLOW: "mlflow"}
_MEASURED = (AUTOSERVE, GATEWAY_METRICS)
"""Services that have metrics. MLflow has none unless it was started with them."""
_HEALTH = {AUTOSERVE: "/healthz", GATEWAY_METRICS: "/ping", MLFLOW: "/health"}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Group = dict[str, Any]


def scraped(statuses: Iterable[EndpointStatus], services: Mapping[str, str], host: str = "") -> list[Group]:
    """Return all that has metrics.

    Args:
        statuses: the endpoints.
        services: base URL by service, as in ``addresses.json``.
        host: what to write for this host's loopback address: the name under which Prometheus reaches it.
    """
    groups = [_group(_at(one.address, host), **_labels(one), __metrics_path__="/metrics") for one in statuses if one.address]
    groups += [
        _group(_at(services[name], host), service=_SERVICES[name], __metrics_path__="/metrics")
        for name in _MEASURED
        if name in services
    ]
    return groups


def probed(statuses: Iterable[EndpointStatus], services: Mapping[str, str], host: str = "") -> list[Group]:
    """Return the health addresses of all, whole URLs as a blackbox exporter asks for them; arguments as ``scraped``."""
    groups = [_group(f"http://{_at(one.address, host)}/health", **_labels(one)) for one in statuses if one.address]
    for name, path in _HEALTH.items():
        if services.get(name):
            parts = urlsplit(services[name])
            url = f"{parts.scheme}://{_at(services[name], host)}{parts.path.rstrip('/')}{path}"
            groups.append(_group(url, service=_SERVICES[name]))
    return groups


def _labels(status: EndpointStatus) -> dict[str, str]:
    version = str(status.serving) if status.serving is not None else ""
    return {"model": status.model, "alias": status.alias, "version": version, "service": status.name}


def _group(target: str, **own: str) -> Group:
    return {"targets": [target], "labels": own | {"instance": target, "project": PROJECT}}


def _at(url: str, host: str) -> str:
    """Return ``host:port`` of a URL, without what else may stand there (a password)."""
    parts = urlsplit(url)
    known = parts.hostname or ""
    shown = host if host and known in _LOOPBACK else known
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"
