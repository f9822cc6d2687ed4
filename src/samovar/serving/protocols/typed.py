"""The typed protocol: ``/predict`` and ``/batch_predict`` read the contract's rows and write its answers."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from samovar.contracts.decode import RowDecoder
from samovar.errors import NotFound
from samovar.scoring.forms.kinds import inputs_of
from samovar.serving import errors
from samovar.serving.jobs import Job
from samovar.serving.protocols.answers import Scored
from samovar.serving.protocols.verdict import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.jobs import Answers, Row, Stages, Together
    from samovar.serving.traffic.frames import How
    from samovar.serving.wire import Response

ACCEPTED = ("application/json",)

_NO_ROWS = "This model has no signature with named columns, so there are no typed requests."


class Typed:
    """What both routes share.

    Args:
        plan: the version.
        engine: who answers.
    """

    def __init__(self, plan: ScorerPlan, engine: Engine) -> None:
        contract = plan.contract.contract
        names = [field.name for field in contract.fields]
        self.writer = Writer(plan, engine.classes)
        self.typed = bool(contract.features)
        self.key = names.index(contract.key.name) if contract.key is not None else None
        # A column that the contract does not have is optional in the signature, or the model would not have answered its example.
        self.places = [names.index(column.name) if column.name in names else None for column in inputs_of(plan)]
        self._decoder = RowDecoder(contract)

    @property
    def decoder(self) -> RowDecoder:
        """The contract's decoder; raises NotFound when the model has no typed rows."""
        if not self.typed:
            raise NotFound(_NO_ROWS, remedy="Use /invocations, or log the model with a signature.")
        return self._decoder

    def job(self, rows: Sequence[Sequence[Any]], write: Callable[[Any], bytes]) -> Job:
        """Return the job of some rows of the contract."""
        fields = list(zip(*rows, strict=True))
        gaps = [None] * len(rows)
        columns = [gaps if place is None else fields[place] for place in self.places]
        return Job(columns, len(rows), self.score, write, keys=None if self.key is None else fields[self.key])

    def score(self, engine: Engine, columns: Sequence[Sequence[Any]], _params: Mapping[str, Any]) -> Answers:
        """Ask the engine."""
        return Scored.of(engine.columns(columns), self.writer.decided)


class One:
    """Answers ``/predict``; a `samovar.serving.jobs.Handler`."""

    accepted: tuple[str, ...] = ACCEPTED
    how: How = "decided"

    def __init__(self, typed: Typed, engine: Engine) -> None:
        self._typed = typed
        ready = engine.inline and typed.typed and None not in typed.places
        self.quick: Callable[[bytes], Row | None] | None = _quick(typed, engine) if ready else None
        self.stages: Stages | None = None
        self.together: Together | None = None
        if ready and getattr(engine, "joint", False):
            self.together = (typed.decoder.values, _finish_all(typed, engine))
        if ready and typed.key is not None:
            self.stages = (typed.decoder.values, typed.key, _finish(typed, engine))

    def decode(self, body: bytes, media: str, headers: Mapping[bytes, bytes]) -> Job:  # noqa: ARG002 - one shape for all protocols
        """See `samovar.serving.jobs.Handler`."""
        row, writer = self._typed.decoder.values(body), self._typed.writer

        def write(answers: Any) -> bytes:
            voice = answers.voices[0] if answers.voices else None
            return writer.one(row, answers.labels[0], answers.shares and answers.shares[0], voice)[0]

        return self._typed.job([row], write)

    def error(self, error: Exception) -> Response:
        """See `samovar.serving.jobs.Handler`."""
        return errors.answer(error)[0]


class Many:
    """Answers ``/batch_predict``; a `samovar.serving.jobs.Handler`."""

    accepted: tuple[str, ...] = ACCEPTED
    how: How = "decided"
    quick: Callable[[bytes], Row | None] | None = None
    stages: Stages | None = None
    together: Together | None = None

    def __init__(self, typed: Typed) -> None:
        self._typed = typed

    def decode(self, body: bytes, media: str, headers: Mapping[bytes, bytes]) -> Job:  # noqa: ARG002 - one shape for all protocols
        """See `samovar.serving.jobs.Handler`."""
        rows, writer = self._typed.decoder.rows(body), self._typed.writer
        return self._typed.job(rows, lambda answers: writer.many(rows, answers.labels, answers.shares, answers.voices))

    def error(self, error: Exception) -> Response:
        """See `samovar.serving.jobs.Handler`."""
        return errors.answer(error)[0]


def _quick(typed: Typed, engine: Any) -> Callable[[bytes], Row | None]:
    """Return the whole way of one row, without a job."""
    decode, score, write, key, features = typed.decoder.values, engine.row, typed.writer.one, typed.key, _picking(typed.places)

    def quick(body: bytes) -> Row | None:
        row = decode(body)
        values = features(row)
        label, shares = score(values)
        answer, decided = write(row, label, shares)
        return answer, values, None if key is None else row[key], decided, shares

    return quick


def _finish(typed: Typed, engine: Any) -> Callable[[Sequence[Any]], Row]:
    """Return the way of one row that was read."""
    score, write, key, features = engine.row, typed.writer.one, typed.key, _picking(typed.places)

    def finish(row: Sequence[Any]) -> Row:
        values = features(row)
        label, shares = score(values)
        answer, decided = write(row, label, shares)
        return answer, values, None if key is None else row[key], decided, shares

    return finish


def _finish_all(typed: Typed, engine: Any) -> Callable[[Sequence[Any]], list[Row]]:
    """Return the way of several rows that were read."""
    score, write, key, features = engine.rows, typed.writer.one, typed.key, _picking(typed.places)

    def finish(rows: Sequence[Any]) -> list[Row]:
        seen = [*map(features, rows)]
        answers: list[Row] = []
        for row, values, (label, shares) in zip(rows, seen, score(seen), strict=True):
            answer, decided = write(row, label, shares)
            answers.append((answer, values, None if key is None else row[key], decided, shares))
        return answers

    return finish


def _picking(places: Sequence[Any]) -> Callable[[Any], Sequence[Any]]:
    """Return a function from a row of the contract to the values that the model sees."""
    if len(places) == 1:
        return lambda row: (row[places[0]],)
    return itemgetter(*places)
