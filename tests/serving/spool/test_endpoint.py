"""A real endpoint: whatever it answered is in its log, also when it is killed; what it could not log is counted or refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from samovar.scoring.plan import encode
from samovar.serving.spool import reader
from samovar.serving.spool.reader import Reading

ROW = {"transaction_id": "t-1", "amount": 120.0, "hour": 3, "channel": "web"}


def logged(folder):
    return [found for path in reader.complete(folder) for found in Reading(path)]


# --- in this process -------------------------------------------------------------------------------------------------------


def test_every_way_to_ask_is_logged_under_its_request_id(serve, plans, tmp_path):
    folder = tmp_path / "spool" / "payments"
    endpoint = serve(plans["payments"], spool_dir=str(folder))
    columns = {"columns": ["amount", "hour", "channel"], "data": [[20.0, 1, "web"], [300.0, 23, "shop"]]}
    asked = [
        ("/predict", ROW),
        ("/batch_predict", [ROW, ROW | {"transaction_id": "t-2"}]),
        ("/invocations", {"dataframe_split": columns}),
    ]
    for number, (path, body) in enumerate(asked):
        response = endpoint.client.post(path, json=body, headers={"X-Request-ID": f"id-{number}"})
        assert response.status_code == 200, response.text
        assert response.headers["x-request-id"] == f"id-{number}"
    endpoint.client.post("/predict", json={"amount": -1}, headers={"X-Request-ID": "bad"})
    endpoint.client.close()
    endpoint.leave()
    found = logged(folder)
    assert sorted((row.request_id, row.route, row.index) for row in found) == [
        ("id-0", "/predict", 0),
        ("id-1", "/batch_predict", 0),
        ("id-1", "/batch_predict", 1),
        ("id-2", "/invocations", 0),
        ("id-2", "/invocations", 1),
    ]
    by_place = {(row.request_id, row.index): row for row in found}
    assert by_place["id-0", 0].values == {"amount": 120.0, "hour": 3, "channel": "web"}
    assert [by_place["id-1", index].key for index in (0, 1)] == ["t-1", "t-2"]
    assert len(by_place["id-0", 0].probabilities) == 2
    assert by_place["id-2", 1].values == {"amount": 300.0, "hour": 23, "channel": "shop"}


def test_an_answer_without_a_sent_id_is_logged_under_the_one_it_carries(serve, plans, tmp_path):
    folder = tmp_path / "spool" / "payments"
    endpoint = serve(plans["payments"], spool_dir=str(folder))
    response = endpoint.client.post("/predict", json=ROW)
    endpoint.client.close()
    endpoint.leave()
    assert [row.request_id for row in logged(folder)] == [response.headers["x-request-id"]]


@pytest.mark.parametrize(("on_full", "status"), [("answer", 200), ("refuse", 503)])
def test_a_full_log_answers_and_counts_or_refuses(serve, plans, tmp_path, on_full, status):
    folder = tmp_path / "spool" / "payments"
    endpoint = serve(plans["payments"], spool_dir=str(folder), spool_limit_bytes=1, spool_on_full=on_full)
    statuses = [endpoint.client.post("/predict", json=ROW).status_code for _ in range(3)]
    assert statuses == [200, status, status]
    assert endpoint.client.get("/ping").status_code == 200
    text = endpoint.client.get("/metrics").text
    (line,) = [line for line in text.splitlines() if line.startswith("samovar_spool_dropped_total") and 'reason="full"' in line]
    assert (float(line.split()[-1]) > 0) == (on_full == "answer")
    (line,) = [line for line in text.splitlines() if line.startswith("api_errors_total") and '"/predict"' in line]
    assert float(line.split()[-1]) == (2 if on_full == "refuse" else 0)
    endpoint.client.close()
    endpoint.leave()
    assert len(logged(folder)) == 1, "what there was room for"


def test_a_log_that_cannot_be_made_stops_the_version_before_it_serves(serve, plans, tmp_path):
    """The endpoint then goes on with the version it has."""
    (tmp_path / "spool").write_text("a file where the folder should be")
    with pytest.raises(Exception, match="prediction log"):
        serve(plans["payments"], spool_dir=str(tmp_path / "spool" / "payments"))


# --- in a process that is killed -------------------------------------------------------------------------------------------


class Worker:
    """An endpoint in a process of its own."""

    def __init__(self, plan, folder):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        command = [sys.executable, "-m", "samovar.serving", str(plan), "--port", str(self.port), "--spool", str(folder)]
        self.process = subprocess.Popen(command)
        deadline = time.monotonic() + 30
        while not self.is_up():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def is_up(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=5).status == 200
        except OSError:
            return False

    def ask(self, request_id):
        headers = {"X-Request-ID": request_id, "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.port}/predict"
        return urllib.request.urlopen(urllib.request.Request(url, json.dumps(ROW).encode(), headers), timeout=5).status


def test_no_answer_is_missing_in_the_log_of_an_endpoint_that_is_killed(plans, tmp_path):
    """Clients ask, the process is killed with SIGKILL: every answer that a client got is in the log, once."""
    path, folder = tmp_path / "plan", tmp_path / "spool" / "payments"
    path.write_bytes(encode(plans["payments"]))
    worker = Worker(path, folder)
    answered, stop = [], threading.Event()

    def client(name):
        for number in range(100_000):
            if stop.is_set():
                return
            try:
                worker.ask(f"{name}-{number}")
            except (OSError, urllib.error.URLError):
                return
            answered.append(f"{name}-{number}")
            if len(answered) >= 150:
                stop.set()
                os.kill(worker.process.pid, signal.SIGKILL)

    clients = [threading.Thread(target=client, args=(name,)) for name in "abcd"]
    for one in clients:
        one.start()
    for one in clients:
        one.join(60)
    worker.process.wait(10)
    ids = [row.request_id for row in logged(folder)]
    assert len(answered) >= 150
    assert set(answered) <= set(ids)
    assert len(ids) == len(set(ids))
    assert len(ids) <= len(answered) + 4
