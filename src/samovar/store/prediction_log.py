"""The prediction log: every row that endpoints answered, shipped file by file, each file once.

What was asked and answered is a row; the values that were asked about are kept by the thousand, as columns, which takes a third of
the time and is how they are read: to be compared with other windows.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import itertools
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import sqlalchemy as sa

from samovar.store import query
from samovar.store.tables import prediction_features, prediction_log, spool_segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShippedSegment:
    """A file of an endpoint's log, and whose answers are in it.

    Attributes:
        segment: its name, unique among all.
        project: the project that trained the version; empty for a model logged elsewhere.
        model: registered model.
        alias: the alias that was asked.
        version: the version that answered.
        role: ``champion``; ``challenger`` when another version answered a share; ``shadow`` when nobody acts on the answers.
        contract: digest of the contract.
        fields: name and policy (``keep``, ``hash``, ``drop``) of each field.
        classes: class labels in the order of the probabilities.
    """

    segment: str
    project: str
    model: str
    alias: str
    version: int
    role: Literal["champion", "challenger", "shadow"]
    contract: str
    fields: Sequence[Sequence[str]] = ()
    classes: Sequence[Any] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Features:
    """What is logged of rows that follow each other.

    Attributes:
        first: the first of them.
        rows: n.
        columns: n values by field.
    """

    first: int
    rows: int
    columns: Mapping[str, Sequence[Any]]


@dataclasses.dataclass(slots=True)
class LogRows:
    """n rows as columns; times are UNIX microseconds, ``features`` those of some of the rows or of all.

    ``keys`` and ``labels`` may be of any type and are stored as text; None is stored as the empty text.
    """

    at: Sequence[int]
    request_ids: Sequence[str]
    row_indices: Sequence[int]
    routes: Sequence[str]
    keys: Sequence[Any]
    labels: Sequence[Any]
    probabilities: Sequence[Any]
    features: Sequence[Features]

    def __len__(self) -> int:
        """Return n."""
        return len(self.at)


@dataclasses.dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """One row, as it is stored; see `samovar.store.tables`. ``features`` is value by field, None when nothing is known of them."""

    segment: int
    position: int
    at: dt.datetime
    request_id: str
    row_index: int
    route: str
    key: str
    label: str
    probabilities: list[float] | None
    features: dict[str, Any] | None = None


class Shipment:
    """One file on its way into the database, within one transaction.

    Args:
        connection: the transaction.
        number: the file's number in the database.
    """

    def __init__(self, connection: sa.Connection, number: int) -> None:
        self._connection = connection
        self._number = number
        self.rows = 0

    def add(self, rows: LogRows) -> None:
        """Store rows after those that were stored before."""
        zone = "+00" if self._connection.dialect.name == "postgresql" else ""
        _insert(self._connection, prediction_log, _tuples(self._number, self.rows, rows, zone))
        tables = [(self._number, self.rows + one.first, one.rows, _LINES.encode(one.columns).decode()) for one in rows.features]
        _insert(self._connection, prediction_features, tables)
        self.rows += len(rows)

    def finish(self, *, requests: int, torn: int, first_at: int | None, last_at: int | None) -> None:
        """Say what was in the file: ``torn`` bytes at its end were no whole record; times in UNIX microseconds."""
        times = {"first_at": _time(first_at), "last_at": _time(last_at)}
        statement = sa.update(spool_segments).where(spool_segments.c.id == self._number)
        self._connection.execute(statement.values(requests=requests, rows=self.rows, torn=torn, **times))


def begin(connection: sa.Connection, segment: ShippedSegment) -> Shipment | None:
    """Begin to store a file's rows; None when they are there already.

    Two transactions that ship one file wait for each other here, and only one gets it.
    """
    empty = {"requests": 0, "rows": 0, "torn": 0, "shipped_at": query.now()}
    given = {field.name: getattr(segment, field.name) for field in dataclasses.fields(segment)}
    if not query.insert(connection, spool_segments, given | empty):
        return None
    number = connection.scalar(sa.select(spool_segments.c.id).where(spool_segments.c.segment == segment.segment))
    return Shipment(connection, number or 0)


def has_older(connection: sa.Connection, before: dt.datetime) -> bool:
    """Whether there is anything for ``forget``."""
    return connection.scalar(sa.select(spool_segments.c.id).where(spool_segments.c.shipped_at < before).limit(1)) is not None


def forget(connection: sa.Connection, before: dt.datetime) -> int:
    """Delete the files (and their rows) that were shipped before a time; returns how many rows."""
    old = sa.select(spool_segments.c.id).where(spool_segments.c.shipped_at < before)
    rows = connection.execute(sa.delete(prediction_log).where(prediction_log.c.segment.in_(old))).rowcount
    connection.execute(sa.delete(prediction_features).where(prediction_features.c.segment.in_(old)))
    connection.execute(sa.delete(spool_segments).where(spool_segments.c.shipped_at < before))
    return rows


def count(connection: sa.Connection, *, model: str | None = None, version: int | None = None, alias: str | None = None) -> int:
    """Count the rows that match all that is given."""
    wanted = {"model": model, "version": version, "alias": alias}
    where = [spool_segments.c[name] == value for name, value in wanted.items() if value is not None]
    return connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(spool_segments.c.rows), 0)).where(*where)) or 0


def rows_of(connection: sa.Connection, model: str, *, limit: int = 1000) -> list[LoggedPrediction]:
    """Return a model's newest rows, oldest first."""
    table: Any = prediction_log.c
    statement = sa.select(prediction_log).join(spool_segments, spool_segments.c.id == table.segment)
    statement = statement.where(spool_segments.c.model == model).order_by(table.segment.desc(), table.position.desc()).limit(limit)
    found = query.all_(connection, LoggedPrediction, statement)[::-1]
    features = _features(connection, found)
    return [dataclasses.replace(row, features=features.get((row.segment, row.position))) for row in found]


def _features(connection: sa.Connection, rows: Sequence[LoggedPrediction]) -> dict[tuple[int, int], dict[str, Any]]:
    """Return the values of ordered rows, by segment and position."""
    table: Any = prediction_features.c
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for segment, group in itertools.groupby(rows, lambda row: row.segment):
        least = next(group).position
        statement = sa.select(prediction_features).where(table.segment == segment, table.first + table.rows > least)
        for _, first, count, columns in connection.execute(statement):
            values = zip(*columns.values(), strict=True) if columns else [()] * count
            found |= {(segment, first + at): dict(zip(columns, row, strict=True)) for at, row in enumerate(values)}
    return found


_LINES = msgspec.json.Encoder()


def _tuples(number: int, position: int, rows: LogRows, zone: str) -> Iterator[tuple[Any, ...]]:
    """Yield rows in the order of the table's columns, times and JSON as text: a type's own processing costs more than the rest."""
    positions = range(position, position + len(rows))
    times = {at: _when(at) + zone for at in set(rows.at)}  # a turn's rows have one time
    whens = [times[at] for at in rows.at]
    return zip(
        [number] * len(rows),
        positions,
        whens,
        rows.request_ids,
        rows.row_indices,
        rows.routes,
        [key if type(key) is str and "\0" not in key else _text(key) for key in rows.keys],
        [label if type(label) is str and "\0" not in label else _text(label) for label in rows.labels],
        _json(rows.probabilities),
        strict=True,
    )


def _insert(connection: sa.Connection, table: sa.Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows in the order of the table's columns, as the driver does it best."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    found = list(rows)
    if not found:
        return
    if connection.dialect.name != "postgresql":
        marks = ", ".join("?" * len(table.columns))
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", found)  # noqa: S608 - our names
        return
    lines = "".join("\t".join(map(_escaped, row)) + "\n" for row in found)
    cursor = connection.connection.cursor()
    try:
        cursor.copy_expert(f"COPY {table.name} ({names}) FROM STDIN", io.StringIO(lines))
    finally:
        cursor.close()


def _escaped(value: Any) -> str:
    """Write a value as COPY reads it."""
    if value is None:
        return r"\N"
    text = str(value)
    return text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


def _json(values: Sequence[Any]) -> list[str | None]:
    """Encode values, one call for all: a line each, since JSON has no line breaks of its own."""
    if all(value is None for value in values):
        return [None] * len(values)
    lines = _LINES.encode_lines(values).decode().split("\n")
    return [None if line == "null" else line for line in lines[: len(values)]]


def _text(value: Any) -> str:
    """Write a key or a label; PostgreSQL's text has no NUL."""
    return "" if value is None else str(value).replace("\0", "\N{REPLACEMENT CHARACTER}")


def _when(at: int) -> str:
    """Write a time as SQLAlchemy does in SQLite; in UTC, which the text does not say."""
    found = dt.datetime.fromtimestamp(at // 1_000_000, dt.UTC)
    return found.replace(microsecond=at % 1_000_000, tzinfo=None).isoformat(" ", "microseconds")


def _time(at: int | None) -> dt.datetime | None:
    return None if at is None else dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=at)
