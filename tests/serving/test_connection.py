"""HTTP on a raw socket: the short way for plain scoring requests and the ordinary way are one endpoint."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import threading

import pytest

ROW = {"transaction_id": "t-1", "amount": 120.0, "hour": 3, "channel": "web"}
BODY = json.dumps(ROW).encode()
WAITING = b'{"amount": 10.0, "hour": 13, "channel": "web"}'


def request(body=BODY, *headers, method="POST", path="/predict", length=True):
    lines = [f"{method} {path} HTTP/1.1", "host: x", "content-type: application/json", *headers]
    lines += [f"content-length: {len(body)}"] if length else []
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Line(contextlib.closing):
    """A raw connection that reads whole answers."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        super().__init__(self.socket)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def send(self, *parts):
        for part in parts:
            self.socket.sendall(part)

    def read(self, method="POST"):
        """Return the status, the headers and the body of the next answer."""
        status = self.stream.readline()
        assert status.startswith(b"HTTP/1.1 "), status
        headers = {}
        while (line := self.stream.readline()) not in (b"\r\n", b""):
            name, value = line.decode().rstrip("\r\n").split(": ", 1)
            assert name not in headers
            headers[name] = value
        body = b"" if method == "HEAD" else self.stream.read(int(headers["content-length"]))
        return int(status.split()[1]), headers, body

    def ended(self):
        """Tell whether the server has nothing more to say."""
        return self.stream.read() == b""


@pytest.fixture
def line(payments_endpoint):
    with Line(payments_endpoint.port) as line:
        yield line


@pytest.fixture
def short_way(payments_endpoint, monkeypatch):
    """Count the requests that took the short way."""
    from samovar.serving.connection import Connection

    taken = []
    score = Connection._score
    monkeypatch.setattr(Connection, "_score", lambda self, head, body: (taken.append(head), score(self, head, body))[1])
    return taken


def without_time(body):
    return {name: value for name, value in json.loads(body).items() if name != "prediction_time"}


ODD = {
    "in one piece": [request()],
    "head and body apart": [request()[: -len(BODY)], BODY],
    "byte by byte": [bytes([byte]) for byte in request()],
    "cut in the head": [request()[:20], request()[20:]],
    "cut in the empty line": [request()[: -len(BODY) - 2], request()[-len(BODY) - 2 :]],
    "chunked": [
        request(b"%x\r\n%b\r\n5;ext=1\r\n     \r\n0\r\n\r\n" % (len(BODY), BODY), "transfer-encoding: chunked", length=False)
    ],
    "after empty lines": [b"\r\n\r\n" + request()],
    "names in capitals": [request().replace(b"content-", b"CONTENT-")],
    "with a query": [request(path="/predict?a=1")],
    "with an absolute address": [request(path="http://x/predict")],
    "with a percent sign": [request(path="/%70redict")],
    "told to keep the connection": [request(BODY, "connection: keep-alive")],
    "offering another protocol": [request(BODY, "connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk")],
}


@pytest.mark.parametrize("parts", ODD.values(), ids=ODD.keys())
def test_however_a_request_is_sent_it_gets_the_same_answer(line, parts):
    """Whatever way it takes; and the connection can be used again, for both ways."""
    line.send(*parts)
    status, headers, body = line.read()
    assert (status, headers["content-type"], len(headers["x-request-id"])) == (200, "application/json", 32)
    assert without_time(body)["transaction_id"] == "t-1"
    line.send(request())
    assert without_time(line.read()[2]) == without_time(body)
    line.send(request(b"", method="GET", path="/ping"))
    assert line.read()[0] == 200


def test_plain_requests_take_the_short_way(line, short_way):
    """Otherwise the tests of the short way test nothing."""
    for parts in (ODD["in one piece"], ODD["head and body apart"], ODD["names in capitals"]):
        line.send(*parts)
        line.read()
    assert len(short_way) == 3


@pytest.mark.parametrize(
    "name", ["chunked", "with a query", "with an absolute address", "with a percent sign", "after empty lines"]
)
def test_other_requests_take_the_ordinary_way(line, short_way, name):
    line.send(*ODD[name])
    line.read()
    assert short_way == []


@pytest.mark.parametrize("first", [request(), request(b"", method="GET", path="/health"), request(b"{", "x-request-id: bad")])
def test_pipelined_requests_are_answered_in_order(line, first):
    """Plain or not, good or bad, in one packet or across many."""
    last = request(b"", method="GET", path="/version")
    sent = b"".join([first, request(BODY, "x-request-id: second"), last, request(BODY, "x-request-id: third")])
    line.send(sent[:100], sent[100:700], sent[700:])
    answers = [line.read() for _ in range(4)]
    assert [headers["x-request-id"] for _, headers, _ in answers][1::2] == ["second", "third"]
    assert json.loads(answers[2][2])["model"] == "payments"


def test_a_hundred_pipelined_requests(line):
    line.send(b"".join(request(BODY, f"x-request-id: n-{number}") for number in range(100)))
    assert [line.read()[1]["x-request-id"] for _ in range(100)] == [f"n-{number}" for number in range(100)]


def test_a_request_sent_before_the_last_answer_waits_for_it(serve, slow):
    """The model thinks about the first; the second comes meanwhile, split in two, and a probe behind it."""
    with Line(serve(slow.plan).port) as line:
        line.send(request(WAITING, "x-request-id: first"))
        assert slow.entered.wait(10)
        second = request(WAITING.replace(b"13", b"3"), "x-request-id: second")
        line.send(second[:50])
        line.send(second[50:] + request(b"", "x-request-id: third", method="GET", path="/ping"))
        slow.go.set()
        assert [line.read()[1]["x-request-id"] for _ in range(3)] == ["first", "second", "third"]


def test_who_asks_first_is_told_to_go_on(line):
    """Expect: 100-continue; the body is sent only then."""
    line.send(request(BODY, "expect: 100-continue")[: -len(BODY)])
    assert line.stream.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert line.stream.readline() == b"\r\n"
    line.send(BODY)
    assert line.read()[0] == 200


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/ping", 405)])
def test_who_asks_first_and_is_refused_cannot_be_misunderstood(line, path, status):
    """The client may send the body all the same, or not: nothing that follows is read as a request."""
    line.send(request(BODY, "expect: 100-continue", path=path)[: -len(BODY)])
    answered, headers, _ = line.read()
    assert (answered, headers["connection"]) == (status, "close")
    line.send(request())
    with contextlib.suppress(ConnectionError):
        assert line.ended()


@pytest.mark.parametrize("path", ["/ping", "/health", "/predict", "/nowhere"])
def test_head_has_no_body(line, path):
    """HEAD announces what GET would send, and sends nothing; the next answer begins where it should."""
    line.send(request(b"", method="HEAD", path=path) + request(b"", method="GET", path="/ping"))
    assert line.read("HEAD")[0] in (200, 404, 405)
    assert line.read()[0] == 200


def test_the_last_request_of_a_connection(line):
    line.send(request(BODY, "connection: close"))
    status, headers, _ = line.read()
    assert (status, headers["connection"]) == (200, "close")
    assert line.ended()


def test_http_1_0_is_answered_once(line):
    line.send(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    status, headers, _ = line.read()
    assert (status, headers["connection"]) == (200, "close")
    assert line.ended()


def test_a_client_that_has_said_all_gets_its_answer(line):
    """It closes its half of the connection with the request; the answer still comes."""
    line.send(request())
    line.read()
    line.send(request())
    line.socket.shutdown(socket.SHUT_WR)
    assert line.read()[0] == 200
    assert line.ended()


GARBAGE = [
    b"\x00\x01\x02\r\n\r\n",
    b"GET\r\n\r\n",
    b"POST /predict HTTP/9.9\r\n\r\n",
    b"POST /predict HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    b"POST /predict HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    b"POST /predict HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /predict HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    b"POST /predict HTTP/1.1\r\nbad header\r\n\r\n",
    b"POST /predict HTTP/1.1\nhost: x\ncontent-length: 0\n\n",
    b"GET http://[ HTTP/1.1\r\nhost: x\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_answered_in_its_turn_and_ends_the_connection(line, garbage):
    """The request before it has its own answer; then comes one 400 (or 404), and nothing after it is read."""
    line.send(request(BODY, "x-request-id: good") + garbage + request())
    status, headers, _ = line.read()
    assert (status, headers["x-request-id"]) == (200, "good")
    status, headers, body = line.read()
    assert (status, headers["connection"], json.loads(body)["error_code"]) == (400, "close", "BAD_REQUEST")
    assert line.ended()


def test_a_length_of_thousands_of_digits_is_garbage_also_on_a_known_head(line):
    """Python refuses to read so long a number: it must not come so far where heads are recognised."""
    line.send(request())
    assert line.read()[0] == 200
    line.send(request(BODY, "content-length: " + "9" * 5000, length=False))
    status, headers, _ = line.read()
    assert (status, headers["connection"]) == (413, "close") or status == 400


def test_a_client_that_hangs_up_hurts_nobody(serve, slow):
    """Its request is under way or waiting; a reset tells the server at once; others are answered."""
    endpoint = serve(slow.plan)
    lines = [Line(endpoint.port) for _ in range(3)]
    for line in lines:
        line.send(request(WAITING))
    assert slow.entered.wait(10)
    for line in lines:
        line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.stream.close()
        line.socket.close()
    slow.go.set()
    assert endpoint.client.post(
        "/predict", content=WAITING.replace(b"13", b"1"), headers={"content-type": "application/json"}
    ).is_success


def test_many_clients_at_once_get_their_own_answers(payments_endpoint):
    """Answers carry the row's own key, over the short way, from many connections in the same turns."""
    wrong = []

    def ask(name):
        with Line(payments_endpoint.port) as line:
            for number in range(30):
                line.send(request(json.dumps(ROW | {"transaction_id": f"{name}-{number}"}).encode()))
                wrong.extend(json.loads(line.read()[2])["transaction_id"] != f"{name}-{number}" for _ in [0])

    threads = [threading.Thread(target=ask, args=(name,)) for name in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(wrong) == 16 * 30
    assert not any(wrong)


def test_answers_carry_the_date(line):
    line.send(request())
    assert line.read()[1]["date"].endswith(" GMT")


def test_a_leaving_worker_answers_the_short_way_and_closes(serve, plans):
    """What still comes is answered with ``Connection: close``."""
    endpoint = serve(plans["payments"], drain_seconds=10)
    with Line(endpoint.port) as line:
        line.send(request())
        assert "connection" not in line.read()[1]
        endpoint.server.drain()
        endpoint.thread.join(0.2)
        line.send(request())
        status, headers, _ = line.read()
        assert (status, headers["connection"]) == (200, "close")
        assert line.ended()
    endpoint.thread.join(5)
    assert not endpoint.thread.is_alive()


def test_stock_clients_understand_the_short_way(payments_endpoint):
    """http.client sends head and body apart, httpx too: both keep their connection."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", payments_endpoint.port, timeout=10)) as client:
        for _ in range(3):
            client.request("POST", "/predict", BODY, {"content-type": "application/json"})
            answer = client.getresponse()
            assert without_time(answer.read())["transaction_id"] == "t-1"
