"""Which world a controller acts on: what two controllers must not both change, and where a version was seen to fail."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from samovar.autoserve.runtimes import choose

if TYPE_CHECKING:
    from samovar.settings import Settings

IDENTITY = "identity"
"""File of the run folder that tells it from that of every other host."""

_MACHINE = Path("/etc/machine-id")
_REMOTE = ("tcp://", "http://", "https://", "ssh://")


def world(settings: Settings) -> str:
    """Name an engine, a namespace, or the agent that was started with a run folder; raises OSError where none can be made."""
    apart = choose.world(settings)
    if apart:
        return f"controller of {_digest(apart + _engine_of(settings))}"
    return f"controller of {socket.gethostname()[:64]} {_digest(str(settings.run_dir) + _identity(settings.run_dir))}"


def short(settings: Settings) -> str:
    """Name the same for people, in few words."""
    return world(settings).removeprefix("controller of ")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _engine_of(settings: Settings) -> str:
    """Return what tells an engine from others of the same address: behind a socket each machine has its own.

    A controller in a container often has no machine's number, and its host name is the container's: two of them at one engine must
    not both lead, so that nothing is said rather than that.
    """
    if settings.runtime != "docker" or settings.docker_host.startswith(_REMOTE):
        return ""
    with contextlib.suppress(OSError):
        return _MACHINE.read_text(encoding="ascii").strip()
    return ""


def _identity(run_dir: Path) -> str:
    """Return the run folder's own number, drawn once: hosts may have one name, and folders of one path."""
    path = run_dir / IDENTITY
    run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{IDENTITY}.{os.getpid()}")
    if not path.exists():
        draft.write_text(secrets.token_hex(16), encoding="ascii")
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # whoever is first says it
        draft.unlink()
    return path.read_text(encoding="ascii")
