"""Versions of one model at endpoints that know each other, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
import uvloop

from samovar.serving.server import EndpointConfig, EndpointServer
from samovar.serving.spool import reader
from samovar.serving.traffic import frames
from samovar.serving.traffic.policy import NOTHING, Policy, Target

sys.path.insert(0, str(Path(__file__).parent))

from traffic_models import FRAME, Moody, version


@pytest.fixture(scope="session")
def versions():
    """Plans by name: 1 to 3 are compiled, ``failing`` and ``waiting`` are not and have their moods at hour 13."""
    return {
        1: version(1),
        2: version(2),
        3: version(3, threshold=0.9),
        "by request": version(1, entity=False),
        "failing": version(4, Moody("fail").fit(FRAME, [0, 1] * 30)),
        "waiting": version(5, Moody("wait").fit(FRAME, [0, 1] * 30)),
    }


class Endpoint:
    """One endpoint: its socket for peers, and whichever worker serves it."""

    def __init__(self, folder, alias, **options):
        self.alias = alias
        self.path = folder / f"{alias}.sock"
        self.spool = folder / "spool" / alias
        self.metrics = folder / "metrics" / alias
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.peers = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.peers.bind(str(self.path))
        self.peers.listen(16)
        self.options = {"share_seconds": 5.0} | options
        self.policy = NOTHING
        self.workers = []
        port = self.listener.getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)

    def serve(self, plan):
        """Serve a version; the worker before it leaves when it does."""
        config = EndpointConfig("m", self.alias, spool_dir=str(self.spool), metrics_dir=str(self.metrics), **self.options)
        server = EndpointServer(plan, config)
        server.load()
        server.meet(self.peers.dup())
        server.follow(self.policy)
        accepting = threading.Event()

        def run():
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(server.serve(self.listener.dup(), on_accepting=accepting.set))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert accepting.wait(20)
        old = self.workers
        self.workers = [(server, thread)]
        for worker, left in old:
            worker.drain()
            left.join(15)
            assert not left.is_alive(), "a worker does not leave"
        return self

    def leave(self):
        for worker, thread in self.workers:
            worker.drain()
            thread.join(15)
        self.workers = []

    def follow(self, *, split=(), shadow=()):
        """Share traffic with other endpoints: (endpoint, percent), endpoint."""
        self.policy = Policy(
            tuple(Target(other.alias, str(other.path), percent) for other, percent in split),
            tuple(Target(other.alias, str(other.path)) for other in shadow),
        )
        for worker, _ in self.workers:
            worker.follow(self.policy)

    def predict(self, customer="c-1", amount=300.0, hour=3, **headers):
        body = {"customer_id": customer, "amount": amount, "hour": hour}
        return self.client.post("/predict", json=body, headers=headers)

    def counted(self, family, **labels):
        """Sum up the series of a family with these labels."""
        total = 0.0
        for line in self.client.get("/metrics").text.splitlines():
            name, _, rest = line.partition("{")
            if name == family and all(f'{label}="{value}"' in rest for label, value in labels.items()):
                total += float(rest.rsplit(" ", 1)[1])
        return total

    def logged(self):
        """Return (role, version, row) of what is in its prediction log so far; complete when its workers left."""
        found = []
        for path in reader.complete(self.spool):
            reading = reader.Reading(path)
            found += [(reading.header.role, reading.header.version, row) for row in reading]
        return found


@pytest.fixture
def endpoints(tmp_path):
    """Make endpoints that leave nothing behind."""
    with contextlib.ExitStack() as stack:

        def make(alias, plan, **options):
            endpoint = Endpoint(tmp_path, alias, **options)
            stack.callback(endpoint.client.close)
            stack.callback(endpoint.leave)
            stack.callback(endpoint.client.close)
            return endpoint.serve(plan)

        yield make


@pytest.fixture
def pair(endpoints, versions):
    """Return the champion and the challenger, who know nothing of each other yet."""
    return endpoints("Production", versions[1]), endpoints("Challenger", versions[2])


def _eventually(probe, seconds=10.0, what="it"):
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.01)
    return answer


@pytest.fixture
def eventually():
    return _eventually


@pytest.fixture
def reached():
    """Wait until somebody else answers a share: of a hundred customers, say."""

    def wait(champion, percent):
        def probe():
            return {champion.predict(f"c-{n}").headers.get("x-model-version") for n in range(100)} == (
                {"v1"} if not percent else {"v2"} if percent == 100 else {"v1", "v2"}
            )

        _eventually(probe, what=f"a split of {percent} %")

    return wait


@pytest.fixture
def stalled(tmp_path):
    """Return the address of somebody who welcomes whoever comes and then reads nothing."""
    path = tmp_path / "stalled"
    welcome = frames.encode(frames.Welcome("Stalled", 9, "v9", "", (0, 1), 1, None))
    taken = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen(4)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    taken.append(server.accept()[0])
                    taken[-1].send(welcome)

        threading.Thread(target=accept, daemon=True).start()
        yield str(path)
        server.shutdown(socket.SHUT_RDWR)
    for connection in taken:
        connection.close()
