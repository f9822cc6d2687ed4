"""Columns of text into a text that a vectorizer takes, and into numbers of it."""

from __future__ import annotations

from typing import Any

from samovar import texts
from samovar.scoring.ops.base import Kernel, Op
from samovar.scoring.ops.encode import cells


class Filled(Op, frozen=True):
    """Columns of text as one, with ``blank`` in the place of what is missing or blank in all of them."""

    blank: str

    def open(self) -> Kernel:
        """See `Op.open`."""
        blank = self.blank

        def row(*found: Any) -> str:
            return texts.join(found) or blank

        return Kernel(lambda *columns: [*map(row, *map(cells, columns))], row)


class TextNumber(Op, frozen=True):
    """Columns of text into one number of their joined texts: a column.

    Attributes:
        name: of the number, in `samovar.texts.NUMBERS`.
    """

    name: str

    def open(self) -> Kernel:
        """See `Op.open`."""
        if self.name not in texts.NUMBERS:
            raise ValueError("a plan computes a number of texts that this Samovar does not know")
        number, join = texts.NUMBERS[self.name], texts.join

        def row(*found: Any) -> float:
            return number(join(found))

        return Kernel(lambda *columns: [*map(row, *map(cells, columns))], row)
