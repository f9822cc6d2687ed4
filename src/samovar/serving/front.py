"""What all connections of an endpoint share."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from samovar.serving import errors, ids
from samovar.serving.heads import Heads
from samovar.serving.keys import Keys
from samovar.serving.metrics import OTHER

if TYPE_CHECKING:
    from samovar.serving.config import EndpointConfig
    from samovar.serving.desk import Desk
    from samovar.serving.wire import Response

_CLOSE = b"connection: close\r\n"


class Front:
    """Shared by the connections; made in the process that serves.

    Args:
        config: limits.
        desk: answers scoring requests.

    Raises:
        UsageError: a key's hash is none of ours.
    """

    def __init__(self, config: EndpointConfig, desk: Desk) -> None:
        self.config = config
        self.desk = desk
        self.keys = Keys(config.keys, config.exempt)
        self.heads = Heads(desk.routes, config, self.keys)
        self.make_id = ids.maker()
        self.bodies = 0  # bytes of bodies that are held on the ordinary way
        self.date = b""
        self.good = b""
        self.tick()

    def tick(self) -> None:
        """Called about once a second: write the lines that hold the time."""
        self.date = formatdate(usegmt=True).encode()
        close = _CLOSE if self.desk.draining else b""
        self.good = b"HTTP/1.1 200 OK\r\ndate: %b\r\ncontent-type: application/json\r\n%bx-request-id: " % (self.date, close)

    def drain(self) -> None:
        """Tell every client from now on to use another connection next time."""
        self.desk.draining = True
        self.tick()

    def head(self, response: Response, request_id: bytes, *, closing: bool) -> bytes:
        """Write the status line and the headers of an answer."""
        headers = [b"%b: %b\r\n" % header for header in response.headers]
        return b"".join(
            [
                STATUS_LINE[response.status],
                b"date: %b\r\ncontent-type: %b\r\n" % (self.date, response.content_type),
                b"content-length: %d\r\nx-request-id: %b\r\n" % (len(response.body), request_id),
                *headers,
                _CLOSE if closing else b"",
                b"\r\n",
            ]
        )

    def refused(self, error: Exception, path: str) -> Response:
        """Return the answer to a request that is refused before it was read, in the words of its route."""
        route = self.desk.routes.get(path)
        response = route.handler.error(error) if route else errors.answer(error)[0]
        self.desk.metrics.routes[route.name if route else OTHER].observe(
            seconds=0.0, received=0, status=response.status, sent=len(response.body), kind=errors.describe(error).kind
        )
        return response
