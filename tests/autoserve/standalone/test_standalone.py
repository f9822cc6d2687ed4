"""One endpoint by itself, as a real program against a real MLflow: what a container runs."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from samovar.autoserve.standalone import codes
from samovar.serving import keys

pytestmark = pytest.mark.timeout(300)  # the first test of a session also logs the versions

ROWS = {"dataframe_split": {"columns": ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]}}
BODY = json.dumps({"dataframe_split": ROWS["dataframe_split"] | {"data": [[5.1, 3.5, 1.4, 0.2]]}})
JSON = {"Content-Type": "application/json"}
SECRET = "a-password-of-mlflow"


class Program:
    """One running endpoint."""

    def __init__(self, folder, *arguments, **environment):
        self.log = folder / "endpoint.log"
        command = [sys.executable, "-m", "samovar.autoserve.standalone", "--port=0", *arguments]
        known = {name: value for name, value in os.environ.items() if not name.startswith(("SAMOVAR_", "MLFLOW_"))}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=known | {"LOG_FORMAT": "json"} | environment, cwd=folder, stdout=log, stderr=log
            )

    def said(self):
        return self.log.read_text()

    def ask(self, method="GET", path="/version", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, JSON | headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def up(self, eventually):
        found = eventually(lambda: re.search(r'"port": (\d+)', self.said()) or self.process.poll() is not None, 60, "it starts")
        assert found is not True, self.said()
        self.port = int(found[1])

        def answers():
            assert self.process.poll() is None, self.said()
            with contextlib.suppress(OSError):
                return self.ask(path="/health")[0] == 200

        eventually(answers, 60, f"it answers: {self.said()}")
        return self

    def workers(self):
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in pids if b"standalone.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(20)
            self.process.kill()
        return self.process.wait()


@pytest.fixture
def serve(tmp_path, mlflow_server, logged_model, eventually):
    """Start endpoints that leave nothing behind."""
    started = []

    def start(*arguments, wait=True, **environment):
        here = tmp_path / str(len(started))
        here.mkdir()
        program = Program(here, f"--model={logged_model}", *arguments, **({"MLFLOW_TRACKING_URI": mlflow_server} | environment))
        started.append(program)
        return program.up(eventually) if wait else program

    yield start
    for program in started:
        program.end()


def local(*arguments):
    return ("--host=127.0.0.1", *arguments)


def test_a_version_is_fetched_built_and_served_until_sigterm(serve):
    endpoint = serve(*local("--version=2", "--alias=Candidate"))
    status, body = endpoint.ask("POST", "/invocations", BODY)
    assert (status, json.loads(body)) == (200, {"predictions": [0]})
    told = json.loads(endpoint.ask()[1])
    assert (told["version"], told["alias"]) == (2, "Candidate")
    assert endpoint.end() == codes.DRAINED


def test_without_a_version_the_alias_says_which(serve, mlflow_server, logged_model):
    from samovar.registry.client import Registry

    Registry(mlflow_server).set_alias(logged_model, "Chosen", 5)
    assert json.loads(serve(*local("--alias=Chosen")).ask()[1])["version"] == 5


class TestEnds:
    """Each with one line that says what to do, and a code that says what kind of trouble it is."""

    def ended(self, program, code, *words):
        assert program.process.wait(60) == code, program.said()
        lines = [line for line in program.said().splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        assert all(word in lines[0] for word in words), lines
        assert "Traceback" not in program.said()

    def test_mlflow_away_at_the_first_start(self, serve, free_port):
        gone = f"http://127.0.0.1:{free_port()}"
        program = serve(*local("--version=1"), wait=False, MLFLOW_TRACKING_URI=gone)
        self.ended(program, codes.UNAVAILABLE, gone, "cannot be reached", "MLFLOW_TRACKING_URI")

    def test_no_such_version(self, serve):
        self.ended(serve(*local("--version=99"), wait=False), codes.NOT_FOUND, "99")

    def test_no_such_alias(self, serve):
        self.ended(serve(*local("--alias=Nowhere"), wait=False), codes.NOT_FOUND, "alias")

    def test_a_version_that_nobody_trusted(self, serve):
        self.ended(serve(*local("--version=3"), wait=False), codes.UNTRUSTED, "samovar trust")

    def test_a_version_that_fails_at_its_own_example(self, serve):
        self.ended(serve(*local("--version=3", "--trust"), wait=False), codes.MODEL_FAILS, "own input example")

    def test_beyond_this_machine_keys_are_demanded(self, serve):
        self.ended(serve("--version=1", wait=False), codes.WRONG_SETTINGS, "no API keys")


def test_beyond_this_machine_it_serves_who_has_a_key(serve):
    key = keys.generated()
    endpoint = serve("--version=1", SAMOVAR_API_KEY_HASHES=f"{keys.hashed(keys.generated())},{keys.hashed(key)}")
    assert endpoint.ask("POST", "/invocations", BODY)[0] == 401
    assert endpoint.ask("POST", "/invocations", BODY, Authorization=f"Bearer {key}")[0] == 200


def test_it_is_open_to_all_only_when_that_is_said_and_warns(serve):
    endpoint = serve("--version=1", SAMOVAR_AUTH="off")
    assert endpoint.ask("POST", "/invocations", BODY)[0] == 200
    assert "answers everybody" in endpoint.said()


def test_mlflows_credentials_come_from_a_file_and_reach_no_child(serve, tmp_path):
    """Neither builder nor worker has them in its environment, and nothing logs them."""
    (tmp_path / "password").write_text(f"{SECRET}\n")
    endpoint = serve(
        *local("--version=1"), MLFLOW_TRACKING_USERNAME="admin", MLFLOW_TRACKING_PASSWORD_FILE=str(tmp_path / "password")
    )
    for pid in endpoint.workers():
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"MLFLOW_TRACKING_PASSWORD" not in environment
        assert SECRET.encode() not in environment
    assert SECRET not in endpoint.said()


def test_a_worker_that_is_killed_comes_back_without_mlflow(serve, eventually):
    """Its plan is in memory; the socket stays open meanwhile, so that clients wait and are not refused."""
    endpoint = serve(*local("--version=1", "--workers=2"))
    before = eventually(lambda: len(endpoint.workers()) == 2 and endpoint.workers(), 10, "two workers")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert endpoint.ask()[0] == 200
    eventually(lambda: len(endpoint.workers()) == 2, 10, "two workers again")
    assert not {*endpoint.workers()} & {*before}
    assert endpoint.process.poll() is None


def test_a_worker_that_hangs_is_replaced(serve, eventually):
    endpoint = serve(*local("--version=1"), SAMOVAR_HANG_SECONDS="3")
    (hanging,) = endpoint.workers()
    os.kill(hanging, signal.SIGSTOP)
    eventually(lambda: endpoint.workers() and hanging not in endpoint.workers(), 20, "another worker")
    assert endpoint.ask()[0] == 200


def test_sigterm_answers_what_came_and_says_goodbye(serve, eventually):
    """A kept connection that was idle is answered once more, with `Connection: close`."""
    endpoint = serve(*local("--version=1"))
    idle = [http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=10) for _ in range(8)]
    for connection in idle:
        connection.request("POST", "/invocations", BODY, JSON)
        assert connection.getresponse().read()
    endpoint.process.terminate()

    def goodbye(connection):
        connection.request("POST", "/invocations", BODY, JSON)
        answer = connection.getresponse()
        assert answer.read()
        assert answer.status == 200
        return answer.getheader("Connection", "").lower() == "close"

    # A signal takes its time: once one connection was told, all must be.
    eventually(lambda: goodbye(idle[0]), 10, "the endpoint begins to leave")
    assert all(goodbye(connection) for connection in idle[1:])
    assert endpoint.end() == codes.DRAINED


def test_a_kept_version_is_served_while_mlflow_is_away(serve, tmp_path, free_port):
    """And a damaged one is not."""
    keep = tmp_path / "keep"
    serve(*local("--version=1", f"--keep={keep}")).end()
    gone = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}
    assert json.loads(serve(*local("--version=1", f"--keep={keep}"), **gone).ask()[1])["version"] == 1
    (kept,) = keep.glob("*.plan")
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    damaged = serve(*local("--version=1", f"--keep={keep}"), wait=False, **gone)
    assert damaged.process.wait(30) == codes.UNAVAILABLE


def test_orphans_are_buried(serve, eventually):
    """As the first process of a container it inherits what its children leave behind."""
    endpoint = serve(*local("--version=1"))
    (worker,) = endpoint.workers()
    os.kill(worker, signal.SIGKILL)

    def zombies():
        pids = Path(f"/proc/{endpoint.process.pid}/task/{endpoint.process.pid}/children").read_text().split()
        return [pid for pid in pids if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"]

    eventually(lambda: worker not in endpoint.workers() and not zombies(), 10, "no zombie")
