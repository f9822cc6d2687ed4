"""Private folders in memory, for models that only load from files; what a killed process left is swept."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TMPFS = Path("/dev/shm")  # noqa: S108 - memory, and the folder made in it is private
_PREFIX = "samovar-model-"


def root() -> Path:
    """Return where folders are made: the memory file system, or the usual place where there is none."""
    return _TMPFS if os.access(_TMPFS, os.W_OK) else Path(tempfile.gettempdir())


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Make a folder that only this user can read, and remove it."""
    sweep()
    path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=root()))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def sweep() -> None:
    """Remove the folders of processes that are gone: one that was killed could not clean up."""
    for path in root().glob(f"{_PREFIX}*"):
        owner = path.name.removeprefix(_PREFIX).split("-", 1)[0]
        with contextlib.suppress(OSError):
            if path.stat().st_uid == os.getuid() and not _alive(owner):
                shutil.rmtree(path, ignore_errors=True)


def _alive(pid: str) -> bool:
    return pid.isdigit() and Path("/proc", pid).exists()
