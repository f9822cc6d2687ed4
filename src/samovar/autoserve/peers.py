"""Where the workers of one model's endpoints meet: a Unix socket for each endpoint, in the agent's run folder.

The agent owns it and workers inherit it, as they do the TCP socket, so that a swap of the other alias's version loses no row.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.transport import short
from samovar.serving.traffic.policy import Policy, Target

if TYPE_CHECKING:
    from pathlib import Path

    from samovar.autoserve.plan import Key
    from samovar.autoserve.tuning import Tuning

FOLDER = "peers"
_BACKLOG = 64


def path_of(run_dir: Path, model: str, alias: str) -> Path:
    """Return where the workers of an endpoint listen for their peers."""
    return run_dir / FOLDER / f"{endpoint_name(model, alias)}.sock"


def listen(run_dir: Path, key: Key) -> socket.socket:
    """Listen for an endpoint's peers, which only this user can be; a file that an earlier agent left is replaced."""
    path = path_of(run_dir, key.model, key.alias)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with short(path) as address:
            server.bind(address)
    finally:
        os.umask(before)
    server.listen(_BACKLOG)
    return server


def forget(run_dir: Path, key: Key) -> None:
    """Remove the file of an endpoint that ended."""
    with contextlib.suppress(OSError):
        path_of(run_dir, key.model, key.alias).unlink(missing_ok=True)


def policy(run_dir: Path, model: str, tuning: Tuning) -> Policy:
    """Say in a worker's words how its endpoint shares its traffic."""
    split = tuple(Target(alias, str(path_of(run_dir, model, alias)), percent) for alias, percent in tuning.split)
    return Policy(split, tuple(Target(alias, str(path_of(run_dir, model, alias))) for alias in tuning.shadow))
