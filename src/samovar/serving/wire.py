"""Requests and responses on the ASGI wire: headers, bodies read within a limit, answers written."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_ID = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")

_DISCARD = 64 * 2**20
"""Bytes of a refused body that are still read (and dropped), so that the client has sent all and reads the answer."""


class Disconnected(Exception):
    """The client left before its request was complete."""


@dataclass(frozen=True, slots=True)
class Response:
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

    __slots__ = ("_receive", "headers", "id", "method", "path", "size")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        sent = self.headers.get(b"x-request-id", b"")
        self.id = sent if _ID.fullmatch(sent) else uuid.uuid4().hex.encode()
        self.size = 0
        self._receive = receive

    async def body(self, limit: int) -> bytes | None:
        """Read the body; None when it is larger than ``limit`` bytes, of which never more than that is held.

        Raises:
            Disconnected: the client went away.
        """
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            self.size = int(declared)
            if b"expect" not in self.headers:  # who expects 100-continue has sent nothing yet
                await self._discard(min(int(declared), _DISCARD))
            return None
        chunks: list[bytes] = []
        more = True
        while more:
            chunk, more = await self._chunk()
            self.size += len(chunk)
            if self.size > limit:
                chunks.clear()
                await self._discard(_DISCARD if more else 0)
                return None
            chunks.append(chunk)
        return b"".join(chunks)

    async def _chunk(self) -> tuple[bytes, bool]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        return message.get("body", b""), message.get("more_body", False)

    async def _discard(self, at_most: int) -> None:
        more = at_most > 0
        while more and at_most > 0:
            chunk, more = await self._chunk()
            at_most -= len(chunk)


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
    if closing:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
