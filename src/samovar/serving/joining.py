"""Jobs scored together: one call to the model, each job its own rows back, and nobody hurt by a neighbour.

Everything here is plain functions of an engine and jobs; threads and time are `samovar.serving.batcher`'s.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from samovar.scoring.engine import Engine
    from samovar.serving.jobs import Answers, Job
    from samovar.serving.wire import Response

_VAIN = 3  # joined calls that failed without a culprit

Outcome = tuple["bytes | Response", "Answers"] | Exception
"""What became of a job: the body of its answer and the answers themselves, or why there is none."""


def key(job: Job) -> tuple[Any, ...] | None:
    """Return what jobs must have in common to be scored together; None for a job that is scored by itself.

    Arrays are: they are long enough.

    Params are compared as they are written: 1, 1.0 and true are equal in Python and may not be to a model.
    """
    if job.call is not None or not job.columns or hasattr(job.columns[0], "dtype"):
        return None
    return (job.run, len(job.columns), repr(job.params) if job.params else "")


class Joiner:
    """Scores jobs that share a key.

    Args:
        engine: the model.
        lock: held while the model is asked; None where several threads may ask it at once.
    """

    def __init__(self, engine: Engine, lock: threading.Lock | None = None) -> None:
        self._engine = engine
        self._lock: Any = lock or contextlib.nullcontext()
        self._unaligned: set[Any] = set()
        self._vain: Counter[Any] = Counter()

    def score(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Score jobs, in order.

        A call that fails is tried again in halves, down to single jobs, so that a job fails only by itself. Answers that are not
        one a row cannot be cut: such a model is asked job by job from then on.
        """
        if len(jobs) == 1:
            return [self.alone(jobs[0])]
        first = jobs[0]
        if first.run in self._unaligned:
            return [self.alone(job) for job in jobs]
        answers = self._together(jobs)
        if answers is None:
            return self._halves(jobs)
        if len(answers) != sum(job.rows for job in jobs):
            self._unaligned.add(first.run)
            return [self.alone(job) for job in jobs]
        return _cut(jobs, answers)

    def _halves(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Score in halves; a model that fails together and never apart is asked job by job from the third time on."""
        middle = len(jobs) // 2
        outcomes = self.score(jobs[:middle]) + self.score(jobs[middle:])
        if not any(isinstance(outcome, Exception) for outcome in outcomes):
            self._vain[jobs[0].run] += 1
            if self._vain[jobs[0].run] >= _VAIN:
                self._unaligned.add(jobs[0].run)
        return outcomes

    def _together(self, jobs: Sequence[Job]) -> Answers | None:
        """Return the answers to all rows, or None when the call failed: whoever caused it will meet the error alone.

        The error is forgotten here, so that it does not hang on to the one that is reported in the end.
        """
        try:
            columns = _joined(jobs)
            with self._lock:
                return jobs[0].run(self._engine, columns, jobs[0].params)
        except Exception:  # noqa: BLE001 - see above
            return None

    def alone(self, job: Job) -> Outcome:
        """Score one job by itself."""
        try:
            with self._lock:
                answers = job.run(self._engine, job.columns, job.params)
            return job.write(answers), answers
        except Exception as error:  # noqa: BLE001 - it becomes the answer
            return error


def _joined(jobs: Sequence[Job]) -> list[list[Any]]:
    return [list(chain.from_iterable(parts)) for parts in zip(*(job.columns for job in jobs), strict=True)]


def _cut(jobs: Sequence[Job], answers: Answers) -> list[Outcome]:
    outcomes: list[Outcome] = []
    start = 0
    for job in jobs:
        stop = start + job.rows
        try:
            own = answers.cut(start, stop)
            outcomes.append((job.write(own), own))
        except Exception as error:  # noqa: BLE001 - as above
            outcomes.append(error)
        start = stop
    return outcomes
