"""Reviews with stars, read row by row: CSV or JSON lines, plain or compressed, from a path or a URL.

A file may be larger than memory. At most `LIMIT` rows are kept: those whose content has the smallest hashes, so that the same file
always gives the same rows, whatever order it is in. A line that is no review is kept as a row without values, and says why in the
column ``unreadable``: ingest finds its review missing, and puts it into quarantine.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
import heapq
import io
import json
import lzma
import os
import urllib.error
import urllib.request
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import polars as pl

import samovar as sv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCHEMA = {
    "reviewText": pl.String(),
    "summary": pl.String(),
    "stars": pl.Int64(),
    "reviewerID": pl.String(),
    "asin": pl.String(),
    "reviewed_at": pl.Datetime("us", "UTC"),
    "unreadable": pl.String(),
}
"""Columns of what is read."""

LIMIT = 100_000
_LONGEST = 4 * 2**20  # characters of one cell or line; an unclosed quote would swallow the rest of the file
_SHOWN = 200  # characters of a line that is no review
_TIMEOUT = 60.0  # seconds without a byte
_GZIP, _XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"

Row = dict[str, Any]


class _Unreadable(Exception):
    """A line is no review; the message says why."""


def where() -> str:
    """Return the path or URL that is set: ``SAMOVAR_SENTIMENT_SOURCE``, else a Kindle file in ``RAW_DATA_DIR``; empty for none."""
    if named := os.environ.get("SAMOVAR_SENTIMENT_SOURCE", ""):
        return named
    folder = os.environ.get("RAW_DATA_DIR", "")
    found = sorted(Path(folder).glob("*[Kk]indle*")) if folder else []
    return next((str(path) for path in found if {".csv", ".json", ".jsonl"} & set(path.suffixes)), "")


def read(source: str, window: sv.Window, limit: int = LIMIT) -> pl.DataFrame:
    """Return at most ``limit`` reviews of a window, in the order of time.

    Raises:
        DataError: the source cannot be opened, breaks off, or is neither CSV with a header nor JSON lines.
    """
    try:
        with closing(_open(source)) as stream:
            kept = _smallest((row for row in _rows(_text(stream)) if _inside(row, window)), limit)
    except (OSError, EOFError, lzma.LZMAError, urllib.error.URLError, ValueError) as error:
        raise sv.DataError(
            f"The reviews cannot be read ({type(error).__name__}).",
            remedy="Let SAMOVAR_SENTIMENT_SOURCE be a path or http(s) URL of CSV or JSON lines, plain, .gz or .xz.",
        ) from error
    return pl.DataFrame(kept, schema=SCHEMA).sort("reviewed_at", "asin", "reviewerID", nulls_last=True)


def _open(source: str) -> Any:
    if source.startswith(("http://", "https://")):
        return urllib.request.urlopen(source, timeout=_TIMEOUT)  # noqa: S310 - the two schemes above only
    return Path(source).expanduser().open("rb")


def _text(stream: Any) -> IO[str]:
    """Return the text of a stream, unpacked if its first bytes say that it is packed; what is no UTF-8 is marked."""
    buffered = io.BufferedReader(stream) if not isinstance(stream, io.BufferedReader) else stream
    start = buffered.peek(len(_XZ))
    plain: Any = buffered
    if start.startswith(_GZIP):
        plain = gzip.GzipFile(fileobj=buffered)
    elif start.startswith(_XZ):
        plain = lzma.LZMAFile(buffered)  # noqa: SIM115 - the text around it closes it
    return io.TextIOWrapper(plain, encoding="utf-8-sig", errors="replace", newline="")


def _rows(text: IO[str]) -> Iterator[Row]:
    first = text.readline(_LONGEST)
    lines = _lines(text, first)
    return _json_rows(lines) if first.lstrip().startswith("{") else _csv_rows(lines)


def _lines(text: IO[str], first: str) -> Iterator[str]:
    yield first
    while line := text.readline(_LONGEST):
        yield line


def _json_rows(lines: Iterable[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _review(json.loads(line))
        except (ValueError, RecursionError, _Unreadable) as error:
            reason = str(error) if isinstance(error, _Unreadable) else "no JSON"
            yield _bad(number, reason, line)


def _csv_rows(lines: Iterable[str]) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST)
    reader = csv.reader(lines)
    header = next(reader, [])
    if not {"reviewText", "overall"} <= set(header):
        raise sv.DataError(
            "The reviews have no columns reviewText and overall.",
            remedy="Give a CSV file with a header, or JSON lines, as Amazon's reviews are published.",
        )
    for number in count(2):
        cells: list[str] | None = None
        try:
            cells = next(reader, None)
            if cells is None:
                return
            yield _review(_named(header, cells))
        except csv.Error:
            yield _bad(number, "no CSV, or a cell that is too long", "")
        except _Unreadable as error:
            yield _bad(number, str(error), ",".join(cells or ()))


def _named(header: list[str], cells: list[str]) -> Row:
    if len(cells) != len(header):
        raise _Unreadable(f"{len(cells)} cells where the header has {len(header)}")
    return dict(zip(header, cells, strict=True))


def _review(found: Any) -> Row:
    """Return the row of a published review; what a contract judges (a missing text) is left to it."""
    if not isinstance(found, dict):
        raise _Unreadable("expected a JSON object")
    row = {name: _said(found.get(name)) for name in ("reviewText", "summary", "reviewerID", "asin")}
    return {**row, "stars": _stars(found.get("overall")), "reviewed_at": _when(found), "unreadable": None}


def _said(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _stars(value: Any) -> int:
    try:
        stars = float(value)
    except (TypeError, ValueError):
        raise _Unreadable("overall is no number") from None
    if stars not in (1, 2, 3, 4, 5):
        raise _Unreadable("overall is none of the stars from 1 to 5")
    return int(stars)


def _when(found: Row) -> dt.datetime | None:
    try:
        return dt.datetime.fromtimestamp(int(found["unixReviewTime"]), dt.UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        pass
    try:
        return dt.datetime.strptime(str(found.get("reviewTime")), "%m %d, %Y").replace(tzinfo=dt.UTC)
    except ValueError:
        return None


def _bad(number: int, reason: str, line: str) -> Row:
    return dict.fromkeys(SCHEMA) | {"unreadable": f"line {number}: {reason}: {line[:_SHOWN]}"}


def _inside(row: Row, window: sv.Window) -> bool:
    """Whether a row lies in the window; one without a time lies in every one, for somebody has to say that it has none."""
    when = row["reviewed_at"]
    if when is None:
        return True
    return (window.start is None or window.start <= when) and (window.end is None or when < window.end)


def _smallest(rows: Iterable[Row], limit: int) -> list[Row]:
    """Return the rows with the smallest hashes, holding no more than ``limit`` at a time."""
    heap: list[tuple[int, int, Row]] = []
    for number, row in enumerate(rows):
        entry = (-_hash(row), -number, row)
        if len(heap) < limit:
            heapq.heappush(heap, entry)
        elif entry > heap[0]:
            heapq.heapreplace(heap, entry)
    return [row for _, _, row in heap]


def _hash(row: Row) -> int:
    told = "\0".join(str(row[name]) for name in ("reviewerID", "asin", "reviewText", "unreadable"))
    return int.from_bytes(hashlib.blake2b(told.encode("utf-8", "replace"), digest_size=8).digest(), "big")
