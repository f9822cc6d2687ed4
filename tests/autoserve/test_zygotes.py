"""Two zygotes: a lean one for compiled plans, and an ample one that is there only while it is needed."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import urllib.request
from pathlib import Path

import msgspec
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from samovar.autoserve import memory, protocol
from samovar.autoserve.agent import config as agent_files
from samovar.autoserve.plan import Key
from samovar.contracts.answers import default_response
from samovar.contracts.signature import from_columns
from samovar.contracts.spec import ModelContract
from samovar.errors import ModelError
from samovar.scoring.compiler.lower import columns_of, compile_model
from samovar.scoring.plan import FORMAT, ScorerPlan, SignatureColumn
from samovar.scoring.request import BuildRequest

HEAVY = {"sklearn", "scipy", "pandas", "mlflow", "skops", "pyarrow", "polars", "joblib", "fastapi", "sqlalchemy", "pydantic"}


@pytest.fixture
def compiled():
    """A logistic regression as a compiled plan, made as a builder makes it."""
    rows, labels = load_iris(return_X_y=True)
    signature = tuple(SignatureColumn(name, "double") for name in ("a", "b", "c", "d"))
    program = compile_model(LogisticRegression(max_iter=500).fit(rows, labels), columns_of(signature, None))
    rows = from_columns("m", [msgspec.to_builtins(column) for column in signature])
    contract = ModelContract(contract=rows, response=default_response(rows, (0, 1, 2)), classes=(0, 1, 2))
    return lambda **files: ScorerPlan(
        format=FORMAT,
        model="m",
        version=1,
        label="v1",
        run_id="r",
        digest="d",
        engine="compiled",
        trusted=False,
        files={name: str(content).encode() for name, content in files.items()},
        model_file="",
        contract=contract,
        signature=signature,
        notes="Compiled.",
        program=program,
    )


def ask(port):
    body = json.dumps({"a": 5.1, "b": 3.5, "c": 1.4, "d": 0.2}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def test_a_worker_of_a_compiled_plan_has_no_library_of_models(new_agent, compiled, eventually, tmp_path, children):
    """Neither among its modules nor mapped into its memory, after it has answered requests."""
    spied = tmp_path / "modules.json"
    lean = {"preload": ",".join(agent_files.LEAN_PRELOAD), "ample": ",".join(agent_files.AMPLE_PRELOAD)}
    agent = new_agent(entry="spying_server:SpyingServer", **lean).start()
    agent.serve(compiled(modules=spied))
    state = agent.serving(1)
    assert ask(state.port)["prediction"] == 0
    spied.unlink()
    modules = {name.partition(".")[0] for name in json.loads(eventually(lambda: spied.exists() and spied.read_text()))}
    assert "numpy" in modules
    assert modules & HEAVY == set()
    mapped = Path(f"/proc/{state.pid}/maps").read_text()
    assert "numpy" in mapped
    assert not [name for name in HEAVY if f"/{name}/" in mapped]
    assert children(agent).keys() == {"zygote"}


def test_a_worker_of_another_plan_finds_the_libraries_there(new_agent, compiled, eventually, tmp_path, children):
    """The same look at a worker of the ample zygote sees what the lean one must not have."""
    spied = tmp_path / "modules.json"
    agent = new_agent(entry="spying_server:SpyingServer", ample="numpy,pandas").start()
    plan = compiled(modules=spied)
    agent.serve(plan, engine="sklearn")
    state = agent.serving(1, seconds=30)
    modules = json.loads(eventually(lambda: spied.exists() and spied.read_text()))
    assert "pandas" in modules
    assert "/pandas/" in Path(f"/proc/{state.pid}/maps").read_text()


def build(agent):
    request = BuildRequest(model="m", version=1, run_id="", label="v1", files={"readme": b""})
    fd = memory.seal(msgspec.msgpack.encode(request), name="request")
    try:
        return agent.link.build(protocol.Build("m", 1, 60.0), fd)[0]
    finally:
        os.close(fd)


def test_the_ample_zygote_comes_for_a_build_and_leaves_when_idle(new_agent, eventually, children):
    """A burst of builds is served by one; later it is gone, and comes again when it is needed."""
    agent = new_agent(**{"idle-seconds": 0.5}).start()
    eventually(lambda: children(agent).keys() == {"zygote"}, 5, "the lean zygote's name")
    assert build(agent).condition == "Failed"
    first = children(agent)["ample zygote"]
    assert build(agent).condition == "Failed"
    assert children(agent)["ample zygote"] == first
    eventually(lambda: children(agent).keys() == {"zygote"}, 5, "the ample zygote gone")
    assert build(agent).condition == "Failed"


def test_the_ample_zygote_stays_while_a_worker_needs_it(new_agent, fake_plan, eventually, get, children):
    """A worker that dies is back within a second, which takes a zygote that is there."""
    agent = new_agent(**{"idle-seconds": 0.1}).start()
    agent.serve(fake_plan(version=1, engine="sklearn"))
    before = agent.serving(1)
    agent.serve(fake_plan("witness", 1))
    agent.serving(1, model="witness")
    kept = children(agent)["ample zygote"]
    os.kill(before.pid, signal.SIGKILL)
    assert get(before.port)[1] != before.pid
    assert children(agent)["ample zygote"] == kept
    agent.link.stop(Key("m", "Production"))
    eventually(lambda: children(agent).keys() == {"zygote"}, 5, "the ample zygote gone")


def test_a_killed_ample_zygote_is_replaced_while_a_worker_needs_it(new_agent, fake_plan, eventually, children):
    agent = new_agent().start()
    agent.serve(fake_plan(version=1, engine="pyfunc"))
    before = agent.serving(1)
    old = children(agent)["ample zygote"]
    os.kill(old, signal.SIGKILL)
    eventually(lambda: children(agent).get("ample zygote", old) != old, 5, "another ample zygote")
    assert agent.serving(1).pid == before.pid


def test_an_adopted_worker_keeps_its_engine(new_agent, fake_plan, get, children):
    """After the agent was killed, each worker is brought back by the zygote it came from."""
    agent = new_agent().start()
    agent.serve(fake_plan("a", 1, engine="compiled"))
    agent.serve(fake_plan("b", 1, engine="sklearn"))
    ports = {name: agent.serving(1, model=name).port for name in "ab"}
    agent.kill()
    agent.start()
    for name, engine in (("a", "compiled"), ("b", "sklearn")):
        state = agent.serving(1, model=name)
        assert (state.engine, state.format) == (engine, FORMAT)
        os.kill(state.pid, signal.SIGKILL)
        assert get(ports[name])[1] != state.pid
    parents = {
        name: Path(f"/proc/{agent.serving(1, model=name).pid}/stat").read_text().rpartition(")")[2].split()[1] for name in "ab"
    }
    assert {name: int(pid) for name, pid in parents.items()} == {
        "a": children(agent)["zygote"],
        "b": children(agent)["ample zygote"],
    }


def test_a_build_dies_with_the_ample_zygote_and_the_next_one_does_not(new_agent, eventually, children):
    """Whoever ordered it hears so at once, and may order again."""
    agent = new_agent(ample="slow_library").start()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(build, agent)
        os.kill(eventually(lambda: children(agent).get("ample zygote"), 10, "the ample zygote"), signal.SIGKILL)
        with pytest.raises(ModelError, match="builder died"):
            first.result(5)
    assert build(agent).condition == "Failed"
