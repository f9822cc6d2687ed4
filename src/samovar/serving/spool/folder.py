"""The folder of one endpoint's prediction log: what its files are called, how much is in it, what is too old.

====================================  =====================================================================
``<id>.new``                          being made, nothing in it yet
``<id>.open``                         being written; its writer holds a lock on it, so an unlocked one is a dead writer's
``<id>.<requests>.sealed``            complete; may be shipped and deleted
``<id>.<requests>.broken``            cannot be read; for a person to look at
====================================  =====================================================================

Ids sort by time. The number of requests is in the name, so that a file that is deleted unread can be counted as lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from pathlib import Path

NEW, OPEN, SEALED, BROKEN = ".new", ".open", ".sealed", ".broken"
_ABANDONED_SECONDS = 60.0  # a writer needs microseconds between making a file and giving it its name


def new_id() -> str:
    """Return the id of a new file."""
    return f"{time.time_ns():016x}-{os.getpid()}-{secrets.token_hex(4)}"


def sealed_name(segment: str, requests: int) -> str:
    """Return what a file is called once it is complete."""
    return f"{segment}.{requests}{SEALED}"


def segment_of(path: Path) -> str:
    """Return the id of a file."""
    return path.name.split(".", 1)[0]


def requests_of(path: Path) -> int:
    """Return how many requests a complete file holds; 0 when its name does not say."""
    words = path.name.split(".")
    return int(words[1]) if len(words) == 3 and words[1].isdigit() else 0


def make_private(folder: Path) -> None:
    """Make the folder, for its owner's eyes only; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def look(folder: Path, older_than: float) -> tuple[int, list[Path]]:
    """Return the bytes in the folder, and the complete files last written before ``older_than`` (UNIX time)."""
    total, old = 0, []
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # shipped and deleted meanwhile
                found = entry.stat(follow_symlinks=False)
                total += found.st_size
                if entry.name.endswith((SEALED, BROKEN)) and found.st_mtime < older_than:
                    old.append(Path(entry.path))
    return total, old


def take(path: Path) -> int | None:
    """Lock a file whose writer is dead and return its descriptor, which the caller closes; None when its writer lives."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return file


def is_abandoned(path: Path) -> bool:
    """Whether a file that never got its name will never get it."""
    try:
        return path.stat().st_mtime < time.time() - _ABANDONED_SECONDS
    except OSError:
        return False
