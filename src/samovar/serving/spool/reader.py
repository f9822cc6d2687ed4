"""Reads the prediction log: whole rows up to where a file ends or is torn, whether or not its writer lives."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.serving.spool import folder as folder_
from samovar.serving.spool.records import FORMAT, LENGTH, MAGIC, Group, Header, Many

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO


class NotASegment(ValueError):
    """A file that is no segment of the prediction log, or one that this Samovar cannot read."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One row that was answered.

    Attributes:
        at: UNIX time in microseconds.
        request_id: the request; clients may repeat theirs.
        route: name of the route.
        index: the row's place in its request, from 0.
        key: the contract's key; 32 hex digits when it is hashed, None when it is not logged.
        values: value by field of what is logged, hashes as 32 hex digits; None for a request that was no table.
        label: the answer.
        probabilities: of each class, None when the model gives none.
    """

    at: int
    request_id: str
    route: str
    index: int
    key: Any
    values: dict[str, Any] | None
    label: Any
    probabilities: list[float] | None


class Reading:
    """One file.

    Args:
        path: the file.

    Raises:
        NotASegment: it is something else, or torn before its first row.
        OSError: it cannot be read.

    Attributes:
        header: whose answers they are.
        end: bytes up to here are whole; final when the rows were read to the end.
        torn: bytes after ``end`` that are no whole group; 0 for a file that ends well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._length = os.fstat(file.fileno()).st_size
            if file.read(len(MAGIC)) != MAGIC:
                raise NotASegment(f"{path.name} is no file of the prediction log")
            payload = self._payload(file)
            self.end = file.tell()
        self.torn = 0
        self.header = _header(path, payload)
        stored = [field for field in self.header.fields if field.log != "drop"]
        self._names = [field.name for field in stored]
        self._secret = [place for place, field in enumerate(stored) if field.log == "hash"]
        self._secret_key = self.header.key is not None and self.header.key.log == "hash"

    def __iter__(self) -> Iterator[Logged]:
        """Yield the rows from ``end`` on; once more, those that were added meanwhile."""
        for group in self.groups():
            for single in group.singles:
                name = _text(single.request_id)
                values = None if single.values is None else self._row(single.values)
                yield Logged(group.at, name, single.route, 0, self._key(single.key), values, single.label, single.probabilities)
            for many in group.many:
                yield from self._rows(group.at, many)

    def groups(self) -> Iterator[Group]:
        """Yield the groups from ``end`` on."""
        with self.path.open("rb") as file:
            self._length = os.fstat(file.fileno()).st_size
            file.seek(self.end)
            self.torn = 0
            while (payload := self._payload(file)) is not None:
                try:
                    group = _GROUPS.decode(payload)
                except (ValueError, TypeError):
                    break
                self.end = file.tell()
                yield group
            self.torn = self._length - self.end

    def _payload(self, file: BinaryIO) -> bytes | None:
        """Return the next frame's payload; None where no whole frame is."""
        head = file.read(LENGTH.size)
        if len(head) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack(head)
        if not length or file.tell() + length + LENGTH.size > self._length:
            return None
        payload, tail = file.read(length), file.read(LENGTH.size)
        whole = len(tail) == LENGTH.size and LENGTH.unpack(tail)[0] == zlib.crc32(payload, zlib.crc32(head))
        return payload if whole else None

    def _row(self, values: list[Any]) -> dict[str, Any]:
        for place in self._secret:
            values[place] = _hex(values[place])
        return dict(zip(self._names, values, strict=False))

    def _table(self, columns: list[list[Any]], rows: int) -> list[Any]:
        """Return what is stored of each row, which may be nothing."""
        return [self._row(list(row)) for row in zip(*columns, strict=True)] if columns else [{} for _ in range(rows)]

    def _key(self, key: Any) -> Any:
        return _hex(key) if self._secret_key else key

    def _rows(self, at: int, many: Many) -> Iterator[Logged]:
        name, route, rows = _text(many.request_id), many.route, many.rows
        table = [None] * rows if many.columns is None else self._table(many.columns, rows)
        keys = [None] * rows if many.keys is None else [self._key(key) for key in many.keys]
        labels = many.labels if len(many.labels) == rows else [None] * rows
        shares = many.probabilities or [None] * rows
        for index, (key, values, label, share) in enumerate(zip(keys, table, labels, shares, strict=True)):
            yield Logged(at, name, route, index, key, values, label, share)


_GROUPS = msgspec.msgpack.Decoder(Group)


def _header(path: Path, payload: bytes | None) -> Header:
    try:
        header = msgspec.msgpack.decode(payload or b"", type=Header)
    except (ValueError, TypeError):
        raise NotASegment(f"{path.name} has no whole header") from None
    if header.format != FORMAT:
        raise NotASegment(f"{path.name} has format {header.format}, this Samovar reads {FORMAT}")
    return header


def _text(request_id: bytes) -> str:
    return request_id.decode("utf-8", "replace")


def _hex(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def complete(folder: Path) -> list[Path]:
    """Return the complete files of an endpoint, oldest first; what dead writers left open is completed first."""
    for path in folder.glob(f"*{folder_.NEW}"):
        if folder_.is_abandoned(path):
            path.unlink(missing_ok=True)
    for path in folder.glob(f"*{folder_.OPEN}"):
        adopt(path)
    return sorted(folder.glob(f"*{folder_.SEALED}"))


def adopt(path: Path) -> Path | None:
    """Complete a file whose writer is dead; None when it lives, or when another reader was faster."""
    file = folder_.take(path)
    if file is None:
        return None
    try:
        return path.rename(path.parent / folder_.sealed_name(folder_.segment_of(path), _count(path)))
    except OSError:
        return None
    finally:
        os.close(file)


def _count(path: Path) -> int:
    try:
        return sum(len(group.singles) + len(group.many) for group in Reading(path).groups())
    except (NotASegment, OSError, struct.error):
        return 0
