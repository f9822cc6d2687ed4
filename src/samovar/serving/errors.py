"""Errors as HTTP answers: the only place in Samovar's serving that knows status codes."""

from __future__ import annotations

import msgspec

from samovar.errors import ModelError, NotFound, RequestError, SamovarError
from samovar.serving.wire import Response

SERVER = 500
"""From this status on it is our failure, not the client's."""

KINDS = ("bad_request", "not_found", "method_not_allowed", "too_large", "unsupported_media_type", "model", "internal")
"""Values of the label ``kind`` of ``samovar_errors_total``."""


class WrongMethod(SamovarError):
    """The route exists, but not with this method; ``allowed`` goes into the header."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__("This method is not allowed here.", remedy=f"Use {' or '.join(allowed)}.")
        self.allowed = allowed


class TooLarge(SamovarError):
    """The body is larger than the endpoint reads."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than {limit} bytes.", remedy="Send fewer rows at once.")


class UnsupportedMediaType(SamovarError):
    """The content type is not one that the route reads."""

    def __init__(self, accepted: tuple[str, ...]) -> None:
        super().__init__(f"Expected the content type {' or '.join(accepted)}, in UTF-8 and without content encoding.")


_KNOWN: tuple[tuple[type[Exception], int, str, str], ...] = (
    (RequestError, 400, "BAD_REQUEST", "bad_request"),
    (NotFound, 404, "NOT_FOUND", "not_found"),
    (WrongMethod, 405, "METHOD_NOT_ALLOWED", "method_not_allowed"),
    (TooLarge, 413, "REQUEST_TOO_LARGE", "too_large"),
    (UnsupportedMediaType, 415, "UNSUPPORTED_MEDIA_TYPE", "unsupported_media_type"),
    (ModelError, 500, "MODEL_ERROR", "model"),
)


class ErrorBody(msgspec.Struct, omit_defaults=True):
    """What a client reads; ``path`` is the contract field's, absent when the whole request is meant."""

    error_code: str
    message: str
    path: str = ""


def answer(error: Exception) -> tuple[Response, str]:
    """Return the answer to an error and its kind.

    Only sentences that Samovar wrote leave the process: an unforeseen error says nothing about itself.
    """
    for cls, status, code, kind in _KNOWN:
        if isinstance(error, cls):
            body = ErrorBody(code, str(error), getattr(error, "path", ""))
            return Response(status, msgspec.json.encode(body), headers=_headers(error)), kind
    body = ErrorBody("INTERNAL_ERROR", "The endpoint failed.")
    return Response(500, msgspec.json.encode(body)), "internal"


def _headers(error: Exception) -> tuple[tuple[bytes, bytes], ...]:
    if isinstance(error, WrongMethod):
        return ((b"allow", ", ".join(error.allowed).encode()),)
    # The rest of a body that was refused unread must not be taken for the next request.
    return ((b"connection", b"close"),) if isinstance(error, TooLarge) else ()
