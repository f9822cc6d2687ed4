"""How the controller's API says that something is wrong: one JSON object, never a trace, never a submitted value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from fastapi import Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from samovar.errors import Conflict, FixInput, NotFound, RetryLater, SamovarError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

_STATUS = ((NotFound, 404), (Conflict, 409), (FixInput, 400), (RetryLater, 503))


def handle_errors(app: FastAPI) -> None:
    """Answer every error of an application this way."""

    @app.exception_handler(SamovarError)
    def ours(_request: Request, error: SamovarError) -> Response:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        return failure(status, type(error).__name__, error.message, error.remedy)

    @app.exception_handler(RequestValidationError)
    def wrong(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return failure(400, "UsageError", f"{where}: {first['msg']}.", "See /openapi.json.")

    @app.exception_handler(HTTPException)
    def http(_request: Request, error: HTTPException) -> Response:
        made = failure(error.status_code, "UsageError", f"{error.detail}.", "See /openapi.json.")
        made.headers.update(error.headers or {})
        return made

    @app.exception_handler(Exception)
    def bug(_request: Request, _error: Exception) -> Response:
        return failure(500, "InternalError", "Autoserve failed at this.", "Look at `samovar logs autoserve`.")


def failure(status: int, kind: str, message: str, remedy: str = "") -> Response:
    """Write an error."""
    body = {"error": {"kind": kind, "message": message, "remedy": remedy}}
    return Response(msgspec.json.encode(body), status, media_type="application/json")
