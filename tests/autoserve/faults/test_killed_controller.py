"""The controller is killed at every point of every action; the next one goes on, and no request is lost meanwhile.

The points are enumerated from the plan's own actions: an action, or a method of the runtime, without its points fails a test.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from samovar.autoserve import plan
from samovar.autoserve.plan import Key
from samovar.autoserve.runtimes.base import Runtime

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import kill_points  # noqa: E402 - beside this file; the program that is killed imports it too

POINTS = [(action, f"{method}:{moment}") for action, (method, moments) in kill_points.POINTS.items() for moment in moments]
STEADY = [f"steady-{number}" for number in range(6)]
"""So many that one that goes is no vanishing fleet."""


def test_every_action_has_its_points():
    """Whoever adds an action says where a controller that carries it out may die."""
    assert set(kill_points.POINTS) == {action.__name__ for action in get_args(plan.Action)}


def test_every_order_to_a_runtime_has_its_points():
    """Whoever adds an order does too; only reading is left out."""
    orders = {name for name, what in vars(Runtime).items() if callable(what) and not name.startswith("_")} - {"endpoints"}
    assert {method for method, _ in kill_points.POINTS.values()} == orders


class Stage:
    """An agent, a registry in a file, and one controller after the other."""

    def __init__(self, agent, folder):
        self.agent, self.folder = agent, folder
        self.registry = {name: {"aliases": {"Production": 1}} for name in ("moved", *STEADY)}
        self.kill_at = folder / "kill-at"
        self.process = None
        self.write()

    def write(self):
        draft = self.folder / "registry.draft"
        draft.write_text(json.dumps(self.registry))
        draft.replace(self.folder / "registry.json")

    def start(self):
        command = [sys.executable, str(HERE / "controller_program.py")]
        command += [str(self.agent.run_dir), str(self.folder / "home"), str(self.folder / "registry.json")]
        with (self.folder / "controller.log").open("ab") as log:
            environment = os.environ | {"SAMOVAR_KILL_AT": str(self.kill_at)}
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def aliases(self, model):
        return self.registry.setdefault(model, {"aliases": {}})["aliases"]

    def change(self, action):
        """Move the registry so that the plan holds the action; returns what must be true in the end."""
        link, moved = self.agent.link, Key("moved", "Production")
        if action == "Start":
            new = Key(f"new-{len(self.registry)}", "Production")
            self.aliases(new.model)["Production"] = 1
            return lambda: (state := link.endpoints().get(new)) and state.up and state.serving == 1
        if action == "Stop":
            leaves = Key("moved", "Leaves")
            self.aliases("moved").pop("Leaves")
            return lambda: leaves not in link.endpoints()
        if action == "Tune":
            tags = self.registry["moved"].setdefault("tags", {})
            workers = 1 if tags.get("samovar.workers") == "2" else 2
            tags["samovar.workers"] = str(workers)
            return lambda: link.endpoints()[moved].tuning.workers == workers
        version = self.aliases("moved")["Production"]
        if action == "Swap":
            self.aliases("moved")["Production"] = version + 1
            return lambda: link.endpoints()[moved].serving == version + 1
        return lambda: (state := link.endpoints()[moved]).serving == version and state.loading is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def stage(folder, new_module_agent, eventually):
    stage = Stage(new_module_agent(folder).start(), folder)
    stage.start()
    everything = lambda: sum(state.up for state in stage.agent.link.endpoints().values()) == len(stage.registry)  # noqa: E731
    eventually(everything, 30, "everything is served")
    yield stage
    stage.stop()


@pytest.mark.parametrize(("action", "point"), POINTS, ids=[f"{action}-{point}" for action, point in POINTS])
def test_whoever_is_killed_there_the_next_controller_goes_on(stage, load_on, eventually, action, point):
    """Nothing is half done for ever, nothing is done twice, and both the endpoint concerned and another lose no request."""
    prepare(stage, eventually, action)
    ports = [stage.agent.state(model).port for model in ("moved", STEADY[0])]
    pids = {model: stage.agent.state(model).pids for model in STEADY}
    with contextlib.ExitStack() as loads:
        asking = [loads.enter_context(load_on(port)) for port in ports]
        for one in asking:
            one.more(5)
        stage.kill_at.write_text(point)
        done = stage.change(action)
        stage.write()
        assert stage.process.wait(20) == -9, (stage.folder / "controller.log").read_text()[-3000:]
        assert not stage.kill_at.exists()
        for one in asking:
            one.more(5)
        stage.start()
        eventually(done, 20, f"{action} done: {stage.agent.link.endpoints()}")
        for one in asking:
            one.more(5)
    assert [one.failures for one in asking] == [[], []]
    assert {model: stage.agent.state(model).pids for model in STEADY} == pids, "endpoints that nobody moved were left alone"


def prepare(stage, eventually, action):
    """Bring about what the action needs: a version on its way, or an alias that can go."""
    if stage.process.poll() is not None:
        stage.start()
    if action == "Stop":
        stage.aliases("moved")["Leaves"] = 1
        stage.write()
        eventually(lambda: (state := stage.agent.state("moved", "Leaves")) and state.up, 20, "the alias that leaves is served")
    if action == "Cancel":
        version = stage.aliases("moved")["Production"]
        slow = version + 1000
        stage.registry["moved"].setdefault("files", {})[str(slow)] = {"slow": "30"}
        stage.aliases("moved")["Production"] = slow
        stage.write()
        eventually(lambda: stage.agent.state("moved").loading == slow, 20, "a version is on its way")
        stage.aliases("moved")["Production"] = version


def test_without_the_next_controller_the_alias_is_not_served(stage, eventually):
    """The twin that shows the test can fail: killed there and not started again, nobody finishes the swap."""
    prepare(stage, eventually, "Swap")
    stage.kill_at.write_text("bring:sent-1")
    done = stage.change("Swap")
    stage.write()
    assert stage.process.wait(20) == -9
    with pytest.raises(AssertionError, match="did not happen"):
        eventually(done, 1, "the swap")
