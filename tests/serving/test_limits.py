"""What a client may send, how slowly, and who may send it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from samovar.errors import UsageError
from samovar.serving import keys
from samovar.serving.config import EndpointConfig
from samovar.serving.server import EndpointServer

ROW = {"transaction_id": "t-1", "amount": 120.0, "hour": 3, "channel": "web"}
BODY = json.dumps(ROW).encode()
FAST = {"amount": 10.0, "hour": 1, "channel": "web"}
WAITING = FAST | {"hour": 13}
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


def whole(body=BODY, *headers):
    return HEAD + b"".join(header + b"\r\n" for header in headers) + b"content-length: %d\r\n\r\n%b" % (len(body), body)


@contextlib.contextmanager
def line_to(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        yield line


def said(line):
    """Return all that the server says until it ends the connection."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := line.recv(65536):
            parts.append(part)
    return b"".join(parts)


def status(answer):
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer.split(b" ", 2)[1])


# --- bodies --------------------------------------------------------------------------------------------------------------------


def resident(pid):
    """Return the resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def alone(plans, tmp_path_factory):
    """An endpoint in a process of its own, so that its memory can be seen: its port and its process id."""
    from samovar.scoring.plan import encode

    path = tmp_path_factory.mktemp("plan") / "plan"
    path.write_bytes(encode(plans["payments"]))
    program = """
import asyncio, socket, sys, uvloop
from samovar.scoring.plan import decode
from samovar.serving import collector
from samovar.serving.server import EndpointConfig, EndpointServer
server = EndpointServer(decode(open(sys.argv[1], "rb").read()), EndpointConfig("m", "a", drain_seconds=0.1))
server.load()
collector.settle()
listener = socket.create_server(("127.0.0.1", 0))
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(server.serve(listener, on_accepting=lambda: print(listener.getsockname()[1], flush=True)))
"""
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as process:
        yield int(process.stdout.readline()), process.pid
        process.kill()


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_a_gigabyte_is_refused_and_memory_stays_flat(alone, chunked):
    """The client sends all of it before it reads: it still gets its 413, and the worker grows by less than 20 MB."""
    port, pid = alone
    with line_to(port) as line:
        line.sendall(whole())
        assert status(line.recv(65536)) == 200
    before = resident(pid)
    piece = b"x" * 2**20
    with line_to(port) as line:
        if chunked:
            line.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        else:
            line.sendall(HEAD + b"content-length: %d\r\n\r\n" % 2**30)
        grown = 0
        for number in range(1024):
            line.sendall(piece)
            if number < 32 or number % 64 == 0:  # a body of unknown length is held until it passes the limit, at the 17th piece
                grown = max(grown, resident(pid) - before)
        line.shutdown(socket.SHUT_WR)
        answer = said(line)
    assert status(answer) == 413
    assert b"connection: close" in answer
    assert grown < 20 * 10**6
    assert resident(pid) - before < 20 * 10**6


def test_what_follows_a_refused_body_is_not_read(serve, plans):
    """The end of the body may look like a request; it is none."""
    endpoint = serve(plans["payments"], body_limit=1000)
    with line_to(endpoint.port) as line:
        line.sendall(HEAD + b"content-length: 5000\r\n\r\n" + whole() * 10)
        line.shutdown(socket.SHUT_WR)
        answer = said(line)
    assert status(answer) == 413
    assert answer.count(b"HTTP/1.1") == 1


def test_a_body_at_the_limit_is_read(serve, plans):
    endpoint = serve(plans["payments"], body_limit=1000)
    for size, expected in ((1000, 200), (1001, 413)):
        answer = endpoint.client.post("/predict", content=BODY.ljust(size), headers={"content-type": "application/json"})
        assert answer.status_code == expected

        def chunks(size=size):
            yield BODY.ljust(500)
            yield b" " * (size - 500)

        answer = endpoint.client.post("/predict", content=chunks(), headers={"content-type": "application/json"})
        assert answer.status_code == expected


def test_refusals_are_counted(serve, plans):
    endpoint = serve(plans["payments"], body_limit=1000)
    endpoint.client.post("/predict", content=b" " * 1001, headers={"content-type": "application/json"})
    (counted,) = [
        line
        for line in endpoint.client.get("/metrics").text.splitlines()
        if line.startswith("samovar_errors_total") and '"/predict"' in line and '"too_large"' in line
    ]
    assert counted.endswith(" 1")


def errors(endpoint, route, kind):
    """Return how many refusals of a kind the metrics show for a route."""
    (counted,) = [
        line.rpartition(" ")[2]
        for line in endpoint.client.get("/metrics").text.splitlines()
        if line.startswith("samovar_errors_total") and f'endpoint="{route}"' in line and f'kind="{kind}"' in line
    ]
    return float(counted)


def test_refusals_beside_the_scoring_routes_are_counted_too(serve, plans):
    """Of pages, and of what asked for nothing that one could tell."""
    endpoint = serve(plans["payments"])
    assert endpoint.client.get("/nowhere").status_code == 404
    assert endpoint.client.post("/ping").status_code == 405
    with line_to(endpoint.port) as line:
        line.sendall(b"no HTTP at all\r\n\r\n")
        assert status(said(line)) == 400
    assert [errors(endpoint, "other", kind) for kind in ("not_found", "method_not_allowed", "malformed")] == [1, 1, 1]


# --- headers -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        b"x-a: " + b"a" * 40_000 + b"\r\n",
        b"".join(b"x-%d: a\r\n" % number for number in range(101)),
        b"".join(b"x-%d: %b\r\n" % (number, b"a" * 4000) for number in range(10)),
    ],
    ids=["one long", "too many", "many long"],
)
@pytest.mark.parametrize("finished", [True, False])
def test_too_much_of_headers_is_431(payments_endpoint, headers, finished):
    """Also when they never end: what is kept of them is bounded."""
    with line_to(payments_endpoint.port) as line:
        line.sendall(HEAD + headers + (b"content-length: 0\r\n\r\n" if finished else b""))
        answer = said_while_sending(line, b"x-b: b\r\n")
    assert status(answer) == 431
    assert b"HEADERS_TOO_LARGE" in answer


def said_while_sending(line, more):
    line.settimeout(0.05)
    parts = []
    for _ in range(400):
        try:
            part = line.recv(65536)
        except TimeoutError:
            with contextlib.suppress(ConnectionError):
                line.sendall(more)
            continue
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("start", [b"GET /" + b"a" * 50_000, b"POST /predict HTTP/1.1\r\nx: " + b"a" * 50_000])
def test_a_line_without_end_is_431(payments_endpoint, start):
    with line_to(payments_endpoint.port) as line:
        line.sendall(start)
        assert status(said_while_sending(line, b"a" * 100)) == 431


def test_ordinary_headers_are_welcome(payments_endpoint):
    headers = {f"x-{number}": "a" * 200 for number in range(60)}
    assert payments_endpoint.client.post("/predict", json=ROW, headers=headers).status_code == 200


# --- slow senders --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"PO", b""),
        (HEAD, b"x: y\r\n"),
        (HEAD + b"content-length: 70\r\n\r\n{", b" "),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (HEAD + b"content-length: 200000\r\n\r\n{", b" "),
    ],
    ids=["silent", "headers", "body", "chunks", "long body"],
)
def test_a_slow_sender_is_told_408(serve, plans, start, more):
    """Dribbling a byte now and then keeps nothing open; nor does silence."""
    endpoint = serve(plans["payments"], header_seconds=0.4, body_seconds=0.4)
    with line_to(endpoint.port) as line:
        began = time.monotonic()
        line.sendall(start)
        answer = said_while_sending(line, more)
    assert status(answer) == 408
    assert 0.3 < time.monotonic() - began < 5
    assert endpoint.client.post("/predict", json=ROW).status_code == 200


@pytest.mark.parametrize("path", ["/predict", "/v2/models/payments/infer"])
def test_a_slow_sender_on_the_short_way_is_told_in_the_words_of_its_route_and_counted(serve, plans, path):
    """Its head was plain, so that it was held and never parsed."""
    endpoint = serve(plans["payments"], body_seconds=0.4)
    (route,) = [route for route in endpoint.server._desk.routes.values() if route.path == path]
    head = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" % path.encode()
    with line_to(endpoint.port) as line:
        line.sendall(head + b"x-request-id: mine\r\ncontent-length: 70\r\n\r\n{")
        answer = said(line)
    assert status(answer) == 408
    assert b"x-request-id: mine\r\n" in answer
    assert set(json.loads(answer.partition(b"\r\n\r\n")[2])) == ({"error"} if "v2" in path else {"error_code", "message"})
    assert errors(endpoint, route.name, "slow_client") == 1


def test_a_slow_model_is_no_slow_sender(serve, slow):
    """Time that the client spends waiting for an answer is not its own; nor is that of a request behind it."""
    endpoint = serve(slow.plan, header_seconds=0.2, body_seconds=0.2)
    body = json.dumps(WAITING).encode()
    with line_to(endpoint.port) as line:
        line.sendall(whole(body) + whole(body))
        assert slow.entered.wait(10)
        threading.Event().wait(0.6)
        slow.go.set()
        answer = b""
        while answer.count(b"HTTP/1.1 200") < 2:
            part = line.recv(65536)
            assert part, answer
            answer += part


def test_who_does_not_read_answers_is_let_go(serve, plans):
    """An answer that nobody takes does not stay in memory for ever."""
    endpoint = serve(plans["payments"], body_seconds=0.4)
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(20)
        line.connect(("127.0.0.1", endpoint.port))
        with contextlib.suppress(OSError):
            for _ in range(2000):
                line.sendall(b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n" * 20)
        deadline = time.monotonic() + 10
        while endpoint.server._state.connections:
            assert time.monotonic() < deadline, "the connection is still there"
            threading.Event().wait(0.02)


def test_an_idle_connection_is_closed_after_its_time(serve, plans):
    """Used or not, by either way."""
    endpoint = serve(plans["payments"], keep_alive_seconds=0.3, header_seconds=0.4)
    for first in (b"", whole(), b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n"):
        with line_to(endpoint.port) as line:
            if first:
                line.sendall(first)
                assert status(line.recv(65536)) == 200
            assert said(line) == b""


# --- connections and queues ----------------------------------------------------------------------------------------------------


def test_one_connection_too_many_is_told_503(serve, plans):
    endpoint = serve(plans["payments"], max_connections=2)
    with line_to(endpoint.port) as first, line_to(endpoint.port) as second:
        for line in (first, second):
            line.sendall(whole())
            assert status(line.recv(65536)) == 200
        with line_to(endpoint.port) as third:
            answer = said(third)
        assert status(answer) == 503
        assert b"retry-after: 1" in answer
        first.sendall(whole())
        assert status(first.recv(65536)) == 200


def test_a_full_queue_is_429(serve, slow):
    """Who comes when enough are waiting is told when to come again; who waits is served."""
    endpoint = serve(slow.plan, queue_jobs=1)
    with line_to(endpoint.port) as first, line_to(endpoint.port) as second, line_to(endpoint.port) as third:
        first.sendall(whole(json.dumps(WAITING).encode()))
        assert slow.entered.wait(10)
        second.sendall(whole(json.dumps(FAST).encode(), b"x-request-id: second"))
        while not endpoint.server._desk.batcher.waiting:
            threading.Event().wait(0.01)
        third.sendall(whole(json.dumps(FAST).encode()))
        answer = third.recv(65536)
        assert status(answer) == 429
        assert b"retry-after: 1" in answer
        slow.go.set()
        assert status(second.recv(65536)) == 200


def test_a_late_answer_is_504(serve, slow):
    """The client hears of it in time, and of a probe too; the connection lives on."""
    endpoint = serve(slow.plan, deadline_seconds=0.3)
    with line_to(endpoint.port) as line:
        line.sendall(whole(json.dumps(WAITING).encode()))
        answer = line.recv(65536)
        assert status(answer) == 504
        assert b"DEADLINE_EXCEEDED" in answer
        line.sendall(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n")
        assert status(line.recv(65536)) == 200


@pytest.mark.parametrize("way", [b"", b"x-way: ordinary\r\nexpect: nothing"], ids=["short way", "ordinary way"])
def test_a_request_whose_client_is_gone_is_not_scored(serve, slow, way):
    """It waited behind another; the model never sees it."""
    endpoint = serve(slow.plan)
    batcher = endpoint.server._desk.batcher
    seen = []
    score = batcher._joiner.score
    batcher._joiner.score = lambda jobs: (seen.extend(jobs), score(jobs))[1]
    with line_to(endpoint.port) as first:
        first.sendall(whole(json.dumps(WAITING).encode()))
        assert slow.entered.wait(10)
        with line_to(endpoint.port) as second:
            second.sendall(whole(json.dumps(FAST).encode(), *([way] if way else [])))
            while not batcher.waiting:
                threading.Event().wait(0.01)
        deadline = time.monotonic() + 10
        while not all(ticket.settled for ticket in batcher._queue):
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        slow.go.set()
        assert status(first.recv(65536)) == 200
    assert len(seen) == 1


def test_too_many_rows_are_413(serve, plans):
    endpoint = serve(plans["payments"], max_rows=3)
    assert endpoint.client.post("/batch_predict", json=[ROW] * 3).status_code == 200
    answer = endpoint.client.post("/batch_predict", json=[ROW] * 4)
    assert (answer.status_code, answer.json()["error_code"]) == (413, "REQUEST_TOO_LARGE")


# --- keys ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def key():
    return keys.generated()


@pytest.fixture
def locked(serve, plans, key):
    return serve(plans["payments"], keys=(keys.hashed(keys.generated()), keys.hashed(key)))


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_a_key_opens(locked, key, header):
    value = f"Bearer {key}" if header == "authorization" else key
    for _ in range(2):
        assert locked.client.post("/predict", json=ROW, headers={header: value}).status_code == 200
        assert locked.client.get("/metrics", headers={header: value}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer wrong"}, {"x-api-key": ""}, {"authorization": "Basic x"}, {"authorization": "Bearer"}],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/predict"), ("POST", "/invocations"), ("GET", "/metrics"), ("GET", "/%70ing")]
)
def test_without_a_key_nothing_is_answered(locked, method, path, headers):
    answer = locked.client.request(method, path, headers=headers, content=BODY if method == "POST" else None)
    assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_key_that_has_opened_opens_nothing_for_others(locked, key):
    """A head that is remembered is one with the key in it."""
    for _ in range(3):
        assert locked.client.post("/predict", json=ROW, headers={"x-api-key": key}).status_code == 200
        assert locked.client.post("/predict", json=ROW, headers={"x-api-key": key[:-1] + "!"}).status_code == 401
        assert locked.client.post("/predict", json=ROW).status_code == 401


def test_probes_need_no_key(locked):
    assert locked.client.get("/ping").status_code == 200
    assert locked.client.get("/health").status_code == 200


def test_exempt_is_what_the_configuration_says(serve, plans, key):
    client = serve(plans["payments"], keys=(keys.hashed(key),), exempt=("/metrics",)).client
    assert client.get("/metrics").status_code == 200
    assert client.get("/ping").status_code == 401


def test_hashes_tell_nothing(key):
    """Two hashes of one key differ, and hold no part of it."""
    one, other = keys.hashed(key), keys.hashed(key)
    assert one != other
    assert key not in one
    assert keys.Keys([one]).admits("/", {b"x-api-key": key.encode()})


@pytest.mark.parametrize("short", ["", "password", "a" * 31, "ключ" * 20, "a b" * 20])
def test_a_key_that_a_person_could_have_chosen_is_refused(short):
    with pytest.raises(UsageError):
        keys.hashed(short)


@pytest.mark.parametrize("text", ["", "plain", "sha256$00$00", "md5$" + "00" * 16 + "$" + "00" * 32, "sha256$zz$zz"])
def test_a_hash_that_is_none_is_refused(text):
    with pytest.raises(UsageError):
        keys.Keys([text])


@pytest.mark.parametrize("options", [{}, {"open_to_all": True}, {"keys": "some"}])
def test_beyond_this_machine_keys_are_demanded(plans, options, key):
    """Without keys an endpoint serves the loopback address only, unless a person opens it."""
    import asyncio

    if options.get("keys"):
        options = {"keys": (keys.hashed(key),)}
    server = EndpointServer(plans["payments"], EndpointConfig("m", "a", **options))
    server.load()
    server.drain()
    listener = socket.create_server(("0.0.0.0", 0))
    serving = asyncio.wait_for(server.serve(listener, on_accepting=lambda: None), 5)
    if options:
        asyncio.run(serving)
    else:
        with listener, pytest.raises(UsageError, match="no API keys"):
            asyncio.run(serving)


def test_httpx_streams_into_a_refusal(serve, plans):
    """A stock client that writes before it reads sees the answer, not a broken pipe."""
    endpoint = serve(plans["payments"], body_limit=1000)
    with httpx.Client(base_url=f"http://127.0.0.1:{endpoint.port}", timeout=20, trust_env=False) as client:
        for _ in range(3):
            answer = client.post("/predict", content=b"x" * 5_000_000, headers={"content-type": "application/json"})
            assert answer.status_code == 413


def test_many_large_requests_are_not_all_held_at_once(serve, plans):
    """What one client may not fill alone, many may not fill together; and room that was taken is given back."""
    endpoint = serve(plans["payments"], bodies_limit=150_000)
    beginning = HEAD + b"content-length: 100000\r\n\r\n"
    for _ in range(3):
        with line_to(endpoint.port) as first, line_to(endpoint.port) as second:
            first.sendall(beginning + BODY.ljust(99_000))
            while endpoint.server._front.bodies < 99_000:
                threading.Event().wait(0.01)
            second.sendall(beginning + BODY.ljust(99_000))
            answer = second.recv(65536)
            assert status(answer) == 503
            assert b"retry-after: 1" in answer
            first.sendall(b" " * 1000)
            assert status(first.recv(65536)) == 200
    assert endpoint.server._front.bodies == 0


def test_a_refusal_carries_the_request_id(serve, plans):
    endpoint = serve(plans["payments"], body_limit=10)
    answer = endpoint.client.post("/predict", json=ROW, headers={"x-request-id": "mine"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (413, "mine")


def test_good_requests_do_not_fail_for_a_poisoned_one(serve, plans):
    """One client in sixteen sends what the model itself cannot bear; joined with it, fifteen are answered."""
    endpoint = serve(plans["failing"])
    statuses = {number: set() for number in range(16)}

    def ask(number):
        body = json.dumps(FAST | ({"hour": 13} if number == 0 else {})).encode()
        with line_to(endpoint.port) as line:
            for _ in range(25):
                line.sendall(whole(body))
                statuses[number].add(status(line.recv(65536)))

    threads = [threading.Thread(target=ask, args=(number,)) for number in statuses]
    with capture_logs():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert statuses == {0: {500}, **{number: {200} for number in range(1, 16)}}
