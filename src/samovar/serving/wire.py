"""Requests and responses on the ASGI wire: headers, bodies, answers written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from samovar.serving import ids

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

UTF8 = (b"utf-8", b"utf8")


class Disconnected(Exception):
    """The client left before its request was complete."""


class Response(msgspec.Struct, frozen=True, gc=False):
    """One answer.

    Attributes:
        status: HTTP status code.
        body: the bytes.
        content_type: media type.
        headers: further headers.
    """

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Request:
    """One request: headers now, the body when asked for."""

    __slots__ = ("_receive", "_untouched", "headers", "id", "method", "path", "size")

    def __init__(self, scope: Scope, receive: Receive, make_id: Callable[[], bytes]) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.id = ids.sane(self.headers.get(b"x-request-id", b"")) or make_id()
        self.size = 0
        self._receive = receive
        self._untouched = True

    @property
    def unclear(self) -> bool:
        """Whether the client asked if it may send its body and was not told: it may send it or not, so nothing can follow."""
        return self._untouched and b"expect" in self.headers

    async def body(self) -> bytes:
        """Read the body; how large it may be and how long it may take is the connection's to say.

        Raises:
            Disconnected: the client went away, or sent too much or too slowly and has been told so.
        """
        chunks: list[bytes] = []
        more = True
        self._untouched = False
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunk, more = message.get("body", b""), message.get("more_body", False)
            self.size += len(chunk)
            chunks.append(chunk)
        return b"".join(chunks)

    async def skip(self) -> None:
        """Read and drop a body that nobody wants, unless the client asks whether it may send it: then it may not."""
        if b"expect" in self.headers:
            return
        self._untouched = False
        while (message := await self._receive()).get("more_body", False):
            self.size += len(message["body"])
        if message["type"] == "http.disconnect":
            raise Disconnected

    async def gone(self) -> None:
        """Wait until the client goes away; for when the body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def media_type(header: bytes) -> tuple[bytes, bytes]:
    """Return the media type and the charset of a Content-Type header, in lower case; UTF-8 when none is named."""
    kind, *parameters = header.lower().split(b";")
    charset = next((part.split(b"=", 1)[1] for part in map(bytes.strip, parameters) if part.startswith(b"charset=")), b"utf-8")
    return kind.strip(), charset.strip(b'"')


async def write(response: Response, request: Request, send: Send, *, closing: bool) -> None:
    """Send a response; ``closing`` tells the client to use another connection next time."""
    headers = [
        (b"content-type", response.content_type),
        (b"content-length", b"%d" % len(response.body)),
        (b"x-request-id", request.id),
        *response.headers,
    ]
    if closing or request.unclear:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
