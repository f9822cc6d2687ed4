"""Leaving without losing a request."""

import contextlib
import http.client
import json
import socket
import threading
import time

import httpx
import pytest

from samovar.errors import ModelError
from samovar.serving.server import EndpointConfig, EndpointServer

ROW = {"transaction_id": "t-1", "amount": 120.0, "hour": 3, "channel": "web"}
SLOW = {"amount": 10.0, "hour": 13, "channel": "web"}


def wait_until(true, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.01)


class Asker(threading.Thread):
    """Asks over one kept connection until told to stop; remembers every answer."""

    def __init__(self, port, pause):
        super().__init__(daemon=True)
        self.port, self.pause = port, pause
        self.done = threading.Event()
        self.statuses, self.failures = [], []

    def run(self):
        limits = httpx.Limits(max_connections=1)
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20, limits=limits, trust_env=False) as client:
            while not self.done.is_set():
                try:
                    self.statuses.append(client.post("/predict", json=ROW).status_code)
                except httpx.HTTPError as error:
                    self.failures.append(error)
                self.done.wait(self.pause)


@pytest.mark.parametrize("pause", [0.0, 0.02], ids=["back to back", "with pauses"])
def test_no_request_is_lost_across_swaps(serve, plans, pause):
    """Workers replace each other on one socket while clients keep asking: every request gets its 200."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        current = serve(plans["payments"], listener=listener.dup(), drain_seconds=10)
        askers = [Asker(current.port, pause) for _ in range(8)]
        for asker in askers:
            asker.start()
        for _ in range(6):
            asked = sum(len(asker.statuses) for asker in askers)
            wait_until(lambda before=asked: sum(len(asker.statuses) for asker in askers) > before + 40)
            successor = serve(plans["payments"], listener=listener.dup(), drain_seconds=10)
            started = time.monotonic()
            current.leave()
            assert time.monotonic() - started < 8, "clients that ask keep nobody from leaving"
            current = successor
        for asker in askers:
            asker.done.set()
        for asker in askers:
            asker.join(20)
    assert [failure for asker in askers for failure in asker.failures] == []
    assert {status for asker in askers for status in asker.statuses} == {200}


def test_an_idle_connection_is_answered_once_more_and_told_to_close(serve, plans):
    """A request that was on its way when the worker began to leave is answered, with ``Connection: close``."""
    endpoint = serve(plans["payments"], drain_seconds=10)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=10)) as line:
        line.request("GET", "/ping")
        line.getresponse().read()
        endpoint.server.drain()
        wait_until(lambda: refused(endpoint.port))
        assert endpoint.thread.is_alive()
        line.request("GET", "/health")
        answer = line.getresponse()
        assert (answer.status, answer.getheader("connection")) == (200, "close")
        answer.read()
    endpoint.thread.join(5)
    assert not endpoint.thread.is_alive()


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_a_request_under_way_is_finished(serve, slow):
    """The answer that the model is thinking about is given before the worker leaves."""
    endpoint = serve(slow.plan, drain_seconds=10)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(endpoint.client.post("/predict", json=SLOW)))
    asking.start()
    assert slow.entered.wait(10)
    endpoint.server.drain()
    wait_until(lambda: refused(endpoint.port))
    slow.go.set()
    asking.join(10)
    endpoint.thread.join(10)
    assert answers[0].status_code == 200
    assert answers[0].headers["connection"] == "close"
    assert not endpoint.thread.is_alive()


def test_all_requests_of_one_piece_are_answered_by_a_worker_that_leaves(serve, plans):
    """Pipelined requests that were read together: all get their answer, and only the last says ``Connection: close``."""
    endpoint = serve(plans["payments"], drain_seconds=10)
    body = json.dumps(ROW).encode()
    post = b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    get = b"GET /ping HTTP/1.1\r\nHost: h\r\n\r\n"
    for piece in (post * 4, get * 4, post + get + post + get):
        with socket.create_connection(("127.0.0.1", endpoint.port), timeout=10) as line:
            line.sendall(get)
            assert line.recv(65_536).startswith(b"HTTP/1.1 200")
            endpoint.server.drain()
            wait_until(lambda desk=endpoint.server._desk: desk.draining)
            line.sendall(piece)
            came = b"".join(iter(lambda line=line: line.recv(65_536), b"")).lower()
        endpoint.thread.join(5)
        assert came.count(b"http/1.1 200") == 4
        assert came.count(b"connection: close") == 1
        assert b"connection: close" in came.rpartition(b"http/1.1 200")[2]
        endpoint = serve(plans["payments"], drain_seconds=10)


def test_an_idle_client_does_not_keep_a_worker_for_ever(serve, plans):
    """After ``drain_seconds`` the worker leaves although a connection is still open."""
    endpoint = serve(plans["payments"], drain_seconds=0.3)
    endpoint.client.get("/ping")
    started = time.monotonic()
    endpoint.leave()
    assert 0.3 <= time.monotonic() - started < 5


def test_the_callers_socket_stays_open_for_the_next_worker(serve, plans):
    """A worker closes its own copy only: the address lives on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serve(plans["payments"], listener=listener.dup(), drain_seconds=1).leave()
        second = serve(plans["payments"], listener=listener.dup(), drain_seconds=1)
        assert second.client.get("/ping").status_code == 200


def test_draining_before_serving_leaves_at_once(plans):
    """An order that comes early is not forgotten."""
    import asyncio

    server = EndpointServer(plans["payments"], EndpointConfig(model="m", alias="a"))
    server.load()
    server.drain()
    listener = socket.create_server(("127.0.0.1", 0))
    asyncio.run(asyncio.wait_for(server.serve(listener, on_accepting=lambda: None), 5))
    server.drain()


def test_serving_without_a_model_is_an_error(plans):
    import asyncio

    server = EndpointServer(plans["payments"], EndpointConfig(model="m", alias="a"))
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(ModelError, match="load"):
        asyncio.run(server.serve(listener, on_accepting=lambda: None))
