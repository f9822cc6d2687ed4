"""Coverage-guided fuzzing of the HTTP path: ``python fuzz_http.py -runs=20000 -seed=1 CORPUS``.

Bytes become a stream of requests, good, odd and broken, and places where the stream is cut. The endpoint reads it three times: cut,
in one piece, and cut with the short way for plain requests switched off. It must say the same three times, in whole answers, and
leave nothing behind. ``--plant NAME`` breaks the endpoint on purpose; the fuzzer must then find a difference.
"""

from __future__ import annotations

import asyncio
import sys

import atheris

with atheris.instrument_imports(include=["samovar.serving", "uvicorn.protocols.http.httptools_impl"]):
    import uvicorn
    from uvicorn.server import ServerState

    from samovar.errors import RequestError
    from samovar.serving import connection, errors, heads
    from samovar.serving.app import EndpointApp
    from samovar.serving.config import EndpointConfig
    from samovar.serving.connection import Connection
    from samovar.serving.desk import Desk
    from samovar.serving.front import Front
    from samovar.serving.jobs import Job, Route
    from samovar.serving.metrics import Metrics
    from samovar.serving.turn import NoSpool
    from samovar.serving.wire import Response

CONFIG = EndpointConfig("m", "a", body_limit=300, header_limit=600, header_count=12)


class Answers(list):
    def cut(self, start, stop):
        return Answers(self[start:stop])

    def logged(self, index):
        return self[index], None


class Echo:
    """A protocol that answers with what it read: at once, by way of a job, or not at all."""

    accepted = ("application/json",)
    together = None

    def quick(self, body):
        if body[:1] == b"!":
            raise RequestError("No.")
        return (b'"%s"' % body.hex().encode(), (), None, 0, None) if body[:1] == b"{" else None

    def decode(self, body, media, headers):
        return Job(
            [[body.hex()]], 1, lambda _engine, columns, _params: Answers(columns[0]), lambda told: b"[%s]" % told[0].encode()
        )

    def error(self, error):
        return errors.answer(error)[0]


class Transport(asyncio.Transport):
    """A connection's other side: takes what is written, sends what it is given when it is let."""

    def __init__(self, loop, protocol):
        super().__init__()
        self.loop, self.protocol = loop, protocol
        self.said, self.paused, self.closing, self.ended = bytearray(), False, False, False

    def get_extra_info(self, name, default=None):
        return default

    def write(self, data):
        assert not self.ended, "written after the end"
        if not self.closing:
            self.said += data

    def write_eof(self):
        self.ended = True

    def close(self):
        if not self.closing:
            self.closing = True
            self.loop.call_soon(self.protocol.connection_lost, None)

    abort = close

    def is_closing(self):
        return self.closing

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False

    def get_write_buffer_size(self):
        return 0


class Endpoint:
    """One endpoint without sockets."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        asyncio._set_running_loop(self.loop)
        metrics = Metrics({"model": "m", "alias": "a"}, ["/predict"], {}, errors.KINDS)
        engine = type("Inline", (), {"inline": True})()
        self.desk = Desk(engine, [Route("/predict", "/predict", Echo())], CONFIG, metrics, NoSpool())
        self.desk.open(self.loop)
        self.front = Front(CONFIG, self.desk)
        app = EndpointApp.__new__(EndpointApp)
        app._desk, app._make_id, app._pages = self.desk, self.front.make_id, {"/ping": lambda: Response(200, b"\n")}
        self.config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off", interface="asgi3", log_config=None)
        self.config.load()

    def settle(self):
        """Let the loop turn until it has nothing left to do."""
        for _ in range(400):
            if not self.loop._ready:
                return
            self.loop._run_once()  # what run_forever does, without its ceremony
        raise AssertionError("the endpoint does not come to rest")

    def hear(self, pieces, *, short_way):
        """Return all that the endpoint says to a client that sends these pieces, then leaves."""
        self.front.heads._known.clear()
        read, state = heads.Heads.read, ServerState()
        if not short_way:
            heads.Heads.read = lambda _self, _data: None
        try:
            protocol = Connection(self.config, state, self.front)
            transport = Transport(self.loop, protocol)
            protocol.connection_made(transport)
            for piece in pieces:
                self.settle()
                if transport.closing:
                    break
                assert not transport.paused, "it rests without reading"
                protocol.data_received(piece)
            self.settle()
            if not transport.closing and not protocol.eof_received():
                transport.close()
            self.settle()
        finally:
            heads.Heads.read = read
        assert not state.tasks, "a task is left behind"
        assert not state.connections, "a connection is left behind"
        return answers(bytes(transport.said))


def answers(said):
    """Cut what was said into answers; whatever is no answer is a failure."""
    found = []
    while said:
        head, middle, said = said.partition(b"\r\n\r\n")
        assert middle, "an answer without end"
        status, *lines = head.split(b"\r\n")
        assert status.startswith(b"HTTP/1.1 "), "no status line"
        code = int(status.split()[1])
        assert code < 500, "our own failure"
        if code == 100:
            continue
        headers = dict(line.split(b": ", 1) for line in lines)
        assert len(headers) == len(lines), "a header twice"
        length = int(headers[b"content-length"])
        if said.startswith(b"HTTP/1.1 ") or not said:  # an answer to HEAD announces a body and has none
            length = 0
        found.append((code, headers.get(b"connection"), said[:length]))
        said = said[length:]
    return found


# --- streams of requests -------------------------------------------------------------------------------------------------------

HEADERS = [
    b"host: x", b"content-type: application/json", b"Content-Type: application/json; charset=utf-8", b"content-type: text/csv",
    b"connection: close", b"connection: keep-alive", b"expect: 100-continue", b"content-encoding: gzip", b"content-length: 3",
    b"transfer-encoding: chunked", b"x-request-id: abc", b"x: " + b"y" * 200, b"accept: */*", b"x y: z", b"content-length: 0",
]  # fmt: skip
LINES = [b"POST /predict HTTP/1.1", b"GET /ping HTTP/1.1", b"HEAD /ping HTTP/1.1", b"POST /predict HTTP/1.0",
         b"PUT /predict HTTP/1.1", b"POST /predict?x HTTP/1.1", b"POST /nowhere HTTP/1.1", b"HEAD /predict HTTP/1.1"]  # fmt: skip
BODIES = [
    b"{}",
    b'{"a": 1}',
    b"[1, 2]",
    b"!",
    b"",
    b"{" + b"b" * 120,
    b"{\r\n\r\nPOST /predict HTTP/1.1\r\n\r\n}",
    b"[" + b"c" * 310,
]
RAW = [b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"\x00", b"5\r\nhello\r\n", b"GET", b"PO", b"\n"]


def stream(data):
    """Return the requests that these bytes describe, one after the other, and where the stream is cut."""
    provider = atheris.FuzzedDataProvider(data)
    parts = []
    for _ in range(provider.ConsumeIntInRange(1, 4)):
        kind = provider.ConsumeIntInRange(0, 7)
        if kind < 6:
            parts.append(message(provider, plain=kind < 3))
        else:
            parts.append(provider.PickValueInList(RAW) if kind == 6 else provider.ConsumeBytes(provider.ConsumeIntInRange(0, 12)))
    whole = b"".join(parts)
    cuts = sorted({provider.ConsumeIntInRange(0, len(whole)) for _ in range(provider.ConsumeIntInRange(0, 4))})
    return whole, [whole[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True) if start < stop]


def message(provider, *, plain):
    body = provider.PickValueInList(BODIES)
    line = LINES[0] if plain else provider.PickValueInList(LINES)
    headers = [b"content-type: application/json"] if plain else []
    headers += [provider.PickValueInList(HEADERS) for _ in range(provider.ConsumeIntInRange(0, 1 if plain else 4))]
    if not plain and provider.ConsumeBool():
        headers.append(b"transfer-encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    elif plain or provider.ConsumeBool():
        headers.append(b"content-length: %d" % len(body))
    return b"\r\n".join([line, *headers]) + b"\r\n\r\n" + body


# --- the fuzzer ----------------------------------------------------------------------------------------------------------------


def plant_a_lost_byte():
    """A body that comes in two pieces loses its last byte."""
    hold = Connection._hold
    Connection._hold = lambda self, data, head: hold(self, data[:-1] + b" ", head)


def plant_a_blind_eye():
    """The short way does not see that a body is compressed."""
    heads._UNUSUAL.discard(b"content-encoding")


def plant_a_loose_end():
    """What follows a plain request in the same packet is taken for part of its body."""
    score = Connection._score
    original = Connection.data_received

    def data_received(self, data):
        end = data.find(heads.END) + 4
        head = self._heads.read(data[:end]) if end > 3 and self.is_idle() else None
        return score(self, head, data[end:]) if head and len(data) > end + head.length else original(self, data)

    Connection.data_received = data_received


def plant_an_eager_refusal():
    """A refusal overtakes the answer before it."""
    refuse = connection.LimitedProtocol.refuse

    def eager(self, error):
        self._running = None
        refuse(self, error)

    connection.LimitedProtocol.refuse = eager


def alike(one, other, whole):
    """Whether the same was said. Who asks before sending may be refused before its body is seen to be bad, or after."""
    if b"expect" in whole and one and other and one[-1][1] == other[-1][1] == b"close":
        return one[:-1] == other[:-1]
    return one == other


def test_one(data):
    whole, pieces = stream(data)
    once = ENDPOINT.hear(pieces, short_way=True)
    assert alike(once, ENDPOINT.hear(pieces, short_way=False), whole), "the two ways differ"
    uncut = ENDPOINT.hear([whole] if whole else [], short_way=True)
    assert alike(once, uncut, whole), "where the stream is cut makes a difference"


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments and arguments[0] == "--plant":
        globals()[f"plant_{arguments[1]}"]()
        arguments = arguments[2:]
    import logging

    logging.disable(logging.CRITICAL)
    ENDPOINT = Endpoint()
    atheris.Setup([sys.argv[0], *arguments], test_one)
    atheris.Fuzz()
