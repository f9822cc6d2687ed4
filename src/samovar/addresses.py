"""Where the services of the local stack answer: written by the supervisor, read by everybody else.

The file ``home/run/addresses.json`` holds one URL per service name. It lies below every part, so that a pipeline step finds
MLflow without knowing the stack that started it.
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING

from samovar.errors import RetryLater

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address
    from pathlib import Path

    from samovar.settings import Settings

MLFLOW = "mlflow"
AUTOSERVE = "autoserve"
GATEWAY = "gateway"
GATEWAY_METRICS = "gateway-metrics"


def addresses_file(settings: Settings) -> Path:
    """The file that the supervisor writes; it exists only while a stack is up."""
    return settings.run_dir / "addresses.json"


def local(settings: Settings) -> dict[str, str]:
    """URLs of the local stack by service name; empty when no stack is up."""
    try:
        found = json.loads(addresses_file(settings).read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(name): str(url) for name, url in found.items()} if isinstance(found, dict) else {}


def tracking_uri(settings: Settings) -> str:
    """URI of the MLflow server to use: the one that was set, else the local stack's.

    Raises:
        RetryLater: neither is there.
    """
    uri = settings.mlflow_tracking_uri or local(settings).get(MLFLOW)
    if uri is None:
        raise RetryLater("MLflow is not running.", remedy="Run `samovar up`, or set MLFLOW_TRACKING_URI to a server of yours.")
    return uri


def from_here(host: IPv4Address | IPv6Address, port: int) -> str:
    """Return the base URL at which this host itself reaches what listens at an address."""
    known = ip_address("127.0.0.1" if host.version == 4 else "::1") if host.is_unspecified else host
    return f"http://[{known}]:{port}" if known.version == 6 else f"http://{known}:{port}"
