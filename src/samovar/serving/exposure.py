"""Who can reach an endpoint, and whether they are asked for a key."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from samovar import logs
from samovar.errors import UsageError

if TYPE_CHECKING:
    from samovar.serving.config import EndpointConfig

log = logs.get_logger(__name__)


def check(listener: socket.socket, config: EndpointConfig) -> None:
    """Let an endpoint without keys serve this machine only, unless a person said otherwise.

    Raises:
        UsageError: the address can be reached from elsewhere and no key is configured.
    """
    if config.keys or not _reachable(listener):
        return
    if not config.open_to_all:
        raise UsageError("The endpoint listens beyond this machine and has no API keys.", remedy="Set keys, or open it to all.")
    log.warning("the endpoint answers everybody who can reach it", model=config.model, alias=config.alias)


def _reachable(listener: socket.socket) -> bool:
    if listener.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    address = ipaddress.ip_address(listener.getsockname()[0].partition("%")[0])
    return not address.is_loopback
