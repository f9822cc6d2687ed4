"""Asks a service whether it is well, over plain sockets: no proxy setting and no HTTP library stands between."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from samovar.autoserve.runtimes.process.link import AgentLink
from samovar.errors import SamovarError

if TYPE_CHECKING:
    from samovar.stack.state import Probe

BEAT_SECONDS = 10.0
"""A heartbeat file older than this belongs to a process that hangs."""


def healthy(probe: Probe, *, timeout: float = 2.0) -> bool:
    """Whether the service shows that it is well now; takes ``timeout`` seconds at most for each step of the talk."""
    try:
        if probe.kind == "http":
            return _http(probe.target, timeout)
        if probe.kind == "agent":
            return _agent(Path(probe.target), timeout)
        return time.time() - Path(probe.target).stat().st_mtime < BEAT_SECONDS
    except OSError:
        return False


def _http(url: str, timeout: float) -> bool:
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout) as connection:
        connection.sendall(f"GET {path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            return answer.readline(64).split(b" ")[1:2] == [b"200"]


def _agent(run_dir: Path, timeout: float) -> bool:
    try:
        AgentLink(run_dir, timeout=timeout).endpoints()
    except SamovarError:
        return False
    return True
