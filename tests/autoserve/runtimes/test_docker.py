"""What only the Docker runtime promises, on a real engine; see `samovar_docker_harness` for when it runs."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import tarfile
import threading
from pathlib import Path

import msgspec
import pytest
import samovar_docker_harness as docker
from samovar_harness import BETTER, BODY, GOOD

from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.runtimes.docker import boxes, recipe
from samovar.autoserve.runtimes.docker.engine import CALLS, Engine, allowed
from samovar.autoserve.runtimes.docker.runtime import DockerRuntime
from samovar.autoserve.tuning import Tuning
from samovar.errors import Conflict, NotFound, SettingsError, StackUnavailable

pytestmark = pytest.mark.timeout(300)  # the first test of a session also logs the versions

DOCS = Path(__file__).parents[3] / "docs" / "RUNTIMES.md"
SECRET = "a-password-of-mlflow"


@pytest.fixture(scope="module", params=["docker"])
def harness(logged_model, mlflow_server, tmp_path_factory):
    made = docker.make(logged_model, mlflow_server, tmp_path_factory.mktemp("docker"))
    yield made
    made.close()


@pytest.fixture
def bring(harness, eventually):
    def bring(runtime, key, version):
        runtime.bring(key, version, wished=lambda: True)
        return runtime.endpoints()[key]

    return bring


def inspected(harness, name):
    answer = harness.raw.get(f"/containers/{name}/json")
    return answer.json() if answer.status_code == 200 else None


class Kept:
    """Clients that keep their connections, behind a router that sends each request where the endpoint is now."""

    def __init__(self, runtime, key, count=4):
        self.state = runtime.endpoints()[key]
        self.runtime, self.key = runtime, key
        self.answered, self.failures = 0, []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._look), *(threading.Thread(target=self._ask) for _ in range(count))]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _look(self):
        while not self._stop.wait(0.1):
            self.state = self.runtime.endpoints()[self.key]

    def _ask(self):
        line, host = None, ""
        while not self._stop.wait(0.02):
            try:
                if line is None or host != self.state.host:
                    host = self.state.host
                    line = http.client.HTTPConnection(host, 8080, timeout=10)
                line.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
                answer = line.getresponse()
                answer.read()
                if answer.status == 200:
                    self.answered += 1
                else:
                    self.failures.append(answer.status)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                line = None


def test_a_swap_loses_no_request_of_kept_connections(runtime, harness, key, bring):
    bring(runtime, key, GOOD)
    with Kept(harness.runtime(), key) as clients:
        for version in (BETTER, GOOD):
            bring(runtime, key, version)
    assert clients.failures == []
    assert clients.answered > 100


def test_clients_notice_when_the_old_container_is_simply_removed(runtime, harness, key, bring, monkeypatch):
    """The same clients, and a swap without its care: the test above can fail."""
    bring(runtime, key, GOOD)
    with Kept(harness.runtime(), key) as clients:
        monkeypatch.setattr(DockerRuntime, "_retire", lambda self, box: self._engine.remove(box.id))
        bring(runtime, key, BETTER)
    assert clients.failures


def test_one_container_is_left_with_the_promised_name_and_labels(runtime, harness, key, bring, eventually):
    """The replaced one answers what it has and goes."""
    bring(runtime, key, GOOD)
    bring(runtime, key, BETTER)
    eventually(lambda: runtime.endpoints() and len(harness.containers(model=key.model, alias=key.alias)) == 1, 30, "one container")
    (left,) = harness.containers(model=key.model, alias=key.alias)
    assert left["Names"] == [f"/{endpoint_name(*key)}"]
    assert left["Labels"]["project"] == "mlops"
    assert left["Labels"]["samovar.version"] == str(BETTER)


def test_a_container_runs_as_nobody_special_within_its_limits(runtime, harness, key, bring, eventually):
    bring(runtime, key, GOOD)
    tuning = Tuning(memory_mb=700.0, cpus=0.5, workers=2)
    runtime.tune(key, tuning)
    eventually(lambda: runtime.endpoints()[key].loading is None and runtime.endpoints()[key].tuning == tuning, 60, "tuned")
    found = inspected(harness, endpoint_name(*key))
    host = found["HostConfig"]
    assert (host["Memory"], host["NanoCpus"]) == (1_400_000_000, 500_000_000)
    assert (host["CapDrop"], host["RestartPolicy"]["Name"]) == (["ALL"], "unless-stopped")
    assert found["Config"]["User"] == "10001:10001"


def test_mlflows_credentials_are_not_for_who_asks_the_engine(runtime, harness, key, bring):
    """They come as files that only the endpoint's user may read."""
    bring(runtime, key, GOOD)
    name = endpoint_name(*key)
    assert SECRET not in json.dumps(inspected(harness, name))
    packed = harness.raw.get(f"/containers/{name}/archive", params={"path": recipe.SECRETS}).content
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        (file,) = [one for one in tar if one.name.endswith("MLFLOW_TRACKING_PASSWORD")]
        assert (file.mode & 0o777, file.uid) == (0o400, recipe.USER)
        assert tar.extractfile(file).read().decode() == SECRET


def test_a_container_that_dies_comes_back_without_controller_and_mlflow(harness, runtime, key, bring, eventually, monkeypatch):
    before = bring(runtime, key, GOOD)
    name = endpoint_name(*key)
    monkeypatch.setattr(harness.relay, "port", 1)  # MLflow is away
    os.kill(inspected(harness, name)["State"]["Pid"], signal.SIGKILL)
    eventually(lambda: inspected(harness, name)["RestartCount"] == 1, 30, "the engine starts it again")

    def answers():
        address = inspected(harness, name)["NetworkSettings"]["Networks"][harness.name]["IPAddress"]
        try:
            return harness.version(msgspec.structs.replace(before, host=address)) == GOOD
        except OSError:
            return False

    eventually(answers, 30, "it answers")


def test_a_container_that_was_stopped_by_hand_is_started_again(harness, runtime, key, bring, eventually):
    """What the registry wishes is that it serves."""
    bring(runtime, key, GOOD)
    harness.raw.post(f"/containers/{endpoint_name(*key)}/stop", params={"t": 10})
    eventually(lambda: runtime.endpoints()[key].up and inspected(harness, endpoint_name(*key))["State"]["Running"], 30, "it runs")


def test_a_swap_cut_between_the_two_names_is_finished(harness, runtime, key, bring, eventually, monkeypatch):
    """The old container has lost its name, the new one has none yet: the next look gives it one."""
    bring(runtime, key, GOOD)

    class Killed(BaseException):
        """The controller is gone."""

    renamed = []

    def rename(self, container, name):
        if renamed:
            raise Killed
        renamed.append(name)
        self._ask("POST", f"/containers/{container}/rename", params={"name": name})

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "rename", rename)
        with pytest.raises(Killed):
            bring(runtime, key, BETTER)
    assert renamed[0].endswith(boxes.RETIRED)
    heir = harness.successor()
    eventually(lambda: heir.endpoints()[key].serving == BETTER, 10, "the heir finishes it")
    assert harness.version(heir.endpoints()[key]) == BETTER


def test_the_name_leads_to_the_new_version_inside_the_network(harness, runtime, key, bring):
    """Docker's DNS knows the container by its name, before and after."""
    asks = (
        "import json,sys,urllib.request as u;"
        "print('version', json.load(u.urlopen('http://'+sys.argv[1]+':8080/version'))['version'])"
    )
    for version in (GOOD, BETTER):
        bring(runtime, key, version)
        body = {
            "Image": docker.IMAGE,
            "Entrypoint": ["python3", "-c", asks, endpoint_name(*key)],
            "HostConfig": {"NetworkMode": harness.name},
        }
        box = harness.raw.post("/containers/create", json=body).json()["Id"]
        harness.strangers.append(box)
        harness.raw.post(f"/containers/{box}/start")
        harness.raw.post(f"/containers/{box}/wait", timeout=30)
        said = harness.raw.get(f"/containers/{box}/logs", params={"stdout": 1, "stderr": 1}).text
        assert f"version {version}" in said


class TestTroubles:
    def test_an_engine_that_is_away(self, tmp_path):
        with pytest.raises(StackUnavailable, match="DOCKER_HOST"):
            Engine(f"unix://{tmp_path}/none.sock").containers({})

    def test_an_image_that_is_not_there(self, harness, runtime, key, monkeypatch):
        monkeypatch.setattr(harness, "placement", msgspec.structs.replace(harness.placement, image="samovar-test/none:1"))
        with pytest.raises(NotFound, match=re.escape("Build or pull the image samovar-test/none:1")):
            runtime.bring(key, GOOD, wished=lambda: True)
        assert key not in runtime.endpoints()

    def test_a_call_that_the_proxy_forbids(self, harness):
        engine = Engine(f"unix://{harness.folder / 'gate.sock'}")
        with pytest.raises(SettingsError, match=re.escape("docs/RUNTIMES.md")):
            raise engine._failure(engine._client.get("/info"))

    def test_a_name_that_is_taken(self, harness, runtime, key):
        harness.stranger(key)
        with pytest.raises(Conflict, match="does not own"):
            runtime.bring(key, GOOD, wished=lambda: True)


def test_no_call_is_made_that_is_not_documented():
    """The list is what an operator of a restricted proxy reads; the client refuses to make any other call."""
    documented = DOCS.read_text(encoding="utf-8")
    assert all(call in documented for call in CALLS)
    assert not allowed("POST", "/containers/x/exec")
    assert not allowed("GET", "/info")
    assert not allowed("GET", "/images/json")
    assert allowed("POST", "/v1.41/containers/x/rename?name=y")
