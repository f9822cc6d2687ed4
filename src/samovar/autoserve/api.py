"""The controller's HTTP API, on the loopback."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec
from fastapi import FastAPI, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.autoserve.controller import Controller


def make_app(controller: Controller, alive: Callable[[], bool]) -> FastAPI:
    """Build the API.

    Args:
        controller: who answers.
        alive: whether the controller's loop runs.
    """
    app = FastAPI(title="mlflow-autoserve", description="Which endpoints exist, and what they serve.")

    @app.get("/healthz")
    def healthz() -> Response:
        """Tell whether the controller works, and what it can reach. 503 only when its own loop is dead."""
        body = {"status": "ok" if alive() else "dead", **dataclasses.asdict(controller.health)}
        return _json(body, 200 if alive() else 503)

    @app.get("/endpoints")
    def endpoints() -> Response:
        """List all endpoints as they are now."""
        return _json(controller.statuses())

    @app.post("/confirm")
    def confirm() -> Response:
        """Let endpoints end whose aliases vanished all at once."""
        return _json({"released": controller.confirm()})

    @app.post("/reconcile", status_code=202)
    def reconcile() -> Response:
        """Look at the registry now instead of at the next poll."""
        controller.wake.set()
        return _json({"status": "woken"}, 202)

    return app


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
