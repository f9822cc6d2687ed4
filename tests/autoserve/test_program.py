"""The programs as they are started: a real MLflow, a real builder, the real endpoint server, and the client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import httpx
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from samovar import settings as settings_module
from samovar.autoserve import client
from samovar.autoserve.agent.config import LEAN_PRELOAD
from samovar.errors import NotFound, StackUnavailable
from samovar.store import trust
from samovar.store.database import open_database

ROWS = load_iris(as_frame=True).data.head(2)
BODY = {"dataframe_split": ROWS.to_dict(orient="split", index=False)}
SECONDS = 60  # for a builder on a busy machine
PROGRAMS = {
    "entry": "samovar.serving.server:EndpointServer",
    "preload": ",".join(LEAN_PRELOAD),
    "ample": "numpy,pandas,sklearn.linear_model,skops.io,samovar.serving.server,samovar.scoring.builder",
}


@pytest.fixture(scope="module")
def models(mlflow_server):
    """Plain models: `plain` with two versions, and `pickled`, whose file may run code."""
    import mlflow
    import mlflow.sklearn

    mlflow.set_tracking_uri(mlflow_server)
    data = load_iris(as_frame=True)
    for name, strength, form in (("plain", 1.0, "skops"), ("plain", 0.01, "skops"), ("pickled", 1.0, "cloudpickle")):
        model = LogisticRegression(C=strength, max_iter=1000).fit(data.data, data.target)
        with mlflow.start_run():
            mlflow.sklearn.log_model(
                model,
                name="model",
                registered_model_name=name,
                input_example=ROWS,
                pip_requirements=[],
                serialization_format=form,
            )
    return mlflow.MlflowClient()


class Controller:
    """One controller program; it can be killed and started again."""

    def __init__(self, settings, log):
        self.settings = settings
        self.log = log
        self.process = None

    def start(self):
        environment = os.environ | {
            "SAMOVAR_HOME": str(self.settings.state),
            "MLFLOW_TRACKING_URI": self.settings.mlflow_tracking_uri,
            "SAMOVAR_AUTOSERVE_PORT": str(self.settings.autoserve_port),
            "SAMOVAR_POLL_SECONDS": "0.2",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "samovar.autoserve"], env=environment, stdout=log, stderr=log)
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def settings(tmp_path, mlflow_server, free_port):
    return settings_module.load(home=tmp_path, mlflow_tracking_uri=mlflow_server, autoserve_port=free_port(), _env_file=None)


@pytest.fixture
def controller(settings, new_agent, tmp_path, models):
    """The two programs of a host."""
    new_agent(**PROGRAMS).start()
    controller = Controller(settings, tmp_path / "controller.log").start()
    yield controller
    controller.process.send_signal(signal.SIGTERM)
    controller.process.wait(20)


def ask(status):
    answer = httpx.post(f"{status.address}/invocations", json=BODY, trust_env=False, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def test_an_alias_set_by_the_stock_client_is_served_moved_without_loss_and_ended(controller, settings, models, load_on, eventually):
    """The whole life of an endpoint, with the controller killed in the middle of it."""
    models.set_registered_model_alias("plain", "Production", "1")
    status = client.wait_until(settings, "plain", "Production", 1, timeout=SECONDS)
    assert len(ask(status)) == len(ROWS)
    assert client.address(settings, "plain") == status.address
    port = int(status.address.rpartition(":")[2])
    with load_on(port, "/invocations", json.dumps(BODY), {"Content-Type": "application/json"}) as load:
        controller.kill()
        load.more()
        assert client.endpoint(settings, "plain").serving == 1, "the agent answers for a dead controller"
        controller.start()
        for version in (2, 1):
            models.set_registered_model_alias("plain", "Production", str(version))
            moved = client.wait_until(settings, "plain", "Production", version, timeout=SECONDS)
            assert moved.address == status.address
            load.more()
        load.more()
    assert load.failures == []
    models.delete_registered_model_alias("plain", "Production")
    eventually(lambda: "plain" not in {one.model for one in client.endpoints(settings)}, 20, "the endpoint ends")
    with pytest.raises(NotFound, match="samovar alias set"):
        client.endpoint(settings, "plain")


def test_a_version_built_before_is_served_after_a_restart_without_a_builder(
    new_agent, settings, models, tmp_path, children, eventually
):
    """From the kept plan: the process that would build is not even started. A damaged plan is built again."""
    models.set_registered_model_alias("plain", "Production", "1")
    starts = []
    for damage in (False, False, True):
        for path in (tmp_path / "cache" / "plans").glob("*.plan") if damage else ():
            path.write_bytes(path.read_bytes()[:-1])
        agent = new_agent(**PROGRAMS).start()
        controller = Controller(settings, tmp_path / "controller.log").start()
        try:
            status = client.wait_until(settings, "plain", "Production", 1, timeout=SECONDS)
            assert len(ask(status)) == len(ROWS)
            assert status.engine == "compiled"
            starts.append("ample zygote" in children(agent))
            # A plan is kept after it was delivered; a controller that ends before has nothing to start from.
            eventually(lambda: list((tmp_path / "cache" / "plans").glob("*.plan")))
        finally:
            controller.process.send_signal(signal.SIGTERM)
            controller.process.wait(20)
            agent.link.shutdown()
            agent.process.wait(20)
    models.delete_registered_model_alias("plain", "Production")
    assert starts == [True, False, True]


def test_a_pickled_model_waits_for_the_one_command_and_is_then_served(controller, settings, models, eventually):
    """Nothing that may run code is loaded before a person said so."""
    models.set_registered_model_alias("pickled", "Production", "1")

    def untrusted():
        found = [status for status in client.endpoints(settings) if status.condition == "Untrusted"]
        return found and found[0]

    try:
        # The address file is written when the API is up.
        eventually((settings.run_dir / client.ADDRESS_FILE).exists, 30, "the controller is up")
        status = eventually(untrusted, SECONDS, "the condition")
        assert "samovar trust pickled/1" in status.reason
        assert status.serving is None
        with open_database(settings).begin() as connection:
            trust.grant(connection, "pickled", 1, "tester")
        status = client.wait_until(settings, "pickled", "Production", 1, timeout=SECONDS)
        assert len(ask(status)) == len(ROWS)
    finally:
        models.delete_registered_model_alias("pickled", "Production")


def test_the_api_tells_health_and_takes_a_doorbell(controller, settings, eventually):
    """Machines read it; `/reconcile` is what a webhook rings."""
    eventually((settings.run_dir / client.ADDRESS_FILE).exists, 30, "the controller is up")
    base = f"http://127.0.0.1:{settings.autoserve_port}"
    with httpx.Client(base_url=base, trust_env=False) as http:
        eventually(lambda: http.get("/healthz").json()["listed_at"] > 0, 20, "the first listing")
        health = http.get("/healthz")
        assert (health.status_code, health.json()["status"], health.json()["registry"]) == (200, "ok", "")
        assert http.post("/reconcile").status_code == 202
        assert http.post("/confirm").json() == {"released": []}
    client.reconcile(settings)
    assert client.confirm(settings) == []


def test_with_nothing_running_the_client_says_what_to_do(settings):
    with pytest.raises(StackUnavailable, match="samovar up"):
        client.endpoints(settings)
    with pytest.raises(StackUnavailable, match="samovar up"):
        client.confirm(settings)


def test_waiting_in_vain_says_how_the_endpoint_is_instead(settings):
    with pytest.raises(StackUnavailable, match=r"m@Production does not serve v7 within 0.2 s: .*samovar up"):
        client.wait_until(settings, "m", "Production", 7, timeout=0.2)
