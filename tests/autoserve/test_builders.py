"""Builders forked from the zygote: quick, without credentials, and gone in time."""

from __future__ import annotations

import os
import pickle
import secrets
import time
from pathlib import Path

import msgspec
import pytest

from samovar.autoserve import memory, protocol
from samovar.autoserve.agent.environment import worker_environment
from samovar.errors import ModelError, StackUnavailable
from samovar.scoring.request import BuildRequest


@pytest.fixture
def build(agent):
    """Order a build of some files; returns the answer and the plan's descriptor."""

    def order(files, seconds=60.0, link=agent.link):
        request = BuildRequest(model="m", version=1, run_id="", label="v1", files=files)
        fd = memory.seal(msgspec.msgpack.encode(request), name="request")
        try:
            return link.build(protocol.Build("m", 1, seconds), fd)
        finally:
            os.close(fd)

    return order


def test_files_that_are_no_model_fail_with_a_reason(build):
    """The answer is the builder's, not a dead line."""
    built, plan = build({"readme": b""})
    assert (built.condition, plan) == ("Failed", None)
    assert "MLmodel" in built.message


def test_nobody_waits_for_a_build_that_is_not_wanted_any_more(agent):
    """A model that hangs must not hold up the version that its alias was moved to."""
    fd = memory.seal(b"", name="request")
    began = time.monotonic()
    assert agent.link.build(protocol.Build("m", 1, 60.0), fd, lambda: False) is None
    assert time.monotonic() - began < 10
    os.close(fd)


HANGS = """
flavors:
  python_function: {loader_module: mlflow.sklearn, model_path: model.pkl}
  sklearn: {pickled_model: model.pkl, serialization_format: pickle}
"""


class Hung:
    """Sleeps while it is unpickled, in a C function that keeps the interpreter's lock."""

    def __reduce__(self):
        return eval, ("__import__('ctypes').PyDLL(None).sleep(600)",)


def building(model):
    """Pids of the builders of a model."""
    title = f"samovar: building {model} ".encode()
    return [path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if _read(path).startswith(title)]


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("when", ["while it hangs", "before it begins"])
def test_a_builder_ends_with_the_wish_for_its_version(agent, eventually, when):
    """Also inside a library that never returns: else it would keep a core and its memory until its deadline."""
    model = secrets.token_hex(8)
    files = {"MLmodel": HANGS.encode(), "model.pkl": pickle.dumps(Hung())}
    request = BuildRequest(model=model, version=1, run_id="", label="v1", files=files, trusted=True)
    fd = memory.seal(msgspec.msgpack.encode(request), name="request")
    seen = []

    def wished():
        seen.extend(pid for pid in building(model) if "sleep" in Path(f"/proc/{pid}/wchan").read_text() or when[0] == "b")
        return when[0] == "w" and not seen

    assert agent.link.build(protocol.Build(model, 1, 60.0), fd, wished) is None
    os.close(fd)
    eventually(lambda: not building(model), 5, "the builder ends")


def test_a_builder_that_takes_too_long_is_ended_and_named_so(build):
    """And the next build is not affected."""
    with pytest.raises(ModelError, match="SAMOVAR_BUILD_SECONDS"):
        build({"readme": b""}, seconds=0.0001)
    assert build({"readme": b""})[0].condition == "Failed"


def test_without_an_agent_there_is_no_forked_builder(build, agent):
    """The controller then starts one from nothing."""
    agent.kill()
    with pytest.raises(StackUnavailable):
        build({"readme": b""})


def test_no_credential_reaches_a_process_that_loads_models(new_agent, fake_plan, monkeypatch):
    """Neither the registry's nor the database's nor the cloud's."""
    secrets = (
        "POSTGRES_PASSWORD",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_URI",
        "AWS_SECRET_ACCESS_KEY",
        "SAMOVAR_DATABASE_URL",
    )
    for name in secrets:
        monkeypatch.setenv(name, "correct-horse")
    agent = new_agent().start()
    agent.serve(fake_plan(version=1))
    environment = Path(f"/proc/{agent.serving(1).pid}/environ").read_bytes()
    assert b"OMP_NUM_THREADS=1" in environment
    assert b"correct-horse" not in environment


def test_the_marks_of_the_stack_stay():
    """Whoever ends a stack finds its workers by them."""
    marks = {"SAMOVAR_STACK": "s", "SAMOVAR_SERVICE": "agent"}
    assert marks.items() <= worker_environment(marks | {"TOKEN": "x"}).items()
