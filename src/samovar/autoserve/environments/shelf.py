"""The environments of this host: made once, one at a time, beside everything else, and removed when room is wanted."""

from __future__ import annotations

import contextvars
import functools
import importlib.metadata
import os
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

import samovar
from samovar.autoserve.environments import maker, requirements
from samovar.autoserve.environments.maker import READY, find_uv
from samovar.errors import ModelError, Preparing
from samovar.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from samovar.autoserve.environments.requirements import Requirements

log = get_logger(__name__)

_YOUNG_SECONDS = 600.0
"""Who asked for an environment so recently may still be building in it."""


class Shelf:
    """Says which environment a version needs, and has it made.

    Args:
        folder: where they are; made.
        limit: bytes that they may take together; the least recently used make room.
        seconds: longest time of a step of making one.
        in_use: names those that must stay, asked before any is removed.
        on_done: called whenever one was made or could not be.
    """

    def __init__(
        self,
        folder: Path,
        limit: int,
        seconds: float,
        in_use: Callable[[], Collection[str]],
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._limit = limit
        self._seconds = seconds
        self._in_use = in_use
        self.on_done = on_done
        self._uv = find_uv()
        self._lock = threading.Lock()
        self._one = threading.Lock()
        self._making: set[str] = set()
        self._failed: dict[str, ModelError] = {}

    def need(self, files: Mapping[str, bytes]) -> Need | None:
        """Say which environment the files of a version need; None when this host's will do, or there is no uv."""
        asked = requirements.read(files)
        if asked is None or self._uv is None:
            return None
        found = requirements.differences(asked, _installed)
        return Need(requirements.digest(asked, *_host()), asked, found) if found else None

    def python(self, need: Need) -> str:
        """Return the interpreter of an environment that is there.

        Raises:
            Preparing: it is being made, from now on.
            ModelError: it could not be made; asking again tries again.
        """
        folder = self._folder / need.name
        try:
            os.utime(folder / READY)  # the oldest make room: this one is young again
            return str(maker.python_of(folder))
        except FileNotFoundError:
            pass
        with self._lock:
            failure = self._failed.pop(need.name, None)
            if failure is not None:
                raise failure
            if need.name not in self._making:
                self._making.add(need.name)
                context = contextvars.copy_context()
                threading.Thread(target=context.run, args=(self._make, need), name="environment", daemon=True).start()
        raise Preparing(f"Its environment is being built ({need.why}).")

    def _make(self, need: Need) -> None:
        with self._one:  # one after the other: an install takes a core and the network
            log.info("building an environment", environment=need.name, differences=list(need.differences))
            try:
                self._sweep()
                maker.make(self._folder / need.name, need.asked, self._uv or "uv", self._seconds)
                log.info("an environment is ready", environment=need.name)
            except ModelError as error:
                log.warning("an environment cannot be built", environment=need.name, reason=str(error))
                self._failed[need.name] = error
            except Exception as error:
                log.exception("an environment failed in a way nobody foresaw", environment=need.name)
                self._failed[need.name] = ModelError(f"Its environment cannot be built ({type(error).__name__}).")
            finally:
                with self._lock:
                    self._making.discard(need.name)
        self.on_done()

    def _sweep(self) -> None:
        """Remove what was never finished, and the least recently used until there is room; nothing that is in use."""
        if not self._folder.is_dir():
            return
        kept = set(self._in_use()) | self._making
        finished: list[tuple[float, Path]] = []
        young = time.time() - _YOUNG_SECONDS
        for folder in self._folder.iterdir():
            try:
                finished.append(((folder / READY).stat().st_mtime, folder))
            except OSError:
                if folder.name not in kept:
                    shutil.rmtree(folder, ignore_errors=True)
        sizes = {folder: _size(folder) for _, folder in finished}
        total = sum(sizes.values())
        for used, folder in sorted(finished):
            if total <= self._limit:
                return
            if folder.name not in kept and used < young:
                (folder / READY).unlink(missing_ok=True)  # first: half an environment is none
                shutil.rmtree(folder, ignore_errors=True)
                total -= sizes[folder]
                log.info("an environment made room", environment=folder.name)


class Need:
    """An environment that a version needs.

    Args:
        name: digest of all that goes into it.
        asked: what the version asks for.
        differences: how this host differs, see `requirements.differences`.
    """

    def __init__(self, name: str, asked: Requirements, differences: tuple[str, ...]) -> None:
        self.name = name
        self.asked = asked
        self.differences = differences

    @property
    def why(self) -> str:
        """Why this host's environment will not do, in a few words."""
        shown = ", ".join(self.differences[:_SHOWN])
        more = len(self.differences) - _SHOWN
        return f"{shown} and {more} more" if more > 0 else shown


_SHOWN = 3


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def _host() -> tuple[str, ...]:
    return (f"{sys.version_info.major}.{sys.version_info.minor}", samovar.__version__, *maker.host_paths())


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
