"""Plans on disk: a version that was built before is not built again.

An entry is found by everything that goes into a build: the model's files, what the controller asks, whether a person trusts the
version, and the code that builds. So an entry is never stale, only unused, and the least recently used make room. A file is the
SHA-256 of a plan and then the plan; one that does not hold what it should is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING

import msgspec

from samovar.autoserve.agent.ledger import write_atomically
from samovar.logs import get_logger
from samovar.scoring import maker
from samovar.scoring.plan import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from samovar.scoring.request import BuildRequest

log = get_logger(__name__)

_DIGEST = hashlib.sha256().digest_size
_NAME = re.compile(r"[0-9a-f]{64}\.plan")
_DRAFT = re.compile(r"\.[0-9a-f]{64}\.plan\.[0-9]+")


class Head(msgspec.Struct, frozen=True):
    """What the serving processes know of a plan without taking it apart; see `samovar.scoring.plan.ScorerPlan`."""

    format: int
    engine: str
    trusted: bool
    notes: str = ""
    maker: str = ""


_head = msgspec.msgpack.Decoder(Head)


def head(plan: bytes) -> Head:
    """Read a plan's head; raises ``msgspec.DecodeError``."""
    return _head.decode(plan)


class PlanCache:
    """Keeps plans in a folder that only this user may open.

    Args:
        folder: made when the first plan is kept.
        limit: bytes that all plans may take together; 0 keeps none.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit

    def get(self, request: BuildRequest) -> bytes | None:
        """Return the plan of a version that was built before, or None."""
        if not self._limit:
            return None
        path = self._path(request)
        content = read_own(path)
        if content is None:
            return None
        plan = content[_DIGEST:]
        if hashlib.sha256(plan).digest() != content[:_DIGEST] or not _fits(plan, request):
            log.warning("a kept plan is damaged and will be built again", model=request.model, version=request.version)
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the oldest ones make room: this one is young again
        return plan

    def put(self, request: BuildRequest, plan: bytes) -> None:
        """Keep a plan; a disk that takes nothing costs only the next build's time."""
        if not self._limit or len(plan) + _DIGEST > self._limit or not _fits(plan, request):
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_room(len(plan) + _DIGEST)
            write_atomically(self._path(request), hashlib.sha256(plan).digest() + plan, durable=False)
        except OSError as error:
            log.warning("a plan cannot be kept", model=request.model, version=request.version, error=error.strerror)

    def _path(self, request: BuildRequest) -> Path:
        return self._folder / f"{key(request)}.plan"

    def _make_room(self, size: int) -> None:
        kept = sorted(self._kept(), key=lambda entry: entry[0])
        total = size + sum(length for _, length, _ in kept)
        for _, length, path in kept:
            if total <= self._limit:
                return
            path.unlink(missing_ok=True)
            total -= length

    def _kept(self) -> Iterator[tuple[int, int, Path]]:
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if _NAME.fullmatch(path.name):
                    found = path.stat()
                    yield found.st_mtime_ns, found.st_size, path
                elif _DRAFT.fullmatch(path.name):
                    path.unlink()  # a write that was killed


def key(request: BuildRequest) -> str:
    """Return the name of everything that goes into a build, as 64 hex digits."""
    asked = msgspec.to_builtins(msgspec.structs.replace(request, files={}))
    files = {name: hashlib.sha256(content).digest() for name, content in request.files.items()}
    return hashlib.sha256(msgspec.msgpack.encode([asked, sorted(files.items()), maker.name(request.environment)])).hexdigest()


def read_own(path: Path) -> bytes | None:
    """Read a file that nobody but this user can have written: a trusted plan may hold a pickle."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            log.warning("a kept plan could have been written by another user, and is not taken", path=str(path))
            return None
        return file.read()


def _fits(plan: bytes, request: BuildRequest) -> bool:
    try:
        found = head(plan)
    except msgspec.DecodeError:
        return False
    made = found.maker == maker.name(request.environment)  # a builder may be forked from a process that is older than this one
    return made and found.format == FORMAT and found.trusted == request.trusted
