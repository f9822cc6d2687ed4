"""Spools for tests: a writer on a folder, rows to write, and what a reader finds."""

from __future__ import annotations

from samovar.serving.jobs import Job
from samovar.serving.metrics import Metrics
from samovar.serving.protocols.answers import Scored
from samovar.serving.spool.privacy import Hasher, Privacy
from samovar.serving.spool.reader import Reading
from samovar.serving.spool.records import FORMAT, Header, LoggedField
from samovar.serving.spool.writer import Limits, SegmentSpool

FIELDS = (LoggedField("amount", "keep"), LoggedField("channel", "keep"))
KEY = LoggedField("transaction_id", "keep")
ID = b"0123456789abcdef"


def spool(folder, *, fields=FIELDS, key=KEY, metrics=None, model="payments", alias="Production", **limits):
    """Open a spool on ``folder``."""
    privacy = Privacy(fields, key, Hasher(b"k" * 32))
    header = Header(FORMAT, "", model, alias, 3, "1.4.0", "fraud", "champion", "d" * 64, key, fields, (0, 1))
    counts = (metrics or Metrics({"model": model}, [], {"version": "3"}, [])).spool
    return SegmentSpool(folder, header, privacy, Limits(**{"fsync_seconds": 0} | limits), counts)


def row(number=0, **changes):
    """One scored row, as a handler's ``quick`` gives it."""
    given = {"body": b"{}", "values": (12.5 + number, "web"), "key": f"t-{number}", "label": 1, "probabilities": (0.2, 0.8)}
    return tuple((given | changes).values())


def job(rows, start=0):
    """A request of n rows and its answers."""
    columns = [[12.5 + start + at for at in range(rows)], ["web"] * rows]
    keys = [f"t-{start + at}" for at in range(rows)]
    return Job(columns, rows, None, None, keys=keys), Scored([1] * rows, [[0.2, 0.8]] * rows)


def write(opened, start, count):
    """Write one-row requests, a turn each."""
    for number in range(start, start + count):
        opened.row(ID, "/predict", row(number))
        opened.flush()


def keys(folder):
    """The keys of all whole rows in a folder, in the order of files."""
    return [found.key for path in files(folder) for found in Reading(path)]


def files(folder):
    return sorted(path for path in folder.iterdir() if path.suffix in (".open", ".sealed"))
