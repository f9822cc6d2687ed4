"""Reads the prediction log: whole rows up to where a file ends or is torn, whether or not its writer lives."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Rows:
    """Rows as columns, each named as in `Logged` in the plural.

    ``values`` are structs that become the same JSON as a mapping would, in half the time; ``requests`` is how many requests these
    rows are of.
    """

    at: list[int] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    routes: list[str] = field(default_factory=list)
    row_indices: list[int] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    probabilities: list[Any] = field(default_factory=list)
    requests: int = 0

    def columns(self) -> tuple[list[Any], ...]:
        """Return them in the order of `Logged`."""
        return (
            self.at,
            self.request_ids,
            self.routes,
            self.row_indices,
            self.keys,
            self.values,
            self.labels,
            self.probabilities,
        )


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
        stored = [one for one in self.header.fields if one.log != "drop"]
        self._names = [one.name for one in stored]
        self._row = _row_type(self._names)
        self._secret = [place for place, one in enumerate(stored) if one.log == "hash"]
        self._secret_key = self.header.key is not None and self.header.key.log == "hash"

    def __iter__(self) -> Iterator[Logged]:
        """Yield the rows from ``end`` on; once more, those that were added meanwhile."""
        for rows in self.batches(1):
            for at, name, route, index, key, values, *answer in zip(*rows.columns(), strict=True):
                named = None if values is None else dict(zip(self._names, msgspec.structs.astuple(values), strict=True))
                yield Logged(at, name, route, index, key, named, *answer)

    def batches(self, size: int) -> Iterator[Rows]:
        """Yield the rows from ``end`` on, at least ``size`` at once but the last, whole groups only."""
        rows = Rows()
        for group in self.groups():
            self._add_singles(rows, group)
            for many in group.many:
                self._add_many(rows, group.at, many)
            if len(rows.at) >= size:
                yield rows
                rows = Rows()
        if rows.at:
            yield rows

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

    def _add_singles(self, rows: Rows, group: Group) -> None:
        singles, row, secret = group.singles, self._row, self._secret
        if secret:
            for single in singles:
                _reveal(single.values, secret)
        if self._secret_key:
            rows.keys += [_hex(single.key) for single in singles]
        else:
            rows.keys += [single.key for single in singles]
        rows.requests += len(singles)
        rows.at += [group.at] * len(singles)
        rows.request_ids += [_text(single.request_id) for single in singles]
        rows.routes += [single.route for single in singles]
        rows.row_indices += [0] * len(singles)
        try:
            rows.values += [None if single.values is None else row(*single.values) for single in singles]
        except TypeError:  # values without a field: what is known of them is read all the same
            width = len(self._names)
            rows.values += [None if single.values is None else row(*single.values[:width]) for single in singles]
        rows.labels += [single.label for single in singles]
        rows.probabilities += [single.probabilities for single in singles]

    def _add_many(self, rows: Rows, at: int, many: Many) -> None:
        count, nothing = many.rows, [None] * many.rows
        rows.requests += 1
        rows.at += [at] * count
        rows.request_ids += [_text(many.request_id)] * count
        rows.routes += [many.route] * count
        rows.row_indices += range(count)
        rows.keys += nothing if many.keys is None else [_hex(key) for key in many.keys] if self._secret_key else many.keys
        rows.values += nothing if many.columns is None else self._table(many.columns, count)
        rows.labels += many.labels if len(many.labels) == count else nothing
        rows.probabilities += many.probabilities if many.probabilities and len(many.probabilities) == count else nothing

    def _table(self, columns: list[list[Any]], count: int) -> list[Any]:
        """Return what is stored of each row, which may be nothing."""
        if not columns:
            return [self._row()] * count
        for place in self._secret:
            columns[place] = [_hex(value) for value in columns[place]]
        return list(map(self._row, *columns[: len(self._names)]))


def _row_type(names: list[str]) -> Any:
    """Return a struct of fields of these names, whatever characters are in them."""
    places = [(f"f{place}", Any, None) for place in range(len(names))]
    return msgspec.defstruct("Row", places, rename={place: name for (place, *_), name in zip(places, names, strict=True)})


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


def _reveal(values: Any, secret: list[int]) -> None:
    """Write hashes as text, in place."""
    if values is not None:
        for place in secret:
            values[place] = _hex(values[place])


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
