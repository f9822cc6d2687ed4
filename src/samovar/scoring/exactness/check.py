"""Ask both models the same rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.errors import SamovarError
from samovar.scoring.engine import Scores
from samovar.scoring.exactness.compare import Compared, compare, undecided

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.scoring.engines.compiled import Runner
    from samovar.scoring.exactness.rows import Drawer, Row


_PATIENCE = 200  # calls of the native model for one group of rows, some milliseconds each
_GROUP = 128  # drawn rows that are asked together
_FEWEST = 100  # answers that must have been compared


@dataclass(frozen=True, slots=True)
class Agreement:
    """Both gave the same answers.

    Attributes:
        rows: how many rows were asked.
        refused: of these, rows that both refuse.
        ties: rows at which the labels differ because the model is undecided.
        worst: largest absolute difference of a number.
    """

    rows: int
    refused: int
    ties: int
    worst: float


class Disagrees(Exception):
    """They did not; the message is one sentence for people."""


@dataclass(slots=True)
class _Tally:
    rows: int = 0
    refused: int = 0
    compared: Compared = field(default_factory=Compared)


def check(runner: Runner, native: Callable[[list[list[Any]]], Scores], drawer: Drawer) -> Agreement:
    """Compare a program with the native model, in batches and row by row.

    Args:
        runner: the program.
        native: scores columns (lists of n values, in the program's order) with the native model.
        drawer: gives the rows.

    Raises:
        Disagrees: an answer differs, or one refuses what the other takes.
    """
    judge = _Judge(runner, native)
    if drawer.example:
        judge.compare([list(drawer.example)])
    probes = [*drawer.edges().values(), drawer.categories()]
    takes = judge.compare([[row for _, row in group] for group in probes])
    for group, accepted in zip(probes, takes, strict=True):
        for (position, row), good in zip(group, accepted, strict=True):
            if good:
                drawer.taken.setdefault(position, []).append(row[position])
    judge.compare(_groups(drawer.drawn()))
    tally = judge.tally
    if tally.rows - tally.refused < _FEWEST:
        raise Disagrees(
            "Too few rows could be compared, for the model refuses most that were made up: log it with an input example."
        )
    return Agreement(tally.rows, tally.refused, tally.compared.ties, tally.compared.worst)


class _Judge:
    def __init__(self, runner: Runner, native: Callable[[list[list[Any]]], Scores]) -> None:
        self._runner = runner
        self._native = native
        self._asked = 0
        self.tally = _Tally()

    def compare(self, groups: Sequence[list[Row]]) -> list[list[bool]]:
        """Compare groups of rows; returns which of them the native model takes.

        It is asked all groups at once, for a call costs milliseconds however many rows it has; one by one only where it refuses.
        Rows with gaps stay among themselves, because a gap changes how a whole column is held.
        """
        full = [rows for rows in groups if rows and not _gappy(rows)]
        answers = self._together(full) if len(full) > 1 else {}
        return [self._compare(rows, answers.get(id(rows))) for rows in groups]

    def _together(self, groups: list[list[Row]]) -> dict[int, Scores]:
        """Ask the native model for all groups in one call; nothing when it refuses a row of them."""
        try:
            scores = self._native(_columns([row for rows in groups for row in rows]))
        except SamovarError:
            return {}
        answers, start = {}, 0
        for rows in groups:
            answers[id(rows)] = _part(scores, start, start + len(rows))
            start += len(rows)
        return answers

    def _compare(self, rows: list[Row], known: Scores | None) -> list[bool]:
        self._asked = 0
        parts: list[tuple[Scores | None, list[Row]]] = [(known, rows)] if known is not None else self._split(rows) if rows else []
        taken = {id(row) for scores, part in parts if scores is not None for row in part}
        for scores, part in parts:
            self.tally.rows += len(part)
            if scores is None:
                self._refused(part[0])
            else:
                self._answered(scores, part)
        return [id(row) in taken for row in rows]

    def _split(self, rows: list[Row]) -> list[tuple[Scores | None, list[Row]]]:
        """Ask the native model; halve what it refuses until each refused row stands alone.

        A model that refuses very many rows is not asked for ever: what is left over then counts for nothing.
        """
        self._asked += 1
        try:
            return [(self._native(_columns(rows)), rows)]
        except SamovarError:
            if len(rows) == 1:
                return [(None, rows)]
        if self._asked > _PATIENCE:
            return []
        half = len(rows) // 2
        return [*self._split(rows[:half]), *self._split(rows[half:])]

    def _refused(self, row: Row) -> None:
        self.tally.refused += 1
        for way in (lambda: self._runner.row(row), lambda: self._runner.batch(_columns([row]))):
            try:
                way()
            except SamovarError:
                continue
            raise Disagrees("The lowered model answers a row that the model itself refuses.")

    def _answered(self, scores: Scores, rows: list[Row]) -> None:
        try:
            batch = self._runner.batch(_columns(rows))
            single = _joined([self._runner.row(row) for row in rows])
        except SamovarError:
            raise Disagrees("The lowered model refuses a row that the model itself answers.") from None
        except Exception as error:
            raise Disagrees(f"The lowered model fails at a row that the model itself answers ({type(error).__name__}).") from error
        open_rows = self._undecided(rows)
        precision = self._runner.program.precision
        for ours in (batch, single):
            found = compare(scores, ours, precision, open_rows)
            self.tally.compared += found
            if found.wrong:
                raise Disagrees(f"The lowered model answers {found.wrong} of {len(rows)} rows differently.")

    def _undecided(self, rows: list[Row]) -> np.ndarray | None:
        answer = self._runner.program.answer
        if answer.rule == "value" or answer.probabilities is not None:
            return None
        decisions = np.asarray(self._runner.value(_columns(rows), answer.label), dtype=np.float64)
        return undecided(decisions, sign=answer.rule == "sign")


def _groups(rows: list[Row]) -> list[list[Row]]:
    """Part rows with gaps from others, and make groups of both."""
    parts = [row for row in rows if not _gappy([row])], [row for row in rows if _gappy([row])]
    return [part[start : start + _GROUP] for part in parts for start in range(0, len(part), _GROUP)]


def _gappy(rows: Sequence[Row]) -> bool:
    return any(cell is None for row in rows for cell in row)


def _part(scores: Scores, start: int, stop: int) -> Scores:
    shares = scores.probabilities
    return Scores(scores.labels[start:stop], None if shares is None else shares[start:stop])


def _columns(rows: Sequence[Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _joined(answers: list[tuple[Any, Sequence[float] | None]]) -> Scores:
    labels, shares = zip(*answers, strict=True)
    return Scores(list(labels), None if shares[0] is None else np.array(shares))
