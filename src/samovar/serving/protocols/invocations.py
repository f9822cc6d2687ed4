"""MLflow's scoring protocol: what ``mlflow models serve`` answers on ``/invocations``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.scoring.engines.outputs import namer
from samovar.scoring.forms.reader import Reader
from samovar.serving import errors
from samovar.serving.jobs import Job
from samovar.serving.protocols import params
from samovar.serving.protocols.answers import Predictions, Scored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from samovar.scoring.engine import Engine
    from samovar.scoring.engines.outputs import Namer
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.jobs import Answers, Row, Stages, Together
    from samovar.serving.traffic.frames import How
    from samovar.serving.wire import Response

ACCEPTED = ("application/json", "text/csv")

_SCORED = ("predict", "predict_proba")
"""Methods whose answers are the labels or the probabilities of a compiled model."""


class Invocations:
    """Answers ``/invocations``; a `samovar.serving.jobs.Handler`.

    Args:
        plan: the version.
        engine: who answers.
    """

    accepted: tuple[str, ...] = ACCEPTED
    stages: Stages | None = None
    together: Together | None = None

    def __init__(self, plan: ScorerPlan, engine: Engine) -> None:
        self._plan = plan
        self._reader = Reader(plan)
        self.how: How = "columns" if engine.inline and plan.predict_fn in _SCORED else "predict"
        self._run = _scored if engine.inline and plan.predict_fn in _SCORED else _predicted
        self._write = _write_shares if plan.predict_fn == "predict_proba" else _writer(plan)
        self.quick: Callable[[bytes], Row | None] | None = None
        if self._run is _scored and self._reader.row is not None and not plan.params:
            named, shares = namer(plan), plan.predict_fn == "predict_proba"
            self.quick = _quick(self._reader.row, engine, named, shares=shares)
            if named is None and getattr(engine, "joint", False):
                self.together = (self._reader.row, _finish(engine, shares=shares))

    def decode(self, body: bytes, media: str, headers: Mapping[bytes, bytes]) -> Job:  # noqa: ARG002 - one shape for all protocols
        """See `samovar.serving.jobs.Handler`."""
        parsed = self._reader.csv(body) if media == "text/csv" else self._reader.json(body)
        given = params.complete(parsed.params, self._plan.params)
        if parsed.call is None:
            return Job(parsed.columns, len(parsed.columns[0]), self._run, self._write, params=given)
        call = replace(parsed.call, params=given)
        write = _write_whole if call.form == "chat" else _write_labels
        return Job((), 1, lambda engine, _columns, _params: Predictions(engine.invoke(call)), write, call=call, params=given)

    def error(self, error: Exception) -> Response:
        """See `samovar.serving.jobs.Handler`."""
        return errors.answer(error)[0]


def _quick(
    read: Callable[[bytes], Sequence[Any] | None], engine: Any, named: Namer | None, *, shares: bool
) -> Callable[[bytes], Row | None]:
    """Return a function that answers a body of one row."""
    score, encode = engine.row, _ENCODER.encode

    def quick_named(body: bytes) -> Row | None:
        values = read(body)
        if values is None or named is None:
            return None
        label, probabilities = score(values)
        answer = named([label], None if probabilities is None else [probabilities])
        return b'{"predictions":%b}' % encode(answer), values, None, label, probabilities

    def quick(body: bytes) -> Row | None:
        values = read(body)
        if values is None:
            return None
        label, probabilities = score(values)
        answer = probabilities if shares else label
        return b'{"predictions":[%b]}' % encode(answer), values, None, label, probabilities

    return quick if named is None else quick_named


def _finish(engine: Any, *, shares: bool) -> Callable[[Sequence[Any]], list[Row]]:
    """Return a function that answers rows that were read."""
    score, encode = engine.rows, _ENCODER.encode

    def finish(rows: Sequence[Any]) -> list[Row]:
        return [
            (b'{"predictions":[%b]}' % encode(probabilities if shares else label), values, None, label, probabilities)
            for values, (label, probabilities) in zip(rows, score(rows), strict=True)
        ]

    return finish


def _scored(engine: Engine, columns: Sequence[Sequence[Any]], _params: Mapping[str, Any]) -> Answers:
    return Scored.of(engine.columns(columns))


def _predicted(engine: Engine, columns: Sequence[Sequence[Any]], params: Mapping[str, Any]) -> Answers:
    return Predictions(engine.predict(columns, params))


def _writer(plan: ScorerPlan) -> Callable[[Any], bytes]:
    named = namer(plan)
    if named is None:
        return _write_labels
    return lambda answers: msgspec.json.encode({"predictions": named(answers.labels, answers.shares)}, enc_hook=_plain)


def _write_labels(answers: Any) -> bytes:
    values = answers.labels if isinstance(answers, Scored) else answers.values
    return msgspec.json.encode({"predictions": values}, enc_hook=_plain)


def _write_shares(answers: Any) -> bytes:
    values = answers.shares if isinstance(answers, Scored) else answers.values
    return msgspec.json.encode({"predictions": values}, enc_hook=_plain)


def _write_whole(answers: Any) -> bytes:
    """Language models are answered with what they gave, as mlflow's server does."""
    return msgspec.json.encode(answers.values, enc_hook=_plain)


def _plain(value: Any) -> Any:
    """Write a number class of a library that the engine let through."""
    if hasattr(value, "item"):
        return value.item()
    raise NotImplementedError


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
