"""The gateway's routes as Traefik reads them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.autoserve.gateway.paths import CHAMPION, PREFIX, spellings
from samovar.autoserve.naming import endpoint_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from samovar.autoserve.plan import Key

UNKNOWN = "/gateway/unknown"
"""Path of the controller that answers what no endpoint is behind."""

_ALIAS, _MODEL, _REST = 3, 2, 1
"""Priorities: the alias that is named, the model's champion, everything else."""

TRANSPORT = {
    # An endpoint keeps idle connections for 75 s: the gateway always closes first, and never writes into one that is being closed.
    # And only one second, because a connection that was opened before a swap leads to the worker that leaves: it answers one more
    # request there, from the version of before.
    "forwardingTimeouts": {
        "dialTimeout": "5s",
        "responseHeaderTimeout": "90s",  # an endpoint gives up after SAMOVAR_DEADLINE_SECONDS, by itself
        "idleConnTimeout": "1s",
    },
    "maxIdleConnsPerHost": 256,
    "disableHTTP2": True,
}


def routes(endpoints: Mapping[Key, str], controller: str) -> dict[str, Any]:
    """Return the whole dynamic configuration.

    Args:
        endpoints: base URL of each endpoint.
        controller: base URL of the controller.
    """
    routers: dict[str, Any] = {"unknown": _unknown()}
    services: dict[str, Any] = {"controller": _service(controller)}
    for key, url in sorted(endpoints.items()):
        name = endpoint_name(*key)
        services[name] = _service(url)
        routers[name] = _router(_below(key.model, key.alias), name, "strip-alias", _ALIAS)
        if key.alias == CHAMPION:
            routers[f"{name}-short"] = _router(_below(key.model), name, "strip-model", _MODEL)
    return {
        "http": {
            "routers": routers,
            "services": services,
            "middlewares": _middlewares(),
            "serversTransports": {"endpoints": TRANSPORT},
        }
    }


def _router(rule: str, service: str, strip: str, priority: int) -> dict[str, Any]:
    return {"entryPoints": ["gateway"], "rule": rule, "service": service, "middlewares": [strip], "priority": priority}


def _unknown() -> dict[str, Any]:
    """Everything else is told so by the controller; not more often than it answers beside its work."""
    made = _router('PathPrefix("/")', "controller", "unknown", _REST)
    return made | {"middlewares": ["unknown-rate", "unknown-size", "unknown"]}


def _service(url: str) -> dict[str, Any]:
    return {"loadBalancer": {"servers": [{"url": url}], "passHostHeader": True, "serversTransport": "endpoints"}}


def _middlewares() -> dict[str, Any]:
    return {
        "strip-alias": {"stripPrefixRegex": {"regex": [f"^{PREFIX}[^/]+/[^/]+"]}},
        "strip-model": {"stripPrefixRegex": {"regex": [f"^{PREFIX}[^/]+"]}},
        "unknown": {"replacePath": {"path": UNKNOWN}},
        "unknown-rate": {"rateLimit": {"average": 100, "burst": 200}},
        "unknown-size": {"inFlightReq": {"amount": 32}},
    }


def _below(*segments: str) -> str:
    """Return a rule for everything below ``/models/`` and these segments. The last slash keeps `Prod` apart from `Production`."""
    paths = [PREFIX]
    for segment in segments:
        paths = [f"{path}{spelled}/" for path, spelled in _combined(paths, spellings(segment))]
    return " || ".join(f"PathPrefix({_quoted(path)})" for path in paths)


def _combined(paths: Iterable[str], words: list[str]) -> Iterable[tuple[str, str]]:
    return ((path, word) for path in paths for word in words)


_ESCAPED = frozenset('"\\{}')
"""Signs of ASCII that are written as escapes. Braces, because Traefik runs its file as a Go template before it reads it: a model
called ``{{ env "X" }}`` must be a name, and one called ``{{`` must not hold up the routes of all others."""


def _quoted(text: str) -> str:
    """Write a string as Traefik's rules (Go) do, in ASCII, so that neither YAML nor JSON nor a template has an opinion on it."""
    return '"' + "".join(sign if " " <= sign <= "~" and sign not in _ESCAPED else f"\\U{ord(sign):08x}" for sign in text) + '"'
