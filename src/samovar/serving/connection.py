"""One connection: plain scoring requests are answered here, everything else goes uvicorn's ordinary way.

A plain request (`samovar.serving.heads`) that is alone on its connection needs nothing of what ASGI is for: no scope, no task, no
messages. It is looked up, scored and written. The rest (other routes, chunked and long bodies, ``Expect``, pipelining, HEAD) is fed
to uvicorn's own parser as it came, so that no byte is ever read in two ways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from samovar.serving.heads import END, without_upgrade
from samovar.serving.limits import LimitedProtocol

if TYPE_CHECKING:
    import uvicorn
    from uvicorn.server import ServerState

    from samovar.serving.desk import Asked
    from samovar.serving.front import Front
    from samovar.serving.heads import Head
    from samovar.serving.wire import Response

_JSON = b"application/json"


class Connection(LimitedProtocol):
    """uvicorn's connection with a short way for plain scoring requests."""

    def __init__(self, config: uvicorn.Config, server_state: ServerState, front: Front) -> None:
        super().__init__(config, server_state, front)
        self._heads = front.heads
        self._desk = front.desk
        self._held = b""  # the beginning of a plain request whose body is still coming
        self._missing = 0  # bytes of it
        self._waiting: Head | None = None  # its head
        self._busy = False  # a plain request is being answered
        self._asked: Asked | None = None  # it waits for a thread
        self._id = b""
        self._early: list[bytes] = []  # what came while it was being answered
        self._leaving = False

    def data_received(self, data: bytes) -> None:
        """Answer a plain request; feed anything else to the ordinary way."""
        if self._over:
            return
        if self._busy:
            self._early.append(data)
            self.flow.pause_reading()
            return
        if self._held:
            data = self._held + data
        elif self._open or self.pipeline or (self._running is not None and not self._running.response_complete):
            super().data_received(data)
            return
        end = data.find(END) + 4
        head = self._heads.read(data[:end]) if end > 3 else None
        if head is None or self.flow.write_paused:
            self._held = b""
            super().data_received(without_upgrade(data[:end]) + data[end:] if end > 3 else data)
            return
        self._missing = end + head.length - len(data)
        if self._missing == 0:
            self._score(head, data[end:])
        elif self._missing > 0:
            self._hold(data, head)
        else:
            self._held = b""
            super().data_received(without_upgrade(data[:end]) + data[end:])

    def _hold(self, data: bytes, head: Head) -> None:
        if not self._held:
            self._unset_keepalive_if_required()
            self._headed, self._since = True, self.loop.time()
        self._held, self._waiting = data, head

    def _score(self, head: Head, body: bytes) -> None:
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._held = b""
        self._busy = self._active = True
        self._id = head.request_id or self.front.make_id()
        self._asked = self._desk.ask(head.route, body, head.media, head.headers, self._id, self._answer)

    def _answer(self, response: Response) -> None:
        self._busy = False
        self._asked = None
        transport = self.transport
        if transport.is_closing():
            return
        # What came behind it was sent before this answer could say anything: a connection that ends here would lose it.
        closing = self._leaving or (self._desk.draining and not self._early)
        if response.status == 200 and not response.headers and response.content_type == _JSON and closing == self._desk.draining:
            body = response.body
            transport.write(b"%b%b\r\ncontent-length: %d\r\n\r\n%b" % (self.front.good, self._id, len(body), body))
        else:
            transport.write(self.front.head(response, self._id, closing=closing) + response.body)
        if closing:
            transport.close()
        elif self._early:
            data, self._early = b"".join(self._early), []
            self.flow.resume_reading()
            self.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what the client will not read."""
        if self._asked is not None:
            self._asked.leave()
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override] # uvicorn always closes
        """Let an answer that is ready leave before the connection closes; a request that waits is dropped."""
        if self._busy and self._asked is None:
            self._leaving = True
            return True
        return None

    def shutdown(self) -> None:
        """Close when what is under way has been answered."""
        if self._busy or self._held:
            self._leaving = True
        else:
            super().shutdown()

    def refuse(self, error: Exception) -> None:
        """See `LimitedProtocol`; a request that is held here is answered in the words of its route."""
        held, self._held = self._held, b""
        if not held:
            self._waiting = None
        super().refuse(error)

    def _refused_request(self) -> tuple[str, bytes]:
        if self._waiting is None:
            return super()._refused_request()
        return self._waiting.route.path, self._waiting.request_id

    def waits_for_client(self) -> bool:
        """See `LimitedProtocol`."""
        return bool(self._held) or super().waits_for_client()

    def is_idle(self) -> bool:
        """See `LimitedProtocol`."""
        return not self._busy and not self._held and super().is_idle()
