"""The ASGI application of one endpoint: its pages, and scoring requests that are not plain enough for the short way."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec

import samovar
from samovar.errors import NotFound
from samovar.serving import docs, errors, openapi, wire
from samovar.serving.errors import UnsupportedMediaType, WrongMethod
from samovar.serving.metrics import CONTENT_TYPE, OTHER
from samovar.serving.protocols.oip import infer
from samovar.serving.wire import Disconnected, Receive, Request, Response, Scope, Send

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.config import EndpointConfig
    from samovar.serving.desk import Desk
    from samovar.serving.jobs import Route
    from samovar.serving.traffic.sharing import Sharing


class EndpointApp:
    """Answers HTTP requests.

    Args:
        plan: the version.
        config: the endpoint.
        desk: answers scoring requests.
        make_id: makes ids for requests that bring none.
    """

    def __init__(self, plan: ScorerPlan, config: EndpointConfig, desk: Desk, make_id: Callable[[], bytes]) -> None:
        self._desk = desk
        self._make_id = make_id
        self._pages = pages(plan, config, desk)
        plain = self._pages["/version"]
        self._pages["/version"] = lambda: plain() if desk.traffic is None else _shared(plain(), desk.traffic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive, self._make_id)
        try:
            response = await self._guarded(request)
        except Disconnected:
            return
        # Requests that came behind this one are answered too; the last of them is told to go elsewhere.
        await wire.write(response, request, send, closing=self._desk.draining and not scope["state"]["followed"]())

    async def _guarded(self, request: Request) -> Response:
        route = self._desk.routes.get(request.path)
        started = time.perf_counter()
        try:
            return await (self._scored(route, request) if route else self._page(request))
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - it becomes the answer
            said = infer.refusal if request.path.startswith("/v2/") else lambda error: errors.answer(error)[0]
            response = route.handler.error(error) if route else said(error)
            kind = errors.describe(error).kind
            if response.status >= errors.SERVER:
                self._desk.failures.tell(error, request.id, request.path)
            self._desk.metrics.routes[route.name if route else OTHER].observe(
                seconds=time.perf_counter() - started,
                received=request.size,
                status=response.status,
                sent=len(response.body),
                kind=kind,
            )
            return response

    async def _page(self, request: Request) -> Response:
        await request.skip()
        page = self._pages.get(request.path)
        if page is None:
            raise NotFound("There is no such route.", remedy="See /docs.")
        if request.method not in ("GET", "HEAD"):
            raise WrongMethod(("GET", "HEAD"))
        return page()

    async def _scored(self, route: Route, request: Request) -> Response:
        if request.method != "POST":
            await request.skip()
            raise WrongMethod(("POST",))
        kind, charset = wire.media_type(request.headers.get(b"content-type", b""))
        media = kind.decode("latin-1")
        plain = request.headers.get(b"content-encoding", b"identity") == b"identity"
        body = await request.body()
        if media not in route.handler.accepted or charset not in wire.UTF8 or not plain:
            raise UnsupportedMediaType(route.handler.accepted)
        return await self._asked(route, request, body, media)

    async def _asked(self, route: Route, request: Request, body: bytes, media: str) -> Response:
        """Wait for the answer, or until nobody waits for it any more."""
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def deliver(response: Response) -> None:
            if not answer.done():
                answer.set_result(response)

        asked = self._desk.ask(route, body, media, request.headers, request.id, deliver)
        if asked is None:
            return await answer
        gone = asyncio.ensure_future(request.gone())
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        if not answer.done():
            asked.leave()
            raise Disconnected
        return answer.result()


def _shared(page: Response, traffic: Sharing) -> Response:
    """Say with whom the endpoint shares its traffic."""
    told = {**msgspec.json.decode(page.body), "traffic": traffic.shown()}
    return msgspec.structs.replace(page, body=msgspec.json.encode(told))


def pages(plan: ScorerPlan, config: EndpointConfig, desk: Desk) -> dict[str, Callable[[], Response]]:
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
    fixed |= infer.pages(plan)
    pages: dict[str, Callable[[], Response]] = {path: (lambda page=page: page) for path, page in fixed.items()}  # type: ignore[misc]
    pages["/metrics"] = lambda: Response(200, desk.metrics.render(), CONTENT_TYPE)
    pages |= {
        "/health": _probed(desk, fixed["/health"], {"status": "stuck", **identity}),
        "/v2/health/ready": _probed(desk, fixed["/v2/health/ready"], {"ready": False}),
    }
    return pages


def _probed(desk: Desk, well: Response, ill: dict[str, Any]) -> Callable[[], Response]:
    """Return a page that says whether the model can be asked."""
    stuck = Response(503, msgspec.json.encode(ill))
    return lambda: stuck if desk.is_stuck() else well
