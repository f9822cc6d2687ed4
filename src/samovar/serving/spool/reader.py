"""Reads the prediction log: whole rows up to where a file ends or is torn, whether or not its writer lives."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.serving.spool import folder as folder_
from samovar.serving.spool.records import FORMATS, LENGTH, MAGIC, Group, Header, Many, Single, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
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
class Table:
    """What is stored of rows that follow each other.

    Attributes:
        first: the place of the first of them among the rows.
        rows: n.
        columns: n values of each field that is stored; hashes as 32 hex digits.
    """

    first: int
    rows: int
    columns: list[list[Any]]


@dataclass(slots=True)
class Rows:
    """Rows as columns, each named as in `Logged` in the plural.

    ``tables`` hold the values of the rows that have any, in order; ``requests`` is how many requests these rows are of.
    """

    at: list[int] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    routes: list[str] = field(default_factory=list)
    row_indices: list[int] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    probabilities: list[Any] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    requests: int = 0

    def put(self, columns: Iterable[Sequence[Any]], count: int) -> None:
        """Add values of the next ``count`` rows; called before the rest of them is added."""
        first = len(self.at)
        last = self.tables[-1] if self.tables else None
        if last is None or last.first + last.rows != first:
            self.tables.append(Table(first, count, [list(column) for column in columns]))
            return
        last.rows += count
        for column, more in zip(last.columns, columns, strict=True):
            column.extend(more)

    def values(self, names: Sequence[str]) -> list[dict[str, Any] | None]:
        """Return the values of each row by name."""
        found: list[dict[str, Any] | None] = [None] * len(self.at)
        for table in self.tables:
            rows = zip(*table.columns, strict=True) if table.columns else [()] * table.rows
            found[table.first : table.first + table.rows] = [dict(zip(names, row, strict=True)) for row in rows]
        return found


class Reading:
    """One file.

    Args:
        path: the file.

    Raises:
        NotASegment: it is something else, or torn before its first row.
        OSError: it cannot be read.

    Attributes:
        header: whose answers they are.
        names: the fields that are stored, in the order of tables' columns.
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
        self.names = [one.name for one in stored]
        self._secret = [place for place, one in enumerate(stored) if one.log == "hash"]
        self._secret_key = self.header.key is not None and self.header.key.log == "hash"

    def __iter__(self) -> Iterator[Logged]:
        """Yield the rows from ``end`` on; once more, those that were added meanwhile."""
        for rows in self.batches(1):
            yield from map(
                Logged,
                rows.at,
                rows.request_ids,
                rows.routes,
                rows.row_indices,
                rows.keys,
                rows.values(self.names),
                rows.labels,
                rows.probabilities,
            )

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
        singles = group.singles
        if not singles:
            return
        values = [single.values for single in singles]
        if None in values:  # some were no rows of plain columns
            for single in singles:
                self._add_singles_of(rows, group.at, [single], None if single.values is None else [single.values])
        else:
            self._add_singles_of(rows, group.at, singles, values)

    def _add_singles_of(self, rows: Rows, at: int, singles: list[Single], values: list[list[Any]] | None) -> None:
        count = len(singles)
        if values is not None:
            rows.put(self._columns(_turned(values, len(self.names)), count), count)
        rows.requests += count
        rows.at += [at] * count
        rows.request_ids += [_text(single.request_id) for single in singles]
        rows.routes += [single.route for single in singles]
        rows.row_indices += [0] * count
        rows.keys += [_hex(single.key) for single in singles] if self._secret_key else [single.key for single in singles]
        rows.labels += [single.label for single in singles]
        rows.probabilities += [single.probabilities for single in singles]

    def _add_many(self, rows: Rows, at: int, many: Many) -> None:
        count, nothing = many.rows, [None] * many.rows
        if many.columns is not None:
            rows.put(self._columns([unpacked(column) for column in many.columns], count), count)
        rows.requests += 1
        rows.at += [at] * count
        rows.request_ids += [_text(many.request_id)] * count
        rows.routes += [many.route] * count
        rows.row_indices += many.places if many.places is not None and len(many.places) == count else range(count)
        rows.keys += nothing if many.keys is None else [_hex(key) for key in many.keys] if self._secret_key else many.keys
        labels, shares = unpacked(many.labels), many.probabilities and unpacked(many.probabilities)
        rows.labels += labels if len(labels) == count else nothing
        rows.probabilities += shares if shares and len(shares) == count else nothing

    def _columns(self, found: list[Sequence[Any]], count: int) -> list[Sequence[Any]]:
        """Return a column for each field that is stored: values without a field are left out, fields without values are null."""
        columns = [*found[: len(self.names)], *[[None] * count] * (len(self.names) - len(found))]
        for place in self._secret:
            columns[place] = [_hex(value) for value in columns[place]]
        return columns


def _turned(rows: list[list[Any]], width: int) -> list[Sequence[Any]]:
    """Return the columns of rows, which may differ in width."""
    try:
        return list(zip(*rows, strict=True))
    except ValueError:
        return list(zip(*[[*row[:width], *[None] * (width - len(row))] for row in rows], strict=True))


_GROUPS = msgspec.msgpack.Decoder(Group)


def _header(path: Path, payload: bytes | None) -> Header:
    try:
        header = msgspec.msgpack.decode(payload or b"", type=Header)
    except (ValueError, TypeError):
        raise NotASegment(f"{path.name} has no whole header") from None
    if header.format not in FORMATS:
        raise NotASegment(f"{path.name} has format {header.format}, this Samovar reads {' and '.join(map(str, FORMATS))}")
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
