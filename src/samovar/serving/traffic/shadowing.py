"""Copies for a shadow: scored in a thread that gets the processor time nobody else wants, compared with the answers, logged."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any

from samovar import logs
from samovar.contracts import document
from samovar.serving.jobs import Job
from samovar.serving.protocols.answers import Predictions, Scored
from samovar.serving.protocols.decision import Decider
from samovar.serving.spool.writer import split
from samovar.serving.thread import Beside
from samovar.serving.traffic import compare
from samovar.serving.traffic.counts import Compared
from samovar.serving.traffic.frames import Many
from samovar.serving.traffic.host import ASKS, parts
from samovar.serving.traffic.recent import Recent

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.jobs import Answers
    from samovar.serving.metrics import Metrics
    from samovar.serving.traffic.fit import Fit
    from samovar.serving.traffic.frames import Copies, Opening
    from samovar.serving.turn import Spool

log = logs.get_logger(__name__)

_NICE = 19
_ROWS = 256  # scored at once, so that whoever waits for the model does not wait long


class Shadowing:
    """Scores copies.

    Args:
        plan: the version.
        engine: its model.
        lock: held while the model is asked; None for a model that several threads may ask at once.
        metrics: of the endpoint.
        alias: of the endpoint.
        open_log: opens the prediction log of a role, for rows that another alias was asked.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a shadow needs of its endpoint
        self,
        plan: ScorerPlan,
        engine: Engine,
        lock: threading.Lock | None,
        metrics: Metrics,
        alias: str,
        open_log: Callable[[str], Spool],
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._lock: Any = lock or contextlib.nullcontext()
        self._metrics = metrics
        self._alias = alias
        self._open_log = open_log
        self._decide = Decider.of(plan.contract, engine.classes).decide
        self._has_key = plan.contract.contract.key is not None
        self._logs: dict[str, Spool] = {}
        self._counts: Recent[Compared] = Recent(lambda counts: metrics.retire(counts.values))
        self._thread: Beside[list[_Scored]] | None = None
        self.schema = document.digest(plan.contract.contract)

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, on the loop that serves; the thread is made when the first copies come."""
        self._loop = loop

    def close(self) -> None:
        """Complete the logs."""
        if self._thread is not None:
            self._thread.close()
        for spool in self._logs.values():
            spool.close()

    def tick(self) -> None:
        """Called about once a second."""
        for spool in self._logs.values():
            spool.tick()

    def take(self, copies: Copies, opening: Opening, fit: Fit, then: Callable[[], None]) -> None:
        """Score copies and call ``then`` when they are done, on the loop."""
        if self._thread is None:
            self._thread = Beside("shadow", self._loop)
            self._thread.do(_yield, lambda _: None)
        counts = self._counted(opening)
        requests = _requests(copies)

        def done(scored: list[_Scored] | Exception) -> None:
            try:
                if isinstance(scored, Exception):
                    counts.failed(sum(request.rows for request in requests))
                else:
                    self._log(opening.alias, scored)
            finally:
                then()

        self._thread.do(lambda: self._score(requests, fit, counts), done)

    def _counted(self, opening: Opening) -> Compared:
        asked, version = opening.alias, opening.version
        return self._counts.of(asked, version, lambda: Compared(self._metrics, asked, version, self._plan.version, self._alias))

    def _score(self, requests: Sequence[Many], fit: Fit, counts: Compared) -> list[_Scored]:
        """Score, in the thread; rows that fail do so by themselves."""
        scored: list[_Scored] = []
        for batch in _batches(requests):
            try:
                scored += self._together(batch, fit, counts)
            except Exception:  # noqa: BLE001 - a shadow's failure is a number
                for request in batch if len(batch) > 1 else ():
                    try:
                        scored += self._together([request], fit, counts)
                    except Exception:  # noqa: BLE001 - as above
                        counts.failed(request.rows)
                if len(batch) == 1:
                    counts.failed(batch[0].rows)
        return scored

    def _together(self, batch: Sequence[Many], fit: Fit, counts: Compared) -> list[_Scored]:
        first = batch[0]
        rows = sum(request.rows for request in batch)
        columns = [[value for part in column for value in part] for column in zip(*(one.columns for one in batch), strict=True)]
        own = fit.columns(columns, rows)
        with self._lock:
            answers = ASKS[first.how](self._engine, own, first.params)
        if len(answers) != rows:
            raise ValueError("not one answer a row")
        counts.rows(rows)
        found, start = [], 0
        for request in batch:
            stop = start + request.rows
            mine = self._answers(answers.cut(start, stop), request.how)
            self._compare(request, mine, fit, counts)
            job = Job([column[start:stop] for column in own], request.rows, ASKS[request.how], _nothing, places=request.places)
            job.keys = request.keys if self._has_key else None
            found.append((request, job, mine))
            start = stop
        return found

    def _answers(self, answers: Answers, how: str) -> Answers:
        if how != "decided" or not isinstance(answers, Scored):
            return answers
        return Scored(answers.labels, answers.shares, lambda label, shares: self._decide(label, shares)[0])

    def _compare(self, request: Many, mine: Answers, fit: Fit, counts: Compared) -> None:
        if request.labels is None:
            return
        labels, shares = split(mine)
        if not isinstance(mine, Predictions):
            shares = parts(mine, fit)[1]
        apart = compare.differences(labels, request.labels, shares, request.shares)
        said, theirs = compare.said(labels, shares), compare.said(request.labels, request.shares)
        counts.compared(request.rows, compare.differing(said, theirs), apart)

    def _log(self, alias: str, scored: Sequence[_Scored]) -> None:
        """Log, on the loop."""
        try:
            if alias not in self._logs:
                self._logs[alias] = self._open_log(alias)
            spool = self._logs[alias]
            for request, job, answers in scored:
                spool.job(request.request_id, request.route, job, answers)
            spool.flush()
        except Exception as error:  # noqa: BLE001 - nobody waits for this
            log.warning("copies of a shadow could not be logged", error=type(error).__name__)


_Scored = tuple[Many, Job, "Answers"]


def _requests(copies: Copies) -> list[Many]:
    singles = [
        Many(
            one.request_id,
            one.route,
            one.how,
            1,
            [one.key],
            [[value] for value in one.values],
            {},
            [one.label],
            None if one.shares is None else [one.shares],
            None,
        )
        for one in copies.singles
    ]
    return singles + [piece for many in copies.many for piece in _pieces(many)]


def _pieces(many: Many) -> list[Many]:
    """Cut a large request, so that it does not hold the model for its whole length."""
    if many.rows <= _ROWS:
        return [many]
    return [_piece(many, range(start, min(start + _ROWS, many.rows))) for start in range(0, many.rows, _ROWS)]


def _piece(many: Many, rows: range) -> Many:
    own = slice(rows.start, rows.stop)
    keys, labels, shares = (None if found is None else found[own] for found in (many.keys, many.labels, many.shares))
    places = list(rows) if many.places is None else many.places[own]
    columns = [column[own] for column in many.columns]
    return Many(many.request_id, many.route, many.how, len(rows), keys, columns, many.params, labels, shares, places)


def _batches(requests: Sequence[Many]) -> list[list[Many]]:
    """Put together what can be asked in one call, up to some rows."""
    found: list[list[Many]] = []
    rows = 0
    for request in requests:
        last = found[-1][0] if found else None
        if last is not None and (last.how, last.params) == (request.how, request.params) and rows + request.rows <= _ROWS:
            found[-1].append(request)
            rows += request.rows
        else:
            found.append([request])
            rows = request.rows
    return found


def _yield() -> Any:
    """Let this thread have what processor time nobody else wants; in Linux a thread's niceness is its own."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    return []


def _nothing(_answers: Any) -> bytes:
    return b""
