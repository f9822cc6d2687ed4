"""The controller's HTTP API: ``/api/v1/...`` for programs, also without that prefix, and ``/webhooks/mlflow`` for MLflow."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, FastAPI, Path, Query, Request, Response

from samovar.addresses import GATEWAY
from samovar.autoserve import apidocs
from samovar.autoserve.apierrors import failure, handle_errors
from samovar.autoserve.discovery import targets
from samovar.autoserve.doorbell import bell as bells
from samovar.autoserve.gateway import paths
from samovar.autoserve.gateway.routes import UNKNOWN
from samovar.autoserve.metrics.families import CONTENT_TYPE
from samovar.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from samovar.autoserve.controller import Controller
    from samovar.autoserve.doorbell.bell import Bell, Result
    from samovar.autoserve.doorbell.doorbell import Doorbell
    from samovar.autoserve.happenings import History
    from samovar.autoserve.metrics.controller import ControllerMetrics
    from samovar.autoserve.status import EndpointStatus

    Statuses = Callable[[], list[EndpointStatus]]

Host = Annotated[str, Query(max_length=253, pattern=r"^[\w.:-]*$", description="Name of this host, as Prometheus knows it.")]

_BODY_SECONDS = 5.0
"""How long MLflow may take to send a few hundred bytes."""

_STATUS: dict[Result, int] = {"rung": 200, "duplicate": 200, "stale": 400, "malformed": 400, "forged": 401, "too_large": 413}
"""MLflow sends again after 429 and 5xx only: nothing here would be better the second time."""


def make_app(  # noqa: PLR0913 - whom it asks
    controller: Controller,
    alive: Callable[[], bool],
    doorbell: Doorbell | None = None,
    metrics: ControllerMetrics | None = None,
    *,
    services: Callable[[], Mapping[str, str]] = dict,
    history: History | None = None,
) -> FastAPI:
    """Build the API.

    Args:
        controller: who answers.
        alive: whether the controller's loops run.
        doorbell: what MLflow rings; None where it does not.
        metrics: what the controller counts.
        services: base URL by service, as in ``addresses.json``.
        history: reads what happened; None where nothing is written down.
    """
    app = FastAPI(
        title="mlflow-autoserve",
        description="Which endpoints exist, what they serve, and what happened to them.",
        version="1",
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json",
    )

    def statuses() -> list[EndpointStatus]:
        base = services().get(GATEWAY, "")
        found = controller.statuses()
        return found if not base else [_behind(base, status) for status in found]

    routes = _endpoints(controller, statuses, alive, doorbell)
    if history is not None:
        _events(routes, history)
    app.include_router(routes, prefix="/api/v1")
    app.include_router(routes, include_in_schema=False)
    if doorbell is not None and doorbell.bell is not None:
        app.include_router(_webhooks(doorbell.bell), include_in_schema=False)
    _measured(app, statuses, services, metrics)
    _unknown(app)
    handle_errors(app)
    apidocs.describe(app)
    return app


def _endpoints(controller: Controller, statuses: Statuses, alive: Callable[[], bool], doorbell: Doorbell | None) -> APIRouter:
    routes = APIRouter()

    @routes.get("/healthz", responses=apidocs.answers("Health", (503, "Health")))
    def healthz() -> Response:
        """Tell whether the controller works, and what it can reach. 503 only when a loop of its own is dead."""
        body = {"status": "ok" if alive() else "dead", **dataclasses.asdict(controller.health)}
        body["doorbell"] = doorbell.report() if doorbell is not None else None
        return _json(body, 200 if alive() else 503)

    @routes.get("/endpoints", responses=apidocs.answers("Endpoints"))
    def endpoints() -> Response:
        """List all endpoints as they are now."""
        return _json(statuses())

    @routes.get("/endpoints/{model}/{alias}", responses=apidocs.answers("EndpointStatus", (404, "Failure")))
    def endpoint(model: Annotated[str, Path(max_length=500)], alias: Annotated[str, Path(max_length=255)]) -> Response:
        """Show one endpoint as it is now."""
        for status in statuses():
            if (status.model, status.alias) == (model, alias):
                return _json(status)
        raise NotFound("There is no such endpoint.", remedy="See /api/v1/endpoints.")

    @routes.post("/confirm", responses=apidocs.answers("Released"))
    def confirm() -> Response:
        """Let endpoints end whose aliases vanished all at once."""
        return _json({"released": controller.confirm()})

    @routes.post("/reconcile", status_code=202, responses=apidocs.answers(None, (202, "Woken")))
    def reconcile() -> Response:
        """Look at the registry now instead of at the next poll."""
        controller.wake.set()
        return _json({"status": "woken"}, 202)

    return routes


def _behind(base: str, status: EndpointStatus) -> EndpointStatus:
    """Add where the gateway at ``base`` has it."""
    shown = paths.address(base, status.model, status.alias) if status.address else ""
    return msgspec.structs.replace(status, gateway=shown)


def _events(routes: APIRouter, history: History) -> None:
    @routes.get("/events", responses=apidocs.answers("Happenings", (400, "Failure"), (503, "Failure")))
    def events(
        model: Annotated[str | None, Query(max_length=500)] = None,
        alias: Annotated[str | None, Query(max_length=255)] = None,
        since: Annotated[dt.datetime | None, Query(description="A time in ISO 8601; UTC where it names no zone.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    ) -> Response:
        """Tell what happened, the newest first: who moved what when, and what came of it."""
        if since is not None and since.tzinfo is None:
            since = since.replace(tzinfo=dt.UTC)
        return _json(history(model, alias, since, limit))


def _measured(
    app: FastAPI, statuses: Statuses, services: Callable[[], Mapping[str, str]], metrics: ControllerMetrics | None
) -> None:
    @app.get("/metrics", include_in_schema=False)
    def measured() -> Response:
        return Response(metrics.render() if metrics is not None else "", media_type=CONTENT_TYPE)

    @app.get("/discovery/prometheus", responses=apidocs.answers("Groups"))
    def scraped(host: Host = "") -> Response:
        """Show Prometheus (`http_sd`) all that has metrics. Scrape it with `honor_labels: true`."""
        return _json(targets.scraped(statuses(), services(), host))

    @app.get("/discovery/prometheus/probes", responses=apidocs.answers("Groups"))
    def probed(host: Host = "") -> Response:
        """Show Prometheus (`http_sd`) the health addresses of all, for a blackbox exporter."""
        return _json(targets.probed(statuses(), services(), host))


def _unknown(app: FastAPI) -> None:
    """Answer for the gateway where no endpoint is; it sends every method."""

    @app.api_route(UNKNOWN, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], include_in_schema=False)
    async def unknown() -> Response:
        return failure(
            404, "NotFound", "No model is served here.", "Ask /models/NAME/ALIAS/..., or /models/NAME/... for its Production."
        )


def _webhooks(bell: Bell) -> APIRouter:
    routes = APIRouter()

    @routes.post(bells.PATH)
    async def mlflow(request: Request) -> Response:
        """Take one delivery of MLflow's in. Nothing is read here, and nothing waited for."""
        body = await _body(request)
        if body is None:
            bell.count("too_large")
            result: Result = "too_large"
        else:
            result = bell.deliver(request.headers, body)
        return _json({"result": result}, _STATUS[result])

    return routes


async def _body(request: Request) -> bytes | None:
    """Read the body; None when it is too large or too slow."""
    found = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                found += chunk
                if len(found) > bells.BODY_LIMIT:
                    return None
    except TimeoutError:
        return None
    return bytes(found)


def _json(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
