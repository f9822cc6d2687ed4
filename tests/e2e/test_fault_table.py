"""The fault table: each thing that can go wrong around an alias move, under load, on one stack.

Whatever it is, endpoints that are healthy lose no request, and once it is over every alias is served as it stands in the registry.
The state folder is a small file system of its own where the test may mount one, so that it can be full.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from sklearn.datasets import load_iris

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FAULTS = [HERE / "faults", ROOT / "tests/autoserve/faults"]
sys.path[:0] = [str(ROOT), *map(str, FAULTS)]

from benchmarks.autoserve.load import Load  # noqa: E402 - the benchmark's clients, which never retry
from benchmarks.autoserve.stack import Mlflow  # noqa: E402
from proxy import Proxy  # noqa: E402

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

OUTAGE_SECONDS = float(os.environ.get("SAMOVAR_FAULT_SECONDS", "6"))
"""How long MLflow is away; `make accept` takes five minutes."""

MIX = {"light": 3, "visits": 2, "pipelined": 1}
ROWS = load_iris(as_frame=True).data
BODIES = [
    json.dumps({"dataframe_split": ROWS.iloc[[number]].to_dict(orient="split", index=False)}).encode()
    for number in range(0, 150, 5)
]


class Scene:
    """A stack whose MLflow is behind a proxy, two models, and who asks them meanwhile."""

    def __init__(self, home, mlflow, proxy, versions, eventually):
        self.home, self.mlflow, self.proxy, self.versions, self.eventually = home, mlflow, proxy, versions, eventually
        self.known = {}
        import mlflow as library

        self.client = library.MlflowClient(mlflow.address)
        self.fickle, self.plain = self.versions["good 1"], 0

    def move(self, model, version, alias="Production"):
        """Move an alias in the registry itself, whatever Samovar sees of it."""
        self.client.set_registered_model_alias(model, alias, str(version))

    def next_plain(self):
        """Move the healthy model to a version that was not served before; returns it."""
        self.plain += 1
        self.move("plain", self.plain)
        return self.plain

    def endpoints(self):
        """What the controller says; nothing while it is dead or being started."""
        with contextlib.suppress(httpx.HTTPError, OSError):
            return self.home.endpoints()
        return {}

    def row(self, model, alias="Production"):
        return self.endpoints().get((model, alias), {})

    def served(self, model, version, seconds=60):
        """Wait until the controller says that a version is served, and ask the endpoint itself."""

        def ready():
            row = self.row(model)
            return row.get("condition") == "Ready" and row["serving"] == version

        self.eventually(ready, seconds, lambda: f"{model} v{version} served: {self.row(model)}")
        self.eventually(lambda: self.version_at(model) == version, 5, "the version that is served answers")

    def address(self, model):
        if model not in self.known:
            host, _, port = self.eventually(lambda: self.row(model).get("address"), 30, "an address")[7:].partition(":")
            self.known[model] = host, int(port)
        return self.known[model]

    def version_at(self, model):
        """The version that answers at an endpoint, asked over a new connection: an old one leads to the worker that leaves."""
        host, port = self.address(model)
        return int(httpx.get(f"http://{host}:{port}/version", timeout=10, trust_env=False).json()["version"])

    @contextlib.contextmanager
    def asked(self, *models):
        """Ask endpoints all the time; none of their requests may fail."""
        with contextlib.ExitStack() as stack:
            loads = {model: stack.enter_context(Load(self.address(model), BODIES, MIX)) for model in models}
            yield
            time.sleep(0.3)
        for model, load in loads.items():
            assert load.seen.failures == [], f"{model}: {load.seen.failures[:5]}"
            assert load.seen.requests > 20, f"{model}: {load.seen}"


@contextlib.contextmanager
def small_disk(folder, megabytes=400):
    """Mount a file system of its own over a folder, where that is allowed."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder)]
    mounted = os.getuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


@pytest.fixture(scope="module")
def scene(new_home, eventually):
    home = new_home()
    with contextlib.ExitStack() as stack:
        home.disk = stack.enter_context(small_disk(home.state))
        server = Mlflow()
        stack.callback(server.stop)
        proxy = Proxy(server.port)
        stack.callback(proxy.close)
        home.environment |= {
            "MLFLOW_TRACKING_URI": proxy.address,
            "SAMOVAR_BUILD_SECONDS": "15",
            "SAMOVAR_BUILD_MEMORY_MB": "900",
            "SAMOVAR_HANG_SECONDS": "5",
            "SAMOVAR_LEASE_SECONDS": "2",
            "SAMOVAR_DOORBELL_POLL_SECONDS": "1",
            "SAMOVAR_MLFLOW_TIMEOUT": "5",
            "SAMOVAR_KILL_AT": str(home.path / "kill-at"),
            "SAMOVAR_CLOCK": str(home.path / "clock"),
            "PYTHONPATH": os.pathsep.join(map(str, FAULTS)),
        }
        made = home.run(
            sys.executable, str(HERE / "scripts/fickle.py"), env={"MLFLOW_TRACKING_URI": server.address, "FICKLE_IS_LOGGED": "1"}
        )
        assert made.returncode == 0, made.stderr[-2000:]
        home.up()
        stack.callback(home.samovar, "down")
        scene = Scene(home, server, proxy, json.loads(made.stdout.splitlines()[-1]), eventually)
        assert home.samovar("trust", "fickle").returncode == 0
        scene.move("fickle", scene.fickle)
        scene.served("plain", scene.next_plain(), seconds=120)
        scene.served("fickle", scene.fickle, seconds=120)
        yield scene


@pytest.fixture(autouse=True)
def as_before(scene):
    """Each fault begins in a healthy world, and whatever it did is over afterwards."""
    yield
    scene.proxy.mode = "pass"
    (scene.home.path / "clock").unlink(missing_ok=True)
    (scene.home.path / "kill-at").unlink(missing_ok=True)
    scene.move("fickle", scene.fickle)
    scene.served("plain", scene.plain)
    scene.served("fickle", scene.fickle)


def controller(scene):
    """The controller's process."""
    for process in scene.home.processes():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[1:] == ["-m", "samovar.autoserve"]:
                return process
    return None


@pytest.mark.parametrize("moment", ["before", "sent-1", "sent-2", "wished", "sent-3", "after"])
def test_the_controller_is_killed_at_a_step_of_a_swap(scene, eventually, moment):
    """With the real delivery: asked for, ordered to be built, ready, handed over, done. The next controller finishes the swap."""
    killed = eventually(lambda: controller(scene), 20, "a controller runs")
    with scene.asked("plain", "fickle"):
        (scene.home.path / "kill-at").write_text(f"bring:{moment}")
        version = scene.next_plain()
        eventually(lambda: not (scene.home.path / "kill-at").exists(), 30, "the point was reached")
        eventually(lambda: not killed.is_running() or killed.status() == psutil.STATUS_ZOMBIE, 5, "it died there")
        scene.served("plain", version)


def test_a_worker_is_killed(scene, eventually):
    """It comes back; the other endpoint does not notice."""
    with scene.asked("plain"):
        before = scene.row("fickle")["pid"]
        os.kill(before, 9)
        eventually(lambda: scene.row("fickle").get("pid") not in (0, before, None), 20, "another worker")
        eventually(lambda: scene.version_at("fickle") == scene.fickle, 20, "it answers")


def test_mlflow_is_away(scene):
    """Serving goes on, and moves made meanwhile are applied once it can be asked again: the last one of each."""
    scene.proxy.mode = "down"
    with scene.asked("plain", "fickle"):
        before = scene.version_at("plain")
        scene.next_plain()
        version = scene.next_plain()
        time.sleep(OUTAGE_SECONDS)
        assert scene.version_at("plain") == before
        assert all(row["serving"] for row in scene.endpoints().values())
        assert len(scene.endpoints()) == 2
        scene.proxy.mode = "pass"
        scene.served("plain", version)


@pytest.mark.parametrize("mode", ["garbage", "noise", "errors", "slow"])
def test_mlflow_answers_badly(scene, eventually, mode):
    """No endpoint is ended, started or swapped because of an answer that is none; a slow one is waited for."""
    before = scene.version_at("plain")
    with scene.asked("plain", "fickle"):
        scene.proxy.mode = mode
        version, asked = scene.next_plain(), scene.proxy.asked
        eventually(lambda: scene.proxy.asked > asked + 3, 40, "the controller asks")
        assert set(scene.endpoints()) >= {("plain", "Production"), ("fickle", "Production")}
        assert mode == "slow" or scene.version_at("plain") == before
        scene.proxy.mode = mode if mode == "slow" else "pass"
        scene.served("plain", version, seconds=60)


def test_the_artifact_store_is_away_during_a_swap(scene, eventually):
    """The alias is read and the files are not: the endpoint says so and keeps serving; then the version comes."""
    before = scene.version_at("plain")
    with scene.asked("plain", "fickle"):
        scene.proxy.mode = "no-artifacts"
        version = scene.next_plain()
        eventually(lambda: scene.row("plain").get("condition") == "Degraded", 30, lambda: f"Degraded: {scene.row('plain')}")
        assert scene.version_at("plain") == before
        scene.proxy.mode = "pass"
        scene.served("plain", version, seconds=60)


BROKEN = {
    "raises at import": "ModuleNotFoundError",
    "raises at load": "",
    "raises at predict": "",
    "hangs at load": "",
    "hangs at predict": "",
    "segfaults": "",
    "eats": "",
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_version_is_broken(scene, eventually, way):
    """The last good version goes on answering, and status says which version failed and why."""
    with scene.asked("plain", "fickle"):
        scene.move("fickle", scene.versions[way])
        row = eventually(
            lambda: (row := scene.row("fickle")).get("condition") == "Degraded" and row,
            60,
            lambda: f"Degraded: {scene.row('fickle')}",
        )
        assert row["serving"] == scene.fickle == scene.version_at("fickle")
        assert BROKEN[way] in row["reason"], row["reason"]
        assert row["reason"].startswith(f"v{scene.versions[way]}: ")
        assert "Traceback" not in row["reason"]


def test_a_version_that_crashes_after_the_swap_gives_way_to_the_last_good_one(scene, eventually):
    """It answered its example and kills its process on a customer's row: after three times the version before serves again."""
    row = BODIES[0].replace(b"5.1", b"666.0")
    with scene.asked("plain"):
        scene.move("fickle", scene.versions["segfaults later"])
        scene.served("fickle", scene.versions["segfaults later"])
        host, port = scene.address("fickle")

        def given_up():
            with contextlib.suppress(httpx.HTTPError):
                scene.home.http.post(f"http://{host}:{port}/invocations", content=row, headers={"Content-Type": "application/json"})
            found = scene.row("fickle")
            return found.get("condition") == "Degraded" and found["serving"] == scene.fickle

        eventually(given_up, 60, lambda: f"the last good version serves: {scene.row('fickle')}")
        assert scene.version_at("fickle") == scene.fickle


def test_the_disk_is_full(scene, eventually):
    """Nothing can be written: endpoints answer. With room again, the move made meanwhile is served."""
    if not scene.home.disk:
        pytest.skip("mounting a small file system needs root")
    filler = scene.home.state / "filler"
    with scene.asked("plain", "fickle"):
        with filler.open("wb") as file, contextlib.suppress(OSError):
            while file.write(bytes(2**20)):
                file.flush()
        version = scene.next_plain()
        time.sleep(3)
        assert scene.version_at("fickle") == scene.fickle
        filler.unlink()
        scene.served("plain", version, seconds=60)


def test_an_alias_moves_fifty_times_in_five_seconds(scene, eventually):
    """The last one wins, and stays."""
    with scene.asked("plain", "fickle"):
        versions = [1 + number % 12 for number in range(49)] + [scene.plain + 1]
        began = time.monotonic()
        for number, version in enumerate(versions):
            scene.move("plain", version)
            time.sleep(max(0.0, began + (number + 1) * 0.1 - time.monotonic()))
        scene.plain = versions[-1]
        scene.served("plain", scene.plain)
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert scene.version_at("plain") == scene.plain
            time.sleep(0.1)


@pytest.mark.parametrize("jump", [86_400, -86_400, 5 * 365 * 86_400])
def test_the_clock_jumps(scene, jump):
    """A day ahead, a day back, years: nobody is ended, and moves are served."""
    with scene.asked("plain", "fickle"):
        before = {key: row["pid"] for key, row in scene.endpoints().items() if key[0] == "fickle"}
        (scene.home.path / "clock").write_text(str(jump))
        time.sleep(1.5)
        scene.served("plain", scene.next_plain())
        (scene.home.path / "clock").unlink()
        scene.served("plain", scene.next_plain())
        assert {key: row["pid"] for key, row in scene.endpoints().items() if key[0] == "fickle"} == before


def test_webhooks_come_twice_late_in_another_order_and_forged(scene, eventually):
    """They only ring: what is served is what the registry says, whatever they claim."""
    from samovar.autoserve.doorbell.signature import sign

    secret = (scene.home.state / "webhook.secret").read_text().strip()
    bell = f"{scene.home.address('autoserve')}/webhooks/mlflow"
    stale = {"entity": "model_version_alias", "action": "created", "data": {"name": "plain", "alias": "Production", "version": "1"}}
    body = json.dumps(stale).encode()

    def ring(number, at=0, key=secret):
        when = str(int(time.time()) + at)
        headers = {"X-MLflow-Delivery-Id": f"d{number}", "X-MLflow-Timestamp": when}
        headers["X-MLflow-Signature"] = sign(key, f"d{number}", when, body)
        return scene.home.http.post(bell, content=body, headers=headers).json()["result"]

    with scene.asked("plain", "fickle"):
        version = scene.next_plain()
        scene.served("plain", version)
        assert [ring(1), ring(1), ring(2), ring(1)] == ["rung", "duplicate", "rung", "duplicate"]
        assert [ring(3, at=-4000), ring(4, at=4000), ring(5, key="guessed")] == ["stale", "stale", "forged"]
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            assert scene.version_at("plain") == version
            time.sleep(0.1)


def kill_workers(scene, model, seconds):
    """Replace the workers of an endpoint by force, again and again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.kill(scene.row(model).get("pid") or 2**22, 9)
        time.sleep(0.2)


def test_requests_fail_when_a_worker_is_killed_instead_of_drained(scene):
    """The twin that shows the load can fail: the same clients see it when a swap is made by force."""
    failing = scene.asked("plain")
    failing.__enter__()
    kill_workers(scene, "plain", 3)
    with pytest.raises(AssertionError, match="plain"):
        failing.__exit__(None, None, None)
