"""CSV tables with a header line, read as pandas reads them: the same cells count as missing, blank lines are skipped."""

from __future__ import annotations

import csv
import io

from samovar.errors import RequestError
from samovar.scoring.forms.layout import Raw

csv.field_size_limit(2**31 - 1)  # the body's own limit holds; 128 KiB is too little for a text

_HEADER = "Expected a CSV table with a header line."


def table(text: str) -> Raw:
    """Return the table of a CSV text.

    Raises:
        RequestError: it has no header line, or a line of another length.
    """
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line and not _blank(line)]
    except csv.Error:
        raise RequestError(_HEADER, path="csv") from None
    if not lines:
        raise RequestError(_HEADER, path="csv")
    labels, *rows = lines
    for index, row in enumerate(rows):
        if len(row) != len(labels):
            raise RequestError(f"Expected {len(labels)} cells, as in the header line.", path=f"csv[{index}]")
    if not rows:
        raise RequestError("Expected at least one row.", path="csv")
    return Raw(labels, list(zip(*rows, strict=True)), len(rows))


def _blank(line: list[str]) -> bool:
    return len(line) == 1 and not line[0].strip(" \t")
