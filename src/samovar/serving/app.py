"""The ASGI application of one endpoint: routes, content types, limits, error answers, metrics.

The model runs in one thread beside the event loop, so that probes are answered while it thinks.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

import samovar
from samovar import logs
from samovar.errors import NotFound
from samovar.serving import docs, errors, openapi, wire
from samovar.serving.errors import TooLarge, UnsupportedMediaType, WrongMethod
from samovar.serving.metrics import CONTENT_TYPE, Metrics
from samovar.serving.protocols import invocations, typed
from samovar.serving.wire import Disconnected, Receive, Request, Response, Scope, Send

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.config import EndpointConfig

log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Scoring:
    """A route that asks the model: ``answer(body, content_type)`` runs in the model's thread."""

    accepted: tuple[str, ...]
    answer: Callable[[bytes, str], bytes]


class EndpointApp:
    """Answers HTTP requests with one engine."""

    def __init__(self, plan: ScorerPlan, config: EndpointConfig, engine: Engine) -> None:
        self.draining = False
        self._config = config
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        rows, frames = typed.Typed(plan, engine), invocations.Invocations(plan, engine)
        self._scoring = {
            "/predict": Scoring(typed.ACCEPTED, lambda body, _type: rows.one(body)),
            "/batch_predict": Scoring(typed.ACCEPTED, lambda body, _type: rows.many(body)),
            "/invocations": Scoring(invocations.ACCEPTED, frames.answer),
        }
        info = {"version": str(plan.version), "label": plan.label, "engine": plan.engine}
        common = {"model": config.model, "alias": config.alias}
        self.metrics = Metrics(common, self._scoring, info, errors.KINDS)
        self._pages = _pages(plan, config, self.metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        request = Request(scope, receive)
        try:
            response, kind = await self._guarded(request)
        except Disconnected:
            return
        if request.path in self._scoring:
            self.metrics.routes[request.path].observe(
                seconds=time.perf_counter() - started,
                received=request.size,
                status=response.status,
                sent=len(response.body),
                kind=kind,
            )
        await wire.write(response, request, send, closing=self.draining)

    def close(self) -> None:
        """Let the model's thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _guarded(self, request: Request) -> tuple[Response, str]:
        try:
            return await self._routed(request), ""
        except Disconnected:
            raise
        except Exception as error:
            response, kind = errors.answer(error)
            if response.status >= errors.SERVER:
                cause = error.__cause__ or error
                log.exception("a request failed", request_id=request.id.decode(), path=request.path, error=type(cause).__name__)
            return response, kind

    async def _routed(self, request: Request) -> Response:
        if scoring := self._scoring.get(request.path):
            if request.method != "POST":
                raise WrongMethod(("POST",))
            return await self._score(scoring, request)
        if page := self._pages.get(request.path):
            if request.method not in ("GET", "HEAD"):
                raise WrongMethod(("GET", "HEAD"))
            return page()
        raise NotFound("There is no such route.", remedy="See /docs.")

    async def _score(self, scoring: Scoring, request: Request) -> Response:
        kind, charset = wire.media_type(request.headers.get(b"content-type", b""))
        media = kind.decode("latin-1")
        plain = request.headers.get(b"content-encoding", b"identity") == b"identity"
        body = await request.body(self._config.body_limit)
        if media not in scoring.accepted or charset not in (b"utf-8", b"utf8") or not plain:
            raise UnsupportedMediaType(scoring.accepted)
        if body is None:
            raise TooLarge(self._config.body_limit)
        loop = asyncio.get_running_loop()
        return Response(200, await loop.run_in_executor(self._thread, scoring.answer, body, media))


def _pages(plan: ScorerPlan, config: EndpointConfig, metrics: Metrics) -> dict[str, Callable[[], Response]]:
    """Return the routes that never ask the model."""
    identity = {"model": config.model, "alias": config.alias, "version": plan.version, "label": plan.label}
    version = identity | {"run_id": plan.run_id, "engine": plan.engine, "digest": plan.digest, "samovar": samovar.__version__}
    specification = openapi.document(plan, config)
    fixed = {
        "/ping": Response(200, b"\n"),
        "/health": Response(200, msgspec.json.encode({"status": "ok", **identity})),
        "/version": Response(200, msgspec.json.encode(version)),
        "/openapi.json": Response(200, msgspec.json.encode(specification)),
        "/docs": Response(200, docs.page(plan, config), b"text/html; charset=utf-8", docs.HEADERS),
    }
    pages: dict[str, Callable[[], Response]] = {path: (lambda page=page: page) for path, page in fixed.items()}  # type: ignore[misc]
    pages["/metrics"] = lambda: Response(200, metrics.render(), CONTENT_TYPE)
    return pages
