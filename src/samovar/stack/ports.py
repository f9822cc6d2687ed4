"""Ports of the services: found once, kept for life in ``home/ports.json``, and never taken away from another program."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from samovar.autoserve.gateway import program as gateway
from samovar.errors import Conflict
from samovar.settings import LOOPBACK

if TYPE_CHECKING:
    import contextlib

    from samovar.settings import Settings

_FIELDS = {"mlflow": ("mlflow_port", "MLFLOW_PORT"), "autoserve": ("autoserve_port", "SAMOVAR_AUTOSERVE_PORT")}
_GATEWAY = {
    "gateway": ("gateway_port", "SAMOVAR_GATEWAY_PORT"),
    "gateway-metrics": ("gateway_metrics_port", "SAMOVAR_GATEWAY_METRICS_PORT"),
}
_SEARCH = 200
"""Ports looked at after the first one."""
_ENDPOINTS = 1000
"""Ports left to endpoints from ``endpoint_port_base`` on."""


def choose(settings: Settings, held: contextlib.ExitStack) -> dict[str, int]:
    """Return a free port for each service, reserved until ``held`` is closed; nothing is written.

    A port that was set (environment, ``.env``) is demanded: that one or none. Else the service keeps the port it had here, and
    gets the next free one when it is new or another program took it.

    Raises:
        Conflict: a demanded port is taken, or no port is free.
        SettingsError: a gateway was asked for and is not installed.
    """
    chosen: dict[str, int] = {}
    fields = _FIELDS | (_GATEWAY if gateway.find(settings.gateway) else {})
    for service, (field, variable) in fields.items():
        first: int = getattr(settings, field)
        demanded = field in settings.model_fields_set
        candidates = [first] if demanded else [*_kept(settings, service), *_from(first, settings.endpoint_port_base)]
        taken = next(((port, mark) for port in candidates if is_free(port) and (mark := reserve(port))), None)
        if taken is None:
            raise _taken(variable, first, demanded=demanded)
        chosen[service] = taken[0]
        held.enter_context(taken[1])
    return chosen


def reserve(port: int) -> socket.socket | None:
    """Reserve a port among the stacks of this machine; None when another has it.

    A service takes seconds from its start to its listening, and as long again when it is restarted: meanwhile its port looks free.
    The mark is a name in the kernel (an abstract Unix socket), so that the holder's death frees it.
    """
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        mark.bind(f"\0samovar-port-{port}")
    except OSError:
        mark.close()
        return None
    return mark


def keep(settings: Settings, ports: dict[str, int]) -> None:
    """Remember the ports for the next start."""
    temporary = settings.state / ".ports.json.tmp"
    temporary.write_text(json.dumps(ports, indent=1), encoding="utf-8")
    temporary.replace(settings.state / "ports.json")


def is_free(port: int) -> bool:
    """Whether a server could listen on the port of the loopback now."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a closed connection's remains do not matter
        try:
            trial.bind((LOOPBACK, port))
            trial.listen(1)
        except OSError:
            return False
    return True


def kept(settings: Settings) -> dict[str, int]:
    """Ports of the last start; empty before the first."""
    try:
        found = json.loads((settings.state / "ports.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(name): port for name, port in found.items() if isinstance(port, int)} if isinstance(found, dict) else {}


def _kept(settings: Settings, service: str) -> list[int]:
    port = kept(settings).get(service)
    return [] if port is None else [port]


def _from(first: int, endpoints: int) -> list[int]:
    reserved = range(endpoints, endpoints + _ENDPOINTS)
    return [port for port in range(first, 65_536) if port not in reserved][:_SEARCH]


def _taken(variable: str, first: int, *, demanded: bool) -> Conflict:
    if demanded:
        return Conflict(
            f"Port {first} is taken by another program, and {variable} asks for it.",
            remedy=f"Stop that program, or set {variable} to a free port, or unset it to let one be found.",
        )
    return Conflict(f"No port from {first} on is free.", remedy=f"Set {variable} to a free port.")
