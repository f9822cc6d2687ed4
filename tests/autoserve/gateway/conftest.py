"""A real gateway, and upstreams that tell what reached them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import uvicorn

from samovar.autoserve.api import make_app
from samovar.autoserve.controller import Round
from samovar.autoserve.gateway import program
from samovar.autoserve.gateway.writer import RoutesWriter
from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.status import EndpointStatus


def _port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _until(probe, seconds=15.0, what="it"):
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.01)
    return answer


def status(model, alias, address):
    """What the controller says of an endpoint."""
    return EndpointStatus(endpoint_name(model, alias), model, alias, 1, 1, "v1", address, "Ready", "")


class Gateway:
    """Traefik as the stack runs it; it can be stopped and started again."""

    def __init__(self, folder, controller="http://127.0.0.1:9"):
        self.folder = folder
        self.port, self.metrics = _port(), _port()
        self.log = folder / "gateway.log"
        self.writer = RoutesWriter(folder / program.ROUTES, controller)
        self.process = None
        self.generation = 0

    def start(self):
        command = [sys.executable, "-m", "samovar.autoserve.gateway", f"--program={program.find('auto')}"]
        command += [f"--folder={self.folder}", f"--listen=127.0.0.1:{self.port}", f"--metrics=127.0.0.1:{self.metrics}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=os.environ | {"TRAEFIK_API_INSECURE": "true"}, stdout=log, stderr=log)
        _until(self._well, 20, "the gateway is well")
        return self

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def route(self, endpoints):
        """Write routes to ``{(model, alias): port}``, and wait until they hold: one that is new each time says so."""
        self.generation += 1
        marker = ("generation", f"g{self.generation}")
        known = endpoints | {marker: next(iter(endpoints.values()), 9)}
        self.writer(Round(tuple(status(*key, f"http://127.0.0.1:{port}") for key, port in known.items()), 0.0, whole=True))
        path = f"/models/generation/g{self.generation}/"
        _until(lambda: self.ask(path)[0] not in (404, 429), 10, f"the routes hold: {self.log.read_text()}")

    def ask(self, path, method="GET", body=None, headers=None):
        """Ask for a path exactly as it is written; returns status and decoded body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection._validate_path = lambda _: None
        connection._encode_request = lambda request: request.encode()
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        with contextlib.suppress(ValueError):
            return answer.status, json.loads(text)
        return answer.status, text

    def _well(self):
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/ping", timeout=2) as answer:
            return answer.status == 200
        return False


class Upstream:
    """Tells what reached it."""

    def __init__(self, name):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                body = json.dumps({"name": name, "path": self.path, "headers": dict(self.headers)}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the base class's name

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def upstream():
    """Makes upstreams by name."""
    made = []

    def make(name):
        made.append(Upstream(name))
        return made[-1].port

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


@pytest.fixture
def controller():
    """Base URL of a controller's API; it has no endpoint."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(None, lambda: True), log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(5)


@pytest.fixture
def gateway(tmp_path, controller):
    """A running gateway."""
    folder = tmp_path / "gateway"
    folder.mkdir()
    made = Gateway(folder, controller)
    yield made.start()
    made.stop()
