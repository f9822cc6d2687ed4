"""A drift report as files: ``drift_report.csv`` and ``.json`` for programs, ``drift_report.html`` for people.

The same findings give the same bytes, and a file is either whole or not there.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.monitoring import words
from samovar.monitoring.drift import FeatureDrift
from samovar.monitoring.page import page
from samovar.store.files import atomic_write

if TYPE_CHECKING:
    from pathlib import Path

    from samovar.monitoring.subject import Subject

NAME = "drift_report"


def write(folder: Path, subject: Subject) -> dict[str, Any]:
    """Write the three files into a folder; returns what the JSON one says.

    Raises:
        OSError: the folder cannot be written.
    """
    told = document(subject)
    atomic_write(folder / f"{NAME}.csv", table(subject).encode())
    atomic_write(folder / f"{NAME}.json", msgspec.json.format(msgspec.json.encode(told), indent=1))
    # The page comes last: who sees it finds the others too.
    atomic_write(folder / f"{NAME}.html", page(subject).encode())
    return told


def document(subject: Subject) -> dict[str, Any]:
    """Return the whole report as builtin data."""
    return {
        "project": subject.project,
        "model": subject.model,
        "version": subject.version,
        "dataset": subject.dataset,
        "sentence": words.verdict(subject),
        "next": words.advice(subject),
        "shifted": [entry.name for entry in subject.report.shifted],
        **msgspec.to_builtins(subject.report),
        "standing": msgspec.to_builtins(subject.standing),
        "before": msgspec.to_builtins(subject.before),
        "comparison": _comparison(subject),
    }


def table(subject: Subject) -> str:
    """Return one line per feature (and one for the answers) as CSV."""
    report = subject.report
    names = FeatureDrift.__struct_fields__
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["feature", *names[1:]])
    for entry in [*report.features, *([report.prediction] if report.prediction else [])]:
        writer.writerow([_cell(getattr(entry, name)) for name in names])
    return written.getvalue()


def _comparison(subject: Subject) -> dict[str, Any] | None:
    found = subject.comparison
    return None if found is None else {"verdict": found.verdict, **msgspec.to_builtins(found)}


def _cell(value: object) -> object:
    """Write an empty cell for None, and booleans as JSON does."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value
