"""Every route of an endpoint that asks the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from samovar.scoring.engine import Call
from samovar.serving import errors
from samovar.serving.jobs import Job, Route
from samovar.serving.protocols import invocations, typed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.config import EndpointConfig
    from samovar.serving.jobs import Answers, Row
    from samovar.serving.wire import Response


def routes(plan: ScorerPlan, engine: Engine, config: EndpointConfig) -> list[Route]:  # noqa: ARG001 - row limits
    """Return the routes of one plan."""
    rows, frames = typed.Typed(plan, engine), invocations.Invocations(plan, engine)
    return [
        Route("/predict", "/predict", _Whole(typed.ACCEPTED, lambda body, _media: rows.one(body))),
        Route("/batch_predict", "/batch_predict", _Whole(typed.ACCEPTED, lambda body, _media: rows.many(body))),
        Route("/invocations", "/invocations", _Whole(invocations.ACCEPTED, frames.answer)),
    ]


@dataclass
class _Whole:
    """A protocol that reads, asks and writes in one call, in the model's thread."""

    accepted: tuple[str, ...]
    answer: Callable[[bytes, str], bytes]
    quick: Callable[[bytes], Row | None] | None = None

    def decode(self, body: bytes, media: str, headers: Mapping[bytes, bytes]) -> Job:  # noqa: ARG002
        run: Any = lambda _engine, _columns, _params: _Body(self.answer(body, media))  # noqa: E731
        return Job((), 1, run, lambda answers: answers.body, call=Call("inputs", None))  # type: ignore[attr-defined]

    def error(self, error: Exception) -> Response:
        return errors.answer(error)[0]


@dataclass
class _Body:
    body: bytes

    def __len__(self) -> int:
        return 1

    def cut(self, start: int, stop: int) -> Answers:  # noqa: ARG002
        return self

    def logged(self, index: int) -> tuple[Any, None]:  # noqa: ARG002
        return None, None
