"""Routes, content types, limits and identifiers."""

import http.client
import json
import socket
import threading
import time

import pytest

ROW = {"transaction_id": "t-1", "amount": 120.0, "hour": 3, "channel": "web"}
FRAME = {"dataframe_records": [{"amount": 120.0, "hour": 3, "channel": "web"}]}


def test_probes_answer(payments_endpoint):
    client = payments_endpoint.client
    assert client.get("/ping").status_code == 200
    assert client.head("/ping").status_code == 200
    health = client.get("/health").json()
    assert health == {"status": "ok", "model": "payments", "alias": "Production", "version": 3, "label": "1.4.0"}
    version = client.get("/version").json()
    assert (version["version"], version["run_id"], version["engine"]) == (3, "run", "compiled")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (json.dumps(FRAME), "application/json"),
        (json.dumps(FRAME), "application/json; charset=UTF-8"),
        ("amount,hour,channel\n120,3,web\n", "text/csv"),
        ('{"dataframe_records": [{"amount": 120, "hour": 3, "channel": "web", "more": NaN}]}', "application/json"),
    ],
)
def test_invocations_read_mlflows_content_types(payments_endpoint, content, kind):
    """JSON (with the NaN that Python clients write) and CSV."""
    answer = payments_endpoint.client.post("/invocations", content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.json()) == (200, {"predictions": [0]})


@pytest.mark.parametrize("route", ["/predict", "/batch_predict", "/invocations"])
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": ""},
    ],
)
def test_another_content_type_is_415(payments_endpoint, route, headers):
    answer = payments_endpoint.client.post(route, content=b"{}", headers=headers)
    assert answer.status_code == 415
    assert "application/json" in answer.json()["message"]


@pytest.mark.parametrize("route", ["/predict", "/batch_predict", "/invocations"])
@pytest.mark.parametrize("body", [b"", b"{", b"SECRET", b"[" * 100_000, b'"\xff"', b"null", b"[]", b"5", b'{"SECRET": 1}'])
def test_malformed_bodies_are_400_without_an_echo(payments_endpoint, route, body):
    answer = payments_endpoint.client.post(route, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "BAD_REQUEST"
    assert "SECRET" not in answer.text


def test_two_forms_at_once_are_refused(payments_endpoint):
    answer = payments_endpoint.client.post("/invocations", json=FRAME | {"inputs": [1]})
    assert answer.status_code == 400


def test_unknown_routes_and_methods(payments_endpoint):
    client = payments_endpoint.client
    assert client.get("/SECRET").status_code == 404
    assert "SECRET" not in client.get("/SECRET").text
    wrong = client.get("/predict")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert client.post("/ping").status_code == 405


def test_request_ids_go_in_and_out(payments_endpoint):
    """A sane identifier comes back; a hostile or missing one is replaced."""
    client = payments_endpoint.client
    assert client.post("/predict", json=ROW, headers={"x-request-id": "abc-1.2:3"}).headers["x-request-id"] == "abc-1.2:3"
    assert client.post("/predict", json={}, headers={"x-request-id": "abc"}).headers["x-request-id"] == "abc"
    made = client.get("/ping", headers={"x-request-id": "<script>"}).headers["x-request-id"]
    assert len(made) == 32
    assert made != client.get("/ping").headers["x-request-id"]


def test_a_declared_body_over_the_limit_is_413(payments_endpoint):
    """The answer arrives even though the client sends everything first."""
    answer = payments_endpoint.client.post("/predict", content=b"x" * 300_000, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert payments_endpoint.client.post("/predict", json=ROW).status_code == 200


def test_a_streamed_body_is_cut_at_the_limit(payments_endpoint):
    """Without a Content-Length the limit is kept while reading."""

    def chunks():
        for _ in range(100):
            yield b"x" * 10_000

    answer = payments_endpoint.client.post("/predict", content=chunks(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_a_huge_declared_body_is_refused_before_it_is_sent(payments_endpoint):
    """A client that asks first (100-continue) never sends it."""
    with socket.create_connection(("127.0.0.1", payments_endpoint.port), timeout=10) as line:
        head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        line.sendall(f"{head}content-length: 99999999999\r\nexpect: 100-continue\r\n\r\n".encode())
        answer = http.client.HTTPResponse(line)
        answer.begin()
        assert answer.status == 413
        assert answer.getheader("connection") == "close"


def test_a_client_that_leaves_midway_harms_nobody(payments_endpoint):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", payments_endpoint.port), timeout=10) as line:
            line.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{")
    assert payments_endpoint.client.post("/predict", json=ROW).status_code == 200


def test_a_failing_model_is_500_and_says_nothing(serve, plans):
    """The model's own words stay in the log; the next request is served."""
    client = serve(plans["failing"]).client
    row = {"amount": 10.0, "hour": 13, "channel": "web"}
    for route, body in (("/predict", row), ("/batch_predict", [row]), ("/invocations", {"dataframe_records": [row]})):
        answer = client.post(route, json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (500, "MODEL_ERROR")
        assert "SECRET" not in answer.text
        assert client.post(route, json=json.loads(json.dumps(body).replace("13", "1"))).status_code == 200


def test_probes_are_answered_while_the_model_thinks(serve, slow):
    """The model has its own thread."""
    endpoint = serve(slow.plan)
    row = {"amount": 10.0, "hour": 13, "channel": "web"}
    answers = []
    asking = threading.Thread(target=lambda: answers.append(endpoint.client.post("/predict", json=row).status_code))
    asking.start()
    assert slow.entered.wait(10)
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=5) as line:
        line.sendall(b"GET /ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 200")
    assert not answers
    slow.go.set()
    asking.join(10)
    assert answers == [200]


def test_a_model_that_does_not_come_back_makes_the_endpoint_say_so(serve, slow):
    """After its time, and no longer than it takes: whoever watches can send requests elsewhere, and replace it."""
    endpoint = serve(slow.plan, stuck_seconds=0.3)
    waiting = threading.Thread(target=lambda: endpoint.client.post("/predict", json={"amount": 10.0, "hour": 13, "channel": "web"}))
    waiting.start()
    assert slow.entered.wait(10)
    assert endpoint.client.get("/health").status_code == 200
    assert not endpoint.server.is_stuck()
    _until(lambda: endpoint.client.get("/health").status_code == 503)
    assert endpoint.client.get("/health").json()["status"] == "stuck"
    assert endpoint.client.get("/v2/health/ready").status_code == 503
    assert endpoint.client.get("/v2/health/live").status_code == 200
    assert endpoint.server.is_stuck()
    slow.go.set()
    waiting.join(10)
    _until(lambda: endpoint.client.get("/health").status_code == 200)
    assert endpoint.client.get("/v2/health/ready").status_code == 200


def _until(true, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.01)
