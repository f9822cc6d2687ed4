"""The Docker runtime under the contract suite: a real engine behind a proxy that forbids all but the documented calls.

It runs where an engine answers at DOCKER_HOST (else at its usual socket) that has the image SAMOVAR_TEST_IMAGE
(`make image IMAGE=samovar-endpoint:test`).
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import re
import select
import socket
import socketserver
import threading
import uuid
from urllib.parse import urlsplit

import httpx
import pytest
from samovar_harness import Harness

from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.runtimes.docker.engine import Engine
from samovar.autoserve.runtimes.docker.proving import Prover
from samovar.autoserve.runtimes.docker.recipe import Placement
from samovar.autoserve.runtimes.docker.runtime import DockerRuntime
from samovar.registry.client import Registry

ADDRESS = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
IMAGE = os.environ.get("SAMOVAR_TEST_IMAGE", "samovar-endpoint:test")
PERMITTED = re.compile(
    r"GET /containers/(json|[^/]+/(json|logs))|POST /containers/(create|[^/]+/(start|rename|update|kill))"
    r"|PUT /containers/[^/]+/archive|DELETE /containers/[^/]+|GET /networks/[^/]+|POST /networks/create"
)
"""What docs/RUNTIMES.md tells the operator of a socket proxy, in the proxy's own words."""


def raw():
    """Return a client that may do everything, for the test's own needs; skips where there is no engine."""
    path = urlsplit(ADDRESS).path
    client = httpx.Client(transport=httpx.HTTPTransport(uds=path), base_url="http://docker", timeout=30)
    try:
        client.get("/_ping").raise_for_status()
    except httpx.HTTPError:
        pytest.skip(f"no Docker Engine answers at {ADDRESS}: start one, or set DOCKER_HOST")
    if client.get(f"/images/{IMAGE}/json").status_code == 404:
        pytest.skip(f"the engine has no image {IMAGE}: run `make image IMAGE={IMAGE}`, or set SAMOVAR_TEST_IMAGE")
    return client


class Relay(socketserver.ThreadingTCPServer):
    """Lets containers reach a server that listens on this host's loopback only."""

    daemon_threads = allow_reuse_address = True

    def __init__(self, address, port):
        self.port = port
        super().__init__((address, 0), _Relayed)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Relayed(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.create_connection(("127.0.0.1", self.server.port)) as other:
            pair = {self.request: other, other: self.request}
            while True:
                for ready in select.select(list(pair), [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    pair[ready].sendall(data)


class Gate(socketserver.ThreadingUnixStreamServer):
    """A restricted socket proxy."""

    daemon_threads = True

    def __init__(self, path):
        self.seen = set()
        super().__init__(str(path), _Gated)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Gated(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = f"{self.command} {self.path.partition('?')[0]}"
        self.server.seen.add(re.sub(r"[0-9a-f]{64}", "ID", asked))
        if not PERMITTED.fullmatch(asked):
            return self.reply(403, b'{"message": "forbidden"}')
        line = http.client.HTTPConnection("docker")
        line.sock = socket.socket(socket.AF_UNIX)
        line.sock.connect(urlsplit(ADDRESS).path)
        line.request(self.command, self.path, body, {"Content-Type": self.headers.get("Content-Type", "application/json")})
        answer = line.getresponse()
        content = answer.read()
        line.close()
        return self.reply(answer.status, content)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815

    def reply(self, status, content):
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if status != 204 else b"")

    def address_string(self):
        return "local"

    def log_message(self, *_):
        pass


class DockerHarness(Harness):
    def __init__(self, model, tracking_uri, folder):
        super().__init__()
        self.raw = raw()
        self.name = f"samovar-test-{uuid.uuid4().hex[:8]}"
        self.raw.post("/networks/create", json={"Name": self.name}).raise_for_status()
        gateway = self.raw.get(f"/networks/{self.name}").json()["IPAM"]["Config"][0]["Gateway"]
        self.relay = Relay(gateway, urlsplit(tracking_uri).port)
        self.gate = Gate(folder / "gate.sock")
        self.folder = folder
        self.registry = Registry(tracking_uri)
        self.strangers = []
        self.placement = Placement(
            instance=self.name,
            network=self.name,
            image=IMAGE,
            tracking_uri=f"http://{gateway}:{self.relay.server_address[1]}",
            environment={"SAMOVAR_AUTH": "off", "SAMOVAR_DRAIN_SECONDS": "5"},
            secrets={"MLFLOW_TRACKING_USERNAME": "someone", "MLFLOW_TRACKING_PASSWORD": "a-password-of-mlflow"},
            drain_seconds=5.0,
            linger_seconds=1.0,
        )

    def made(self, epoch):
        engine = Engine(f"unix://{self.folder / 'gate.sock'}")
        runtime = DockerRuntime(
            engine, lambda: self.placement, self.registry.version, lambda _model, _version: True, Prover(lambda *_: b"")
        )
        runtime.epoch = epoch
        return runtime

    def containers(self, **labels):
        filters = {"label": [f"samovar.instance={self.name}", *(f"{name}={value}" for name, value in labels.items())]}
        return self.raw.get("/containers/json", params={"all": 1, "filters": json.dumps(filters)}).json()

    def workers(self, state):
        found = self.raw.get(f"/containers/{endpoint_name(state.model, state.alias)}/top").json()
        return sum("standalone.worker" in " ".join(process) for process in found["Processes"])

    def stranger(self, key):
        body = {"Image": IMAGE, "Labels": {"project": "another"}}
        made = self.raw.post("/containers/create", params={"name": endpoint_name(*key)}, json=body)
        made.raise_for_status()
        self.strangers.append(made.json()["Id"])
        return lambda: self.raw.get(f"/containers/{self.strangers[-1]}/json").status_code == 200

    def close(self):
        for box in [*self.strangers, *(found["Id"] for found in self.containers())]:
            self.raw.delete(f"/containers/{box}", params={"force": 1, "v": 1})
        self.raw.delete(f"/networks/{self.name}")
        self.relay.shutdown()
        self.gate.shutdown()
        self.registry.close()


make = DockerHarness
