"""Which columns a plan takes, and how raw columns become typed ones; every refusal about a column is written here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from samovar.errors import RequestError
from samovar.scoring.forms.kinds import REFUSALS, Kind, inputs_of, is_texts, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.scoring.plan import ScorerPlan, SignatureColumn

ABSENT: Any = object()
"""Stands for a cell that was not sent."""


class NotPlain(Exception):
    """The rows are good as they are, and no table of the layout: the engine must read them itself."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A table as it was sent.

    Attributes:
        labels: the columns' names, as sent; numbers 0 to n - 1 where there were none.
        columns: the values of each, all of one length; a cell that was not sent is ``ABSENT``.
        rows: how many values a column has.
        ragged: whether any cell is ``ABSENT``.
        placed: whether the columns are the layout's by position, whatever their names.
    """

    labels: Sequence[Any]
    columns: Sequence[Sequence[Any]]
    rows: int
    ragged: bool = False
    placed: bool = False


class Layout:
    """The columns of one plan.

    Attributes:
        columns: the columns, in order.
        kinds: how each is read.
        named: whether columns are found by name; else by position.
        fills: whether an optional column that was not sent is null; mlflow's pyfunc lets the model see a frame without it.
        matrix: whether the model takes a matrix.
        texts: whether it takes a list of texts.
        length: how many rows it takes; None for any number.
        names: the columns' names.
    """

    def __init__(self, plan: ScorerPlan) -> None:
        self.columns: tuple[SignatureColumn, ...] = inputs_of(plan)
        self.kinds: tuple[Kind, ...] = tuple(kind_of(column) for column in self.columns)
        self.named = bool(self.columns) and bool(self.columns[0].name)
        self.fills = plan.engine != "pyfunc"
        self.texts = is_texts(plan.tensor)
        self.matrix = plan.tensor is not None and not self.texts
        self.length = plan.tensor.shape[0] if plan.tensor is not None and plan.tensor.shape[0] >= 0 else None
        self.names = frozenset(column.name for column in self.columns)

    def typed(self, raw: Raw, *, cells: bool = False) -> list[list[Any]]:
        """Return the layout's columns of a table.

        Args:
            raw: what was sent.
            cells: whether the values are text of a CSV table.

        Raises:
            RequestError: a column is missing, given twice, or holds what its type does not take; the path names it.
            NotPlain: an optional column was not sent, and the model is to see that.
        """
        if not raw.rows:
            raise RequestError("Expected at least one row.")
        if self.length not in (None, raw.rows):
            raise RequestError(f"Expected {self.length} rows.")
        found = self._by_name(raw) if self.named and not raw.placed else self._by_position(raw)
        return [self._read(k, values, kind.cell if cells else kind.value) for k, (kind, values) in enumerate(found)]

    def finish(self, columns: list[Sequence[Any]]) -> list[Sequence[Any]]:
        """Return columns of the kinds' exact types; raises as ``typed``."""
        return [self._read(k, columns[k], kind.value) if kind.finish else columns[k] for k, kind in enumerate(self.kinds)]

    def _by_name(self, raw: Raw) -> list[tuple[Kind, Sequence[Any]]]:
        if len(set(raw.labels)) != len(raw.labels):
            raise RequestError("A column is given twice.", path="columns")
        sent = dict(zip(raw.labels, raw.columns, strict=True))
        for column, kind in zip(self.columns, self.kinds, strict=True):
            if column.name not in sent:
                if column.required:
                    raise RequestError(f"This column is missing; expected {kind.words}.", path=column.name)
                if not self.fills:
                    raise NotPlain
            elif raw.ragged and not column.required:
                sent[column.name] = [None if value is ABSENT else value for value in sent[column.name]]
        gaps = [None] * raw.rows
        return [(kind, sent.get(column.name, gaps)) for column, kind in zip(self.columns, self.kinds, strict=True)]

    def _by_position(self, raw: Raw) -> list[tuple[Kind, Sequence[Any]]]:
        width = len(self.columns)
        if len(raw.columns) < width or (self.matrix and len(raw.columns) != width):
            raise RequestError(f"Expected {width} columns.", path="columns")
        return list(zip(self.kinds, raw.columns, strict=False))

    def _read(self, k: int, values: Sequence[Any], read: Callable[[Any], Any]) -> list[Any]:
        try:
            return [read(value) for value in values]
        except REFUSALS:
            self._refuse(k, values, read)

    def _refuse(self, k: int, values: Sequence[Any], read: Callable[[Any], Any]) -> NoReturn:
        """Find the row and say what was expected there."""
        for index, value in enumerate(values):
            try:
                read(value)
            except REFUSALS:
                lead = "This column is missing; expected" if value is ABSENT else "Expected"
                raise RequestError(f"{lead} {self.kinds[k].words}.", path=self._path(k, index, len(values))) from None
        raise AssertionError

    def _path(self, k: int, index: int, rows: int) -> str:
        name = self.columns[k].name
        if rows == 1:
            return name or f"columns[{k}]"
        return f"rows[{index}].{name}" if name else f"rows[{index}][{k}]"
