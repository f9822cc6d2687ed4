"""Large bodies of nothing but numbers: a matrix straight into arrays, without an object a row.

Numbers that are all short are read by `samovar.scoring.forms.decimals`. For others, ``[[1,2],[3,4]]`` without its inner brackets
is a list of numbers, which msgspec decodes in a third of the time. That every row has its width is read off what is left without
the digits. Whatever is not exactly such a matrix is left to the other readers, which know how to refuse it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from samovar.scoring.forms import decimals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.scoring.forms.layout import Layout

LARGE = 64 * 2**10
"""Bytes of a body from which on it is worth a look."""

_FEWEST = 64  # rows; fewer may be scored one by one, where Python's numbers are faster than numpy's
_SHORT = 2 + decimals.LONGEST  # a sign, and the space before it
_COMMA, _SPACE = b", "
_NUMBERS = msgspec.json.Decoder(list[float])


class MatrixReader:
    """Reads bodies of one layout.

    Args:
        layout: at least two columns, all of them doubles.
        row: reads a body of one row, see `samovar.scoring.forms.exact.ExactReader.row`.

    Raises:
        ValueError: the layout is another one.
    """

    def __init__(self, layout: Layout, row: Callable[[bytes], Sequence[Any] | None]) -> None:
        if len(layout.columns) < 2 or layout.length is not None or any(column.type != "double" for column in layout.columns):
            raise ValueError("no matrix of doubles")
        self._width = len(layout.columns)
        self._row = row

    def read(self, body: bytes) -> list[np.ndarray] | None:
        """Return the columns, float64 and without gaps; None for a body that must be read another way."""
        start, end = body.find(b"[["), body.rfind(b"]]")
        if start < 0 or end < start:
            return None
        first = body.find(b"]", start)
        alone = body[: first + 1] + body[end + 1 :]
        # With its first row alone the body must be a good one of one row, and without rows it must not: then the matrix is where
        # rows belong, and not in a field that nobody reads. An index has a value for each row, and its name may be written with
        # escapes.
        if b"index" in alone or b"\\" in alone or self._row(alone) is None:
            return None
        if self._row(body[:start] + b"[]" + body[end + 2 :]) is not None:
            return None
        matrix = _tight(body[start + 2 : end])
        if matrix is None:
            return None
        columns = None
        if not any(len(number) > _SHORT for number in body[start + 2 : first].split(b",")):  # the others will be as the first are
            columns = decimals.columns(matrix, self._width)
        if columns is None:
            columns = self._decode(matrix)
        return None if columns is None or columns.shape[1] < _FEWEST else list(columns)

    def _decode(self, matrix: bytes) -> np.ndarray | None:
        """Return the columns of a matrix with numbers of any length."""
        if not self._is_regular(matrix):
            return None
        try:
            numbers = _NUMBERS.decode(b"[%b]" % matrix.translate(None, b"[]"))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        table = np.frombuffer(struct.pack(f"{len(numbers)}d", *numbers)).reshape(-1, self._width)
        return np.ascontiguousarray(table.T)

    def _is_regular(self, matrix: bytes) -> bool:
        """Tell whether between every so many numbers, and nowhere else, one row ends and the next begins."""
        marks = matrix.translate(None, b"0123456789.+-eE")
        row, rows = b"," * (self._width - 1), marks.count(b"]") + 1
        # Nor may a digit stand between a row's end and the next one's begin: without the brackets it would join a number.
        return rows >= _FEWEST and marks == b"],[".join([row] * rows) and matrix.count(b"],[") == rows - 1


def _tight(matrix: bytes) -> bytes | None:
    """Return a matrix without the spaces that many clients write after commas; None when there are others."""
    if b" " not in matrix:
        return matrix
    text = np.frombuffer(matrix, np.uint8)
    spaces = np.flatnonzero(text == _SPACE)
    if spaces[0] == 0 or (text[spaces - 1] != _COMMA).any():
        return None
    return matrix.translate(None, b" ")
