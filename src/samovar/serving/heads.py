"""Heads of scoring requests, parsed once and remembered.

A client sends the same line and headers with every request. What httptools made of them the first time holds the next time: the
same bytes, at the same place in the stream, mean the same. So a head that is plain (a POST to a scoring route of a body of known
length, with nothing unusual about it) is looked up, not parsed. What is new each time (the body's length, the ids of requests and
traces) is cut out by one pattern that takes whole header lines in their simplest form, and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httptools
import msgspec

from samovar.serving import ids, wire

if TYPE_CHECKING:
    from samovar.serving.config import EndpointConfig
    from samovar.serving.jobs import Route
    from samovar.serving.keys import Keys

END = b"\r\n\r\n"

_LONGEST = 64 * 2**10  # bytes of a body on this way; a longer one takes so long that the way does not matter
_REMEMBERED = 4096  # heads; clients times the lengths of their bodies
_DIGITS = 18  # of a length; Python refuses to read thousands of them
_MEMORABLE = 1024  # bytes of a head that is remembered, so that all of them are 4 MiB at most


_VARY = {b"content-length", b"x-request-id", b"traceparent", b"tracestate"}
_VARYING = re.compile(rb"\r\n(%b): ([\x21-\x7e]+)(?=\r\n[^ \t])" % b"|".join(sorted(_VARY)), re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*(?=\r\n[^ \t])", re.IGNORECASE)


def without_upgrade(head: bytes) -> bytes:
    """Return a head without the offer of another protocol, which a server may ignore and we do.

    httptools would take what follows for that protocol and lose the body: Java's client offers HTTP/2 with its first request.
    """
    return _UPGRADE.sub(b"", head)


class Head(msgspec.Struct, frozen=True):
    """What a plain head says.

    Attributes:
        route: what is asked.
        length: bytes of the body.
        media: the body's media type.
        request_id: the client's own; empty when it sent none.
        headers: names in lower case.
    """

    route: Route
    length: int
    media: str
    request_id: bytes
    headers: dict[bytes, bytes]


class Heads:
    """Reads heads.

    Args:
        routes: scoring routes by path.
        config: limits; a head that breaks one is not plain, so that the ordinary way refuses it.
        keys: who may ask.
    """

    def __init__(self, routes: dict[str, Route], config: EndpointConfig, keys: Keys) -> None:
        self._routes = {path.encode(): route for path, route in routes.items()}
        self._config = config
        self._keys = keys
        self._longest = min(_LONGEST, config.body_limit)
        self._known: dict[bytes, Head | None] = {}
        self._patterns: dict[bytes, Head] = {}  # heads without the lines that vary

    def read(self, data: bytes) -> Head | None:
        """Return what a head says, its empty line included; None when it is not plain."""
        try:
            return self._known[data]
        except KeyError:
            head = self._read(data)
            if len(data) <= _MEMORABLE and not (head and head.request_id):  # an id of the client's own is new each time
                _remember(self._known, data, head)
            return head

    def _read(self, data: bytes) -> Head | None:
        """Read a head that was never seen: by one that differs only where heads vary, or by parsing it."""
        parts = _VARYING.split(data)  # text, name, value, text, name, value, ..., text
        varying = dict(zip(map(bytes.lower, parts[1::3]), parts[2::3], strict=True))
        length = varying.get(b"content-length", b"")
        odd = 3 * len(varying) != len(parts) - 1 or not length.isdigit() or len(length) > _DIGITS
        if odd or len(data) > self._config.header_limit:
            return self._plain(data)
        rest = b"".join(parts[::3])
        alike = self._patterns.get(rest)
        if alike is not None:
            if not 0 < int(length) <= self._longest:
                return None
            request_id = ids.sane(varying.get(b"x-request-id", b""))
            return Head(alike.route, int(length), alike.media, request_id, alike.headers | varying)
        head = self._plain(data)
        if head is not None and len(data) <= _MEMORABLE:
            fixed = {name: value for name, value in head.headers.items() if name not in _VARY}
            _remember(self._patterns, rest, Head(head.route, 0, head.media, b"", fixed))
        return head

    def _plain(self, data: bytes) -> Head | None:
        if len(data) > self._config.header_limit:
            return None
        seen = _Seen()
        parser = httptools.HttpRequestParser(seen)
        try:
            parser.feed_data(without_upgrade(data))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return None
        headers = dict(seen.headers)
        route = self._routes.get(seen.url)
        length = headers.get(b"content-length", b"")
        if (
            route is None
            or seen.events != ["head"]  # nor is a head plain whose message ends with it
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or not parser.should_keep_alive()
            or len(headers) != len(seen.headers)  # a header given twice
            or len(headers) + len(_VARY) > self._config.header_count
            or _UNUSUAL & headers.keys()
            or not length.isdigit()
            or int(length) > self._longest
        ):
            return None
        kind, charset = wire.media_type(headers.get(b"content-type", b""))
        media = kind.decode("latin-1")
        if media not in route.handler.accepted or charset not in wire.UTF8 or not self._keys.admits(route.path, headers):
            return None
        return Head(route, int(length), media, ids.sane(headers.get(b"x-request-id", b"")), headers)


def _remember(known: dict[bytes, Any], data: bytes, head: Head | None) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()
    known[data] = head


_UNUSUAL = {b"transfer-encoding", b"expect", b"upgrade", b"content-encoding", b"trailer"}


@dataclass(slots=True)
class _Seen:
    """What httptools reports of one head."""

    url: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.events.append("head")

    def on_body(self, _body: bytes) -> None:
        self.events.append("body")

    def on_message_complete(self) -> None:
        self.events.append("end")
