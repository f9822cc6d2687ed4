"""A probe says well only when the service answers well."""

from __future__ import annotations

import http.server
import os
import socket
import threading
import time

import pytest

from samovar.stack import probes
from samovar.stack.state import Probe


@pytest.fixture
def server():
    """Answers 200 at /well and 503 elsewhere."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/well" else 503)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_http_wants_the_status_200(server):
    assert probes.healthy(Probe("http", f"{server}/well"))
    assert not probes.healthy(Probe("http", f"{server}/ill"))


def test_http_ignores_proxy_settings(server, monkeypatch):
    """A laptop behind a proxy must still see its own loopback."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert probes.healthy(Probe("http", f"{server}/well"))


def test_a_server_that_accepts_and_says_nothing_is_not_well():
    """Such as a stopped process, for which the kernel still accepts."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        assert not probes.healthy(Probe("http", f"http://127.0.0.1:{silent.getsockname()[1]}/"), timeout=0.2)
        assert time.monotonic() - began < 2


def test_an_agent_that_accepts_and_says_nothing_is_not_well(tmp_path):
    """Nor is the socket file that a dead one left."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "agent.sock"))
        listener.listen()
        assert not probes.healthy(Probe("agent", str(tmp_path)), timeout=0.2)
    assert not probes.healthy(Probe("agent", str(tmp_path)))


def test_an_old_heartbeat_is_not_well(tmp_path):
    beat = tmp_path / "beat"
    assert not probes.healthy(Probe("beat", str(beat)))
    beat.touch()
    assert probes.healthy(Probe("beat", str(beat)))
    long_ago = time.time() - 2 * probes.BEAT_SECONDS
    os.utime(beat, (long_ago, long_ago))
    assert not probes.healthy(Probe("beat", str(beat)))
