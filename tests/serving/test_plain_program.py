"""One endpoint as a plain program: ``python -m samovar.serving PLAN``."""

import contextlib
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from samovar.scoring.plan import encode

ROW = {"transaction_id": "t-1", "amount": 120.0, "hour": 3, "channel": "web"}


@contextlib.contextmanager
def program(plan, port):
    argv = [sys.executable, "-m", "samovar.serving", str(plan), "--port", str(port)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def answered(process, url):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        with contextlib.suppress(httpx.TransportError):
            return httpx.post(url, json=ROW, trust_env=False)
        time.sleep(0.02)
    raise AssertionError("no answer")


def test_a_plan_file_is_served_until_it_is_told_to_leave(plans, tmp_path, port):
    """Nothing else runs: no agent, no registry."""
    path = tmp_path / "fraud.plan"
    path.write_bytes(encode(plans["payments"]))
    with program(path, port) as process:
        answer = answered(process, f"http://127.0.0.1:{port}/predict")
        assert answer.status_code == 200
        assert answer.json()["transaction_id"] == "t-1"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_file_that_is_no_plan_ends_with_one_sentence(tmp_path, port):
    path = tmp_path / "none.plan"
    path.write_bytes(b"no plan")
    with program(path, port) as process:
        assert process.wait(60) == 2
        lines = process.stderr.read().strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
