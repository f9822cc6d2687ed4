"""Labels: what came true, from a file into the app database. Streamed; what is no label is kept with its reason."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.errors import DataError, NotFound, UsageError
from samovar.pipelines.infer import text
from samovar.store import labels, quarantine, query
from samovar.store.labels import Label
from samovar.store.quarantine import Item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from samovar.store.database import Database

_AT_ONCE = 5000
_LONGEST = 200  # characters of a bad line that are kept


def load(database: Database, project: str, file: Path, *, progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Store the labels of a file: columns ``key``, ``label`` and, if it is known, ``observed_at`` (UTC unless it says otherwise).

    A key is a row's key as it was asked about, or ``REQUEST_ID/ROW``, or the id of a request of one row. The first label of a key
    stays; another one for it is no label but a contradiction. Run again, or after it was killed, nothing is stored twice.

    Args:
        database: the app database.
        project: whose rows; the registered model's name for a model that is no project's.
        file: CSV with a header, Parquet, or JSON lines.
        progress: told how many lines were read.

    Returns:
        ``status`` (``unchanged`` when nothing was new), ``project``, ``added``, ``known`` labels, ``rejected`` lines, ``reasons``
        (how many by reason), and ``batch``, under which `samovar.store.quarantine` has them.

    Raises:
        NotFound: there is no such file.
        UsageError: its name says no form that can be read.
        DataError: it cannot be read, or has no ``key`` or ``label`` at all.
    """
    lines, batch = read(file), _digest(file)
    done = {"added": 0, "known": 0, "rejected": 0}
    reasons: dict[str, int] = {}
    at = query.now()
    for part in _chunks(enumerate(lines)):
        good, bad = _sort(project, part, at)
        with database.begin() as connection:
            have = labels.known(connection, project, list(good))
            bad += [_contradicts(index, one) for index, one in good.values() if have.get(one.key, one.label) != one.label]
            new = [one for _, one in good.values() if one.key not in have]
            labels.add(connection, new)
            quarantine.add(connection, project, batch, bad)
        done["added"] += len(new)
        done["rejected"] += len(bad)
        done["known"] += len(part) - len(new) - len(bad)
        for item in bad:
            reasons[item.reason] = reasons.get(item.reason, 0) + 1
        if progress is not None:
            progress(part[-1][0] + 1)
    return {"status": "done" if done["added"] else "unchanged", "project": project, **done, "reasons": reasons, "batch": batch}


def read(file: Path) -> Iterator[dict[str, Any] | str]:
    """Yield a file's lines as mappings, or as the text of a line that is none; raises as `load`."""
    if not file.is_file():
        raise NotFound(f"There is no file {file}.", remedy="Name a CSV, Parquet or JSON lines file.")
    readers = {".csv": _csv, ".parquet": _parquet, ".jsonl": _json, ".ndjson": _json, ".json": _json}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise UsageError(f"{file.name} is of no form that is known.", remedy="It ends in .csv, .parquet or .jsonl.")
    return reader(file)


def _csv(file: Path) -> Iterator[dict[str, Any] | str]:
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        lines = csv.DictReader(stream)
        try:
            _need(file, lines.fieldnames or ())
            for line in lines:
                yield ",".join(map(str, line.values()))[:_LONGEST] if None in line else dict(line)
        except csv.Error as error:
            raise DataError(f"{file.name} is no CSV: {error}.", remedy="Mend the file and load it again.") from None


def _json(file: Path) -> Iterator[dict[str, Any] | str]:
    with file.open("rb") as stream:
        for line in stream:
            if not line.strip():
                continue
            try:
                yield msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.DecodeError, UnicodeDecodeError):
                yield line.decode(errors="replace")[:_LONGEST]


def _parquet(file: Path) -> Iterator[dict[str, Any] | str]:
    import pyarrow as pa  # noqa: PLC0415 - half a second that the other forms do not need
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    try:
        with pq.ParquetFile(file) as opened:
            _need(file, opened.schema_arrow.names)
            wanted = [name for name in ("key", "label", "observed_at") if name in opened.schema_arrow.names]
            for batch in opened.iter_batches(_AT_ONCE, columns=wanted):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError):
        raise DataError(f"{file.name} is no Parquet file, or a broken one.", remedy="Write it again and load it.") from None


def _need(file: Path, names: Iterable[str]) -> None:
    for name in ("key", "label"):
        if name not in names:
            raise DataError(f"{file.name} has no column {name}.", remedy="It needs key and label, and may have observed_at.")


def _chunks(lines: Iterator[tuple[int, Any]]) -> Iterator[list[tuple[int, Any]]]:
    while part := list(itertools.islice(lines, _AT_ONCE)):
        yield part


def _sort(project: str, part: list[tuple[int, Any]], at: dt.datetime) -> tuple[dict[str, tuple[int, Label]], list[Item]]:
    """Part lines into labels by key, with their positions, and what is none."""
    good: dict[str, tuple[int, Label]] = {}
    bad: list[Item] = []
    for index, line in part:
        one = _label(project, line, at)
        if isinstance(one, tuple):
            bad.append(Item(index, *one, _kept(line)))
        elif one.key in good and good[one.key][1].label != one.label:
            bad.append(_contradicts(index, one))
        else:
            good.setdefault(one.key, (index, one))
    return good, bad


def _label(project: str, line: Any, at: dt.datetime) -> Label | tuple[str, str]:
    """Return a line's label, or the field and the reason why it has none."""
    if not isinstance(line, dict):
        return "", "is no line of key, label and observed_at"
    key, label, seen = (line.get(name) for name in ("key", "label", "observed_at"))
    if key is None or isinstance(key, dict | list) or not str(key).strip():
        return "key", "is missing"
    if label is None or isinstance(label, dict | list) or not str(label).strip():
        return "label", "is missing"
    moment = at if seen in (None, "") else _moment(seen)
    if moment is None:
        return "observed_at", "is no time"
    # PostgreSQL's text has no NUL; the prediction log writes it the same way.
    key, label = (str(value).replace("\0", "\N{REPLACEMENT CHARACTER}") for value in (key, text(label)))
    return Label(project, key, label, moment)


def _moment(value: Any) -> dt.datetime | None:
    try:
        found = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value).strip())
        return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def _contradicts(index: int, one: Label) -> Item:
    return Item(index, "label", "is another one than the key had before", {"key": one.key, "label": one.label})


def _kept(line: Any) -> dict[str, Any]:
    return {name: str(value) for name, value in line.items()} if isinstance(line, dict) else {"line": line}


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


__all__ = ["load", "read"]
