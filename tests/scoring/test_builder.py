import os
import signal
import time
from pathlib import Path

import mlflow.pyfunc
import pytest

from samovar.errors import Conflict, ModelError, Untrusted
from samovar.scoring import plan as plans
from samovar.scoring import scratch
from samovar.scoring.build import build
from samovar.scoring.builder import run_builder
from samovar.scoring.request import BuildRequest


def request_of(files, **changes):
    return BuildRequest(model="shop", version=2, run_id="run", label="v2", files=files, **changes)


@pytest.fixture
def saved(tmp_path):
    """Return a function that logs a custom model and returns a request for it."""

    def save(model):
        folder = tmp_path / "model"
        mlflow.pyfunc.save_model(folder, python_model=model, pip_requirements=[])
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return request_of(files, trusted=True)

    return save


def test_a_builder_gives_the_plan_that_a_build_gives(logged):
    request = request_of(logged("forest").files)
    assert plans.encode(run_builder(request, 60)) == plans.encode(build(request))


def test_a_builder_says_untrusted_with_the_command(logged):
    """The condition crosses the process border with its remedy."""
    with pytest.raises(Untrusted, match="samovar trust shop/2"):
        run_builder(request_of(logged("cloudpickle").files), 60)


def test_a_builder_has_no_credentials(saved, monkeypatch):
    """Code of a model sees no password of the controller."""

    class Spy(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            found = [name for name in os.environ if "SECRET" in name or "PASSWORD" in name or "TOKEN" in name]
            if found:
                raise RuntimeError(found)

        def predict(self, context, model_input):
            return model_input

    for name in ("AWS_SECRET_ACCESS_KEY", "POSTGRES_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "hidden")
    assert run_builder(saved(Spy()), 60).engine == "pyfunc"


def test_a_builder_that_hangs_is_killed(saved):
    """A model that never finishes loading counts as failed, in time."""

    class Sleeper(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            time.sleep(600)

        def predict(self, context, model_input):
            return model_input

    started = time.monotonic()
    with pytest.raises(ModelError, match="more than 1 seconds"):
        run_builder(saved(Sleeper()), 1)
    assert time.monotonic() - started < 60
    assert _folders() == []


def test_a_build_that_nobody_wishes_for_any_more_is_ended(saved):
    """The alias was moved meanwhile: the next version must not wait for this one."""

    class Sleeper(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            time.sleep(600)

        def predict(self, context, model_input):
            return model_input

    asked = iter([True, True])
    started = time.monotonic()
    with pytest.raises(Conflict):
        run_builder(saved(Sleeper()), 60, wished=lambda: next(asked, False))
    assert time.monotonic() - started < 30
    assert _folders() == []


def test_a_builder_that_dies_is_reported(saved):
    """A crash while loading is the version's failure, and no other process's."""

    class Crash(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            os.kill(os.getpid(), signal.SIGKILL)

        def predict(self, context, model_input):
            return model_input

    with pytest.raises(ModelError, match="signal 9"):
        run_builder(saved(Crash()), 60)
    assert _folders() == []


def test_a_builder_that_allocates_without_end_is_ended_and_it_is_said_why(saved):
    """Long before the host has nothing left; with enough of it the same model would be built."""

    class Eater(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            self.eaten = [b"x" * 10_000_000 for _ in range(1_000)]

        def predict(self, context, model_input):
            return model_input

    with pytest.raises(ModelError, match="more than 1000 MB.*SAMOVAR_BUILD_MEMORY_MB"):
        run_builder(saved(Eater()), 60, memory=1_000_000_000)
    assert _folders() == []


def _folders():
    """Folders of processes that are gone."""
    owners = [path.name.split("-")[2] for path in scratch.root().glob("samovar-model-*")]
    return [pid for pid in owners if not Path("/proc", pid).exists()]


def test_what_a_model_prints_does_not_spoil_the_answer(saved):
    class Chatty(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            os.write(1, b"hello")
            print("hello")  # noqa: T201 - that is what this model does

        def predict(self, context, model_input):
            return model_input

    assert run_builder(saved(Chatty()), 60).model == "shop"
