"""Numbers of several processes that add up: each counts in a memory-mapped file of its own, whoever is asked sums them all.

A file ``<id>.slot`` starts with a description of its numbers; its process holds a lock on it as long as it lives, however it
dies. What the dead have counted is moved into the file ``base``, so that counters never go back; gauges and facts of the dead are
forgotten. Scrapes are one at a time (a lock on ``lock``), so that no slot is counted twice or missed while it moves.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import secrets
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from samovar import logs

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableSequence, Sequence

log = logs.get_logger(__name__)

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]

_FACTS = ("model_info", "samovar_engine", "samovar_exactness_ties")

LIVE = {"samovar_queue_depth", "samovar_requests_in_flight", "samovar_spool_bytes", *_FACTS}
"""Families that are true of living processes only."""
SHARED = {"samovar_spool_bytes", *_FACTS}
"""Families that every process says of the same thing: the largest counts, not the sum."""

FORGET_SECONDS = 3600.0
"""After so long the counts of a version that nobody serves leave the scrape; Prometheus has long called them stale."""

_MAGIC = b"smvnum01"  # another layout, or other buckets, need another name
_HEAD = struct.Struct("<8sI")
_TRIES, _WAIT = 50, 0.002  # a scrape waits so often, so long, for another one


class Block(msgspec.Struct, frozen=True, array_like=True):
    """Numbers of one series: its family and labels, the first place and how many."""

    family: str
    labels: Labels
    start: int
    length: int


class Sum(msgspec.Struct, array_like=True):
    """What the dead have counted of one series, and when (UNIX time) that last grew."""

    family: str
    labels: Labels
    values: list[float]
    at: float


class Base(msgspec.Struct, array_like=True):
    """The file ``base``: sums of the dead, and the slots that are in them though their files may still be there."""

    sums: list[Sum] = []
    moved: list[str] = []


class Numbers:
    """The numbers of this process.

    Args:
        blocks: what they mean.
        folder: where the other processes' are; empty when there are none. One that cannot be used is as good as none.
    """

    def __init__(self, blocks: Sequence[Block], folder: str = "") -> None:
        self._blocks = list(blocks)
        self._count = max((block.start + block.length for block in blocks), default=0)
        self._folder: Path | None = Path(folder) if folder else None
        self._file = -1
        self._last: dict[Key, list[float]] = {}
        self.values: MutableSequence[float]
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self.values = self._slot(self._folder)
            except OSError as error:
                log.warning("metrics are of one process only", reason=error.strerror)
                self._folder = None
        if self._folder is None:
            self.values = memoryview(bytearray(8 * self._count)).cast("d")  # type: ignore[assignment]

    def collect(self) -> dict[Key, list[float]]:
        """Return the numbers of each series, of all processes."""
        found: dict[Key, list[float]] = {}
        if self._folder is None:
            _add(found, self._blocks, self.values)
            return found
        with _alone(self._folder) as alone:
            if not alone:  # somebody else is stopped in the middle: better old numbers than none or wrong ones
                return self._last
            try:
                _Scrape(self._folder).into(found)
            except OSError:  # a full disk keeps the dead from being added up: they stay where they are
                return self._last
        self._last = found
        return found

    def close(self) -> None:
        """Count as dead from now on."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _slot(self, folder: Path) -> MutableSequence[float]:
        """Make this process's file; it gets its name when it is locked, or it would be taken for a dead one's."""
        name = f"{time.time_ns():x}-{os.getpid()}-{secrets.token_hex(4)}"
        head = msgspec.msgpack.encode(self._blocks)
        start = -(-(_HEAD.size + len(head)) // 64) * 64
        hidden = folder / f"{name}.new"
        self._file = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(self._file, _HEAD.pack(_MAGIC, len(head)) + head)
        os.posix_fallocate(self._file, 0, start + 8 * self._count)  # a full disk must fail here, not kill at the first count
        mapped = mmap.mmap(self._file, start + 8 * self._count)
        hidden.rename(folder / f"{name}.slot")
        return memoryview(mapped)[start:].cast("d")  # type: ignore[return-value]


def read(folder: Path) -> dict[Key, list[float]]:
    """Return the numbers of each series, of all processes that count in a folder; for one that does not count there itself.

    Raises:
        OSError: the folder cannot be read.
    """
    found: dict[Key, list[float]] = {}
    with _alone(folder) as alone:
        if alone:
            _Scrape(folder).into(found)
    return found


class _Scrape:
    """One look at a folder, by whoever holds its lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._base_path = folder / "base"
        self._base = _read_base(self._base_path)
        self._sums: dict[Key, Sum] = {(found.family, found.labels): found for found in self._base.sums}

    def into(self, found: dict[Key, list[float]]) -> None:
        """Add up the living and the dead."""
        dead: list[Path] = []
        for path in sorted(self._folder.glob("*.slot")):
            if path.name in self._base.moved:
                path.unlink(missing_ok=True)
            elif (slot := _read_slot(path)) is not None:
                alive, blocks, values = slot
                if alive:
                    _add(found, blocks, values)
                else:
                    dead.append(path)
                    self._bury(blocks, values)
        if dead or self._forget(found):
            self._write([path.name for path in dead])
        for path in dead:
            path.unlink(missing_ok=True)
        for (family, own), buried in self._sums.items():
            _add(found, [Block(family, own, 0, len(buried.values))], buried.values)

    def _bury(self, blocks: Sequence[Block], values: Sequence[float]) -> None:
        now = time.time()
        for block in blocks:
            if block.family in LIVE:
                continue
            own = list(values[block.start : block.start + block.length])
            before = self._sums.get((block.family, block.labels))
            if before is not None and len(before.values) == len(own):
                own = [one + other for one, other in zip(before.values, own, strict=True)]
            self._sums[block.family, block.labels] = Sum(block.family, block.labels, own, now)

    def _forget(self, living: dict[Key, list[float]]) -> bool:
        """Leave out what is of no version that is served; tells whether there was any."""
        limit = time.time() - FORGET_SECONDS
        old = [key for key, buried in self._sums.items() if key not in living and buried.at < limit]
        for key in old:
            del self._sums[key]
        return bool(old)

    def _write(self, moved: list[str]) -> None:
        """Replace the base at once: a slot named in it is in its sums, whether or not its file is gone already."""
        data = msgspec.msgpack.encode(Base(list(self._sums.values()), moved))
        new = self._folder / "base.new"
        new.write_bytes(data)
        new.replace(self._base_path)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock; False when somebody else held it all the time."""
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        tries = 0
        while not (alone := _locked(lock)) and tries < _TRIES:
            tries += 1
            time.sleep(_WAIT)
        yield alone
    finally:
        os.close(lock)


def _read_slot(path: Path) -> tuple[bool, list[Block], Sequence[float]] | None:
    """Return whether its process lives, and what it counted; None for a file of another kind, which is removed when it is dead."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        alive = not _locked(file)
        data = os.pread(file, os.fstat(file).st_size, 0)
    finally:
        os.close(file)
    try:
        magic, length = _HEAD.unpack_from(data)
        if magic != _MAGIC:
            raise ValueError  # noqa: TRY301 - the same end as a head that cannot be read
        blocks = msgspec.msgpack.decode(data[_HEAD.size : _HEAD.size + length], type=list[Block])
        values = memoryview(data)[-(-(_HEAD.size + length) // 64) * 64 :].cast("d")
    except (struct.error, ValueError, TypeError):
        if not alive:
            path.unlink(missing_ok=True)
        return None
    return alive, blocks, values


def _locked(file: int) -> bool:
    """Take the lock of a file; False when its process lives and has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_base(path: Path) -> Base:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Base)
    except (OSError, ValueError):
        return Base()


def _add(found: dict[Key, list[float]], blocks: Sequence[Block], values: Sequence[Any]) -> None:
    for block in blocks:
        own = list(values[block.start : block.start + block.length])
        before = found.get((block.family, block.labels))
        if before is not None and len(before) == len(own):
            join = max if block.family in SHARED else float.__add__
            own = [join(one, float(other)) for one, other in zip(before, own, strict=True)]
        found[block.family, block.labels] = own
