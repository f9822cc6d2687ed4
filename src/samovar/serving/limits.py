"""What a client may send and how slowly, on uvicorn's ordinary way: limits kept while reading, refusals that arrive.

A refusal is answered in its turn: what came before it on the connection is answered first. Then the connection is closed for
writing and what the client still sends is read and dropped for a while, because a socket closed with unread bytes in it resets the
connection, and the client never sees why.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from samovar.serving import errors, ids

if TYPE_CHECKING:
    import asyncio

    import uvicorn
    from uvicorn.server import ServerState

    from samovar.serving.front import Front

_LINGER = 30.0  # seconds that a refused client may go on sending


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's connection, with limits.

    Args:
        config: uvicorn's.
        server_state: shared by all connections.
        front: the endpoint's part of what they share.
    """

    def __init__(self, config: uvicorn.Config, server_state: ServerState, front: Front) -> None:
        super().__init__(config=config, server_state=server_state, app_state={})
        self.front = front
        self._limits = front.config
        self._running: Any = None  # the cycle whose application runs, or ran last
        self._open = False  # a message has begun and is not complete
        self._headed = False  # its headers are complete
        self._since = 0.0  # when the wait for the rest of it began
        self._fed = self._head = self._count = self._body = 0  # bytes (and headers) of the present message
        self._begun = 0  # messages that the data being read belongs to
        self._charges: deque[int] = deque()  # bytes of bodies that this connection holds, by message
        self._refusal: Exception | None = None  # waits for earlier answers
        self._over = False  # nothing is read any more
        self._until = 0.0  # when even a lingering connection ends
        self._active = True
        self._idle_since = 0.0
        self._unsent_since: float | None = None

    # --- what comes ------------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Refuse one connection too many."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            self.refuse(errors.Crowded())
            transport.close()  # one that lingers would take the place of the next

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        if self._over:
            return
        self._unset_keepalive_if_required()
        self._begun = int(self._open)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._ignore_upgrade()
        except httptools.HttpParserError:
            self.refuse(self._refusal or errors.Malformed())
        else:
            if self._open and not self._headed and self._begun == 1:
                self._fed += len(data)  # a header without end is in nobody's count yet
                if self._fed > self._limits.header_limit:
                    self.refuse(self._too_much_head())

    def on_message_begin(self) -> None:
        """See uvicorn."""
        self._open, self._headed = True, False
        self._since = self.loop.time()
        self._fed = self._head = self._count = self._body = 0
        self._begun += 1
        self._charges.append(0)
        super().on_message_begin()
        self.scope["state"]["followed"] = self._followed

    def _followed(self) -> bool:
        """Tell whether more has come behind the request whose application runs."""
        return bool(self.pipeline) or (self._open and not (self._headed and self.cycle is self._running))

    def on_url(self, url: bytes) -> None:
        """See uvicorn."""
        self._head += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """See uvicorn; a trailer counts too."""
        self._head += len(name) + len(value) + 4
        self._count += 1
        if self._head > self._limits.header_limit or self._count > self._limits.header_count:
            self._raise(self._too_much_head())
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Judge the request by its head, before its application starts."""
        if self._head > self._limits.header_limit:
            self._raise(self._too_much_head())
        headers = dict(self.headers)
        if not self.front.keys.admits(self._path(), headers):
            self._raise(errors.Unauthorized())
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._limits.body_limit:
            self._raise(errors.TooLarge(self._limits.body_limit))
        super().on_headers_complete()
        self._headed = True
        self._since = self.loop.time()

    def on_body(self, body: bytes) -> None:
        """See uvicorn."""
        self._body += len(body)
        if self._body > self._limits.body_limit:
            self._raise(errors.TooLarge(self._limits.body_limit))
        if not self._charges:  # the answer did not wait for the body
            self._charges.append(0)
        self._charges[-1] += len(body)
        self.front.bodies += len(body)
        if self.front.bodies > self._limits.bodies_limit:
            self._raise(errors.Full())
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See uvicorn."""
        self._open = False
        self._active = True
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """See uvicorn."""
        self._release()
        super().connection_lost(exc)
        # Each of these leads back to this connection. The collector, which comes seldom, would find 10 kB for each that closed.
        self.cycle = self._running = self.scope = None  # type: ignore[assignment]

    def _release(self) -> None:
        self.front.bodies -= sum(self._charges)
        self._charges.clear()

    def _raise(self, error: Exception) -> None:
        self._refusal = error
        raise error  # httptools stops parsing; data_received answers

    def _too_much_head(self) -> Exception:
        return errors.HeadersTooLarge(self._limits.header_limit, self._limits.header_count)

    def _path(self) -> str:
        path: bytes | None = httptools.parse_url(self.url).path
        return (path or b"").decode("latin-1")

    def _ignore_upgrade(self) -> None:
        """Upgrades are not ours; httptools has read the message as one without a body, so nothing after it can be trusted."""
        self._over = True
        if self.cycle is not None:
            self.cycle.keep_alive = False

    # --- refusing --------------------------------------------------------------------------------------------------------------

    def refuse(self, error: Exception) -> None:
        """Answer with an error when what came before has been answered, and read nothing more."""
        self._over = True
        self._refusal = error
        self._release()
        own = self.cycle if self._open and self._headed else None
        if own is not None:
            own.disconnected = True  # its application hears that the client is gone
            own.message_event.set()
            self.pipeline = deque(entry for entry in self.pipeline if entry[0] is not own)
        if own is not None and own.response_started:
            self.transport.close()
        elif self._running is None or self._running is own or self._running.response_complete:
            self._dismiss(error)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """See uvicorn; a refusal that waited is next when no request is."""
        super().on_response_complete()
        if self._charges:  # answered in order: the oldest is done with
            self.front.bodies -= self._charges.popleft()
        if self._refusal is not None and not self.transport.is_closing() and self._running.response_complete:
            self._dismiss(self._refusal)

    def _dismiss(self, error: Exception) -> None:
        if self.transport.is_closing():
            return
        path, request_id = self._refused_request()
        response = self.front.refused(error, path)
        body = b"" if self._method() == b"HEAD" else response.body
        self.transport.write(self.front.head(response, request_id or self.front.make_id(), closing=True) + body)
        self.transport.write_eof()
        self._until = self.loop.time() + _LINGER
        self.flow.resume_reading()

    def _refused_request(self) -> tuple[str, bytes]:
        """Return the path and the id of the request that is refused, as far as they are known."""
        if not self._open:
            return "", b""
        request_id = ids.sane(dict(self.headers).get(b"x-request-id", b""))
        try:
            return self._path(), request_id
        except (httptools.HttpParserError, AttributeError):
            return "", request_id

    def _method(self) -> bytes:
        return self.parser.get_method() if self._open else b""

    def shutdown(self) -> None:
        """Close; a refused client has had its answer."""
        if self._until:
            self.transport.close()
        else:
            super().shutdown()

    # --- time ------------------------------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Called about once a second: end what takes too long."""
        unsent = self.transport.get_write_buffer_size()
        self._unsent_since = (self._unsent_since or now) if unsent else None
        if self._active:
            self._active, self._idle_since = False, now
        if self._unsent_since is not None and now - self._unsent_since > self._limits.body_seconds:
            self.transport.abort()
        elif self._over:
            if self._until and now > self._until:
                self.transport.abort()
        elif self.waits_for_client():
            if self.flow.read_paused:
                self._since = now
            elif now - self._since > (self._limits.body_seconds if self._headed else self._limits.header_seconds):
                self.refuse(errors.Slow())
        elif self.is_idle() and now - self._idle_since > self._limits.keep_alive_seconds:
            self.transport.close()

    def waits_for_client(self) -> bool:
        """Tell whether a request has begun to come and is not complete."""
        return self._open

    def is_idle(self) -> bool:
        """Tell whether nothing is under way."""
        return not self._open and (self._running is None or self._running.response_complete) and not self.pipeline
