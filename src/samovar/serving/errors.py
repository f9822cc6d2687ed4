"""Errors as HTTP answers: the only place in Samovar's serving that knows status codes."""

from __future__ import annotations

import msgspec

from samovar.errors import FixInput, ModelError, NotFound, RequestError, RetryLater, SamovarError
from samovar.serving.turn import NotLogged
from samovar.serving.wire import Response

SERVER = 500
"""From this status on it is our failure, not the client's."""

UNREAD = frozenset({400, 401, 408, 413, 431, 503})
"""Statuses that may be answered before the request was read; the connection closes then."""


class Malformed(FixInput):
    """The bytes are no HTTP request."""

    def __init__(self) -> None:
        super().__init__("This is not a valid HTTP/1.1 request.")


class Unauthorized(FixInput):
    """The request has no API key, or one that is not known."""

    def __init__(self) -> None:
        super().__init__("This endpoint needs an API key.", remedy="Send it as Authorization: Bearer KEY, or as X-API-Key.")


class WrongMethod(SamovarError):
    """The route exists, but not with this method; ``allowed`` goes into the header."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__("This method is not allowed here.", remedy=f"Use {' or '.join(allowed)}.")
        self.allowed = allowed


class Slow(FixInput):
    """The request did not arrive in time."""

    def __init__(self) -> None:
        super().__init__("The request did not arrive in time.")


class TooLarge(SamovarError):
    """The body is larger than the endpoint reads."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than {limit} bytes.", remedy="Send fewer rows at once.")


class TooManyRows(SamovarError):
    """The request holds more rows than the endpoint scores at once."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request has more than {limit} rows.", remedy="Send fewer rows at once.")


class UnsupportedMediaType(SamovarError):
    """The content type is not one that the route reads."""

    def __init__(self, accepted: tuple[str, ...]) -> None:
        super().__init__(f"Expected the content type {' or '.join(accepted)}, in UTF-8 and without content encoding.")


class HeadersTooLarge(FixInput):
    """The request's headers are larger, or more, than the endpoint reads."""

    def __init__(self, limit: int, count: int) -> None:
        super().__init__(f"The request has more than {limit} bytes of headers, or more than {count} of them.")


class QueueFull(RetryLater):
    """More requests wait for the model than the endpoint keeps waiting."""

    def __init__(self) -> None:
        super().__init__("Too many requests are waiting for the model.", remedy="Try again in a second.")


class Crowded(RetryLater):
    """More connections are open than the endpoint keeps."""

    def __init__(self) -> None:
        super().__init__("The endpoint has too many connections.", remedy="Try again in a second.")


class Full(RetryLater):
    """The bodies of all requests together are more than the endpoint keeps in memory."""

    def __init__(self) -> None:
        super().__init__("The endpoint holds too many large requests at once.", remedy="Try again in a second.")


class Late(RetryLater):
    """The model did not answer before the deadline."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The model did not answer within {seconds:g} seconds.")


class Described(msgspec.Struct, frozen=True):
    """An error as every protocol needs it.

    Attributes:
        status: HTTP status code.
        code: MLflow's kind of name for it.
        kind: the value of the metrics' label.
        message: what the client may read.
        path: the contract field's path; empty when the whole request is meant.
        headers: what the status demands.
    """

    status: int
    code: str
    kind: str
    message: str
    path: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()


_KNOWN: tuple[tuple[type[Exception], int, str, str], ...] = (
    (RequestError, 400, "BAD_REQUEST", "bad_request"),
    (Malformed, 400, "BAD_REQUEST", "malformed"),
    (Unauthorized, 401, "UNAUTHENTICATED", "unauthorized"),
    (NotFound, 404, "NOT_FOUND", "not_found"),
    (WrongMethod, 405, "METHOD_NOT_ALLOWED", "method_not_allowed"),
    (Slow, 408, "REQUEST_TIMEOUT", "slow_client"),
    (TooLarge, 413, "REQUEST_TOO_LARGE", "too_large"),
    (TooManyRows, 413, "REQUEST_TOO_LARGE", "too_large"),
    (UnsupportedMediaType, 415, "UNSUPPORTED_MEDIA_TYPE", "unsupported_media_type"),
    (QueueFull, 429, "RESOURCE_EXHAUSTED", "queue_full"),
    (HeadersTooLarge, 431, "HEADERS_TOO_LARGE", "headers_too_large"),
    (ModelError, 500, "MODEL_ERROR", "model"),
    (Crowded, 503, "TEMPORARILY_UNAVAILABLE", "crowded"),
    (Full, 503, "TEMPORARILY_UNAVAILABLE", "crowded"),
    (NotLogged, 503, "TEMPORARILY_UNAVAILABLE", "not_logged"),
    (Late, 504, "DEADLINE_EXCEEDED", "deadline"),
)

KINDS = tuple(dict.fromkeys([*(kind for *_, kind in _KNOWN), "internal"]))
"""Values of the label ``kind`` of ``samovar_errors_total``."""

_RETRY = (b"retry-after", b"1")


class ErrorBody(msgspec.Struct, omit_defaults=True):
    """What a client reads; ``path`` is the contract field's, absent when the whole request is meant."""

    error_code: str
    message: str
    path: str = ""


def describe(error: Exception) -> Described:
    """Say what an error is to a client.

    Only sentences that Samovar wrote leave the process: an unforeseen error says nothing about itself.
    """
    for cls, status, code, kind in _KNOWN:
        if isinstance(error, cls):
            return Described(status, code, kind, str(error), getattr(error, "path", ""), _headers(error, status))
    return Described(500, "INTERNAL_ERROR", "internal", "The endpoint failed.")


def answer(error: Exception) -> tuple[Response, str]:
    """Return the answer to an error, in the shape of MLflow's server, and its kind."""
    what = describe(error)
    return Response(
        what.status, msgspec.json.encode(ErrorBody(what.code, what.message, what.path)), headers=what.headers
    ), what.kind


def _headers(error: Exception, status: int) -> tuple[tuple[bytes, bytes], ...]:
    if isinstance(error, WrongMethod):
        return ((b"allow", ", ".join(error.allowed).encode()),)
    if status == 401:
        return ((b"www-authenticate", b"Bearer"),)
    return (_RETRY,) if status in (429, 503) else ()
