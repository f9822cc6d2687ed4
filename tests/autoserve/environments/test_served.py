"""Versions that need other libraries than this host's, from MLflow to the answer: real agent, real builder, real uv."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from samovar.autoserve.environments.shelf import Shelf
from samovar.autoserve.plan import Key
from samovar.autoserve.runtimes.process.delivery import Delivery
from samovar.autoserve.runtimes.process.plancache import PlanCache
from samovar.errors import Preparing, SamovarError, Untrusted
from samovar.registry.client import Registry

CODE = """
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Glazed(PythonModel):
    def predict(self, context, model_input, params=None):
        import glaze

        return [glaze.VERSION] * len(model_input)


set_model(Glazed())
"""
ROWS = load_iris(as_frame=True).data.head(2)
BODY = json.dumps({"dataframe_split": ROWS.to_dict(orient="split", index=False)}).encode()


@pytest.fixture(scope="module")
def models(mlflow_server, tmp_path_factory):
    """`glazed` in two versions, each with its own version of a library; `plain`, which names one that it never loads."""
    import mlflow

    mlflow.set_tracking_uri(mlflow_server)
    script = tmp_path_factory.mktemp("models") / "glazed.py"
    script.write_text(CODE)
    signature = mlflow.models.infer_signature(ROWS, ["1.0"])
    fitted = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True, as_frame=True))
    with mlflow.start_run():
        for version in ("1.0", "2.0"):
            mlflow.pyfunc.log_model(
                name="model",
                python_model=str(script),
                signature=signature,
                pip_requirements=[f"glaze=={version}"],
                registered_model_name="glazed",
            )
        mlflow.sklearn.log_model(
            fitted, name="model", input_example=ROWS, pip_requirements=["glaze==1.0"], registered_model_name="plain"
        )
    return mlflow_server


class Host:
    """An agent, and what brings versions to it."""

    def __init__(self, agent, uri, folder):
        self.agent = agent
        self.trusted = True
        self.made = 0
        self.shelf = Shelf(folder / "environments", 10**9, 120.0, set, self.count)
        registry = Registry(uri, 10.0)
        cache = PlanCache(folder / "plans", 10**8)
        self.delivery = Delivery(lambda: registry, agent.link, lambda *_: self.trusted, cache, 120.0, shelf=self.shelf)

    def count(self):
        self.made += 1

    def bring(self, model, version, alias="Production"):
        self.delivery.bring(Key(model, alias), version, wished=lambda: True)

    def served(self, model, version, eventually):
        """Bring a version as the controller does: again when what it waits for is there."""
        made = self.made
        try:
            self.bring(model, version)
        except Preparing:
            eventually(lambda: self.made > made, 120, "the environment")
            self.bring(model, version)
        return self.agent.serving(version, 60, model=model)


@pytest.fixture
def host(new_agent, models, packages, tmp_path):
    options = {"entry": "samovar.serving.server:EndpointServer", "environments": tmp_path / "environments"}
    return Host(new_agent(**options, **{"idle-seconds": 0.5}).start(), models, tmp_path)


def ask(state):
    request = urllib.request.Request(f"http://127.0.0.1:{state.port}/invocations", BODY, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["predictions"]


def test_two_versions_of_a_model_answer_each_with_its_own_library(host, eventually, children, load_on):
    """And come back with it: after a crash of the worker, and by another agent. Its zygote is there only while it makes workers."""
    state = host.served("glazed", 1, eventually)
    assert ask(state) == ["1.0", "1.0"]
    assert state.engine == "pyfunc"
    assert "environment of its own: glaze is not on this host" in state.notes
    os.kill(state.pid, signal.SIGKILL)
    assert ask(state) == ["1.0", "1.0"]
    with load_on(state.port, "/invocations", BODY, {"Content-Type": "application/json"}) as load:
        newer = host.served("glazed", 2, eventually)
        load.more()
    assert load.failures == []
    assert ask(newer) == ["2.0", "2.0"]
    host.agent.kill()
    host.agent.start()
    adopted = host.agent.serving(2, model="glazed")
    assert adopted.environments
    os.kill(adopted.pid, signal.SIGKILL)
    assert ask(adopted) == ["2.0", "2.0"]
    eventually(lambda: children(host.agent).keys() == {"zygote"}, 20, "the zygote of the environment gone")


def test_a_model_that_compiles_is_built_there_and_served_here(host, eventually):
    """The plan needs none of the model's libraries, and neither does it when it is brought again from what was kept."""
    state = host.served("plain", 1, eventually)
    assert state.engine == "compiled"
    assert ask(state) == [0, 0]
    assert state.environments == ()
    assert "Built in an environment of its own" in state.notes
    assert str(host.shelf._folder) not in Path(f"/proc/{state.pid}/maps").read_text()
    for folder in host.shelf._folder.iterdir():
        (folder / "samovar-ready").unlink()
    host.agent.link.stop(Key("plain", "Production"))
    host.bring("plain", 1)
    assert ask(host.agent.serving(1, model="plain")) == [0, 0]


def test_without_trust_no_environment_is_made(host):
    """Whoever may log a model would run code on this host. What needs none of it is served with this host's libraries."""
    host.trusted = False
    with pytest.raises(Untrusted):
        host.bring("glazed", 1)
    host.bring("plain", 1)
    assert "samovar trust plain/1" in host.agent.serving(1, 60, model="plain").notes
    assert not host.shelf._folder.exists()


def test_an_environment_that_cannot_be_made_leaves_the_last_good_version_serving(host, eventually, packages):
    """No network, no such library: one sentence, and what serves goes on."""
    before = host.served("glazed", 1, eventually)
    (packages.folder / "glaze-2.0-py3-none-any.whl").unlink()
    with pytest.raises(SamovarError, match="environment cannot be built"):
        host.served("glazed", 2, eventually)
    assert ask(before) == ["1.0", "1.0"]
    assert host.agent.serving(1, model="glazed").pid == before.pid


def test_the_agent_makes_workers_only_in_environments_of_its_folder(host, eventually):
    """A name is no path."""
    from samovar.autoserve import memory, protocol

    fd = memory.seal(b"plan", name="m")
    try:
        with pytest.raises(SamovarError, match="environment"):
            host.agent.link.serve(protocol.Serve("m", "Production", 1, environment="../../evil"), fd)
    finally:
        os.close(fd)
