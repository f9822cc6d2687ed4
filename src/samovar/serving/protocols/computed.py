"""Fields that an endpoint computes itself: filled in, or put right, in every request of every protocol."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from samovar import texts
from samovar.scoring.forms.kinds import inputs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.jobs import Handler, Job, Row, Stages, Together
    from samovar.serving.metrics import Cell
    from samovar.serving.traffic.frames import How
    from samovar.serving.wire import Response


class Completer:
    """Computes the columns that a contract says are computed.

    Args:
        plan: the version.
        mismatches: computed field -> where to count values that say something else than the texts.
    """

    def __init__(self, plan: ScorerPlan, mismatches: Mapping[str, Cell]) -> None:
        places = {column.name: place for place, column in enumerate(inputs_of(plan))}
        self._counts = mismatches
        self._counting = threading.Lock()  # large bodies are read in a thread
        self._fields = [
            (field.name, places[field.name], field.computed, [places[name] for name in field.of])
            for field in plan.contract.contract.computed
            if places.keys() >= {field.name, *field.of}
        ]

    @property
    def needed(self) -> bool:
        """Whether there is anything to compute."""
        return bool(self._fields)

    def fill(self, columns: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """Return the columns of a request with the computed ones in place."""
        whole = list(columns)
        for name, place, number, of in self._fields:
            values = [texts.number(number, row) for row in zip(*(columns[one] for one in of), strict=True)]
            self._count(name, sum(not texts.agrees(sent, value) for sent, value in zip(columns[place], values, strict=True)))
            whole[place] = values
        return whole

    def _count(self, name: str, rows: int) -> None:
        if rows and name in self._counts:
            with self._counting:
                self._counts[name].add(rows)


class Completed:
    """A protocol's handler whose jobs hold the computed values, for the model and the prediction log; see `jobs.Handler`.

    There is no quick way: the values must be there before a row is scored, and reading texts costs more than a job does.
    """

    quick: Callable[[bytes], Row | None] | None = None
    stages: Stages | None = None
    together: Together | None = None

    def __init__(self, handler: Handler, completer: Completer) -> None:
        self._handler = handler
        self._completer = completer
        self.accepted: tuple[str, ...] = handler.accepted
        self.how: How = handler.how

    def decode(self, body: bytes, media: str, headers: Mapping[bytes, bytes]) -> Job:
        """See `samovar.serving.jobs.Handler`."""
        job = self._handler.decode(body, media, headers)
        if job.call is None:
            job.columns = self._completer.fill(job.columns)
        return job

    def error(self, error: Exception) -> Response:
        """See `samovar.serving.jobs.Handler`."""
        return self._handler.error(error)
