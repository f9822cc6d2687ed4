"""A controller as a program of its own: the registry is a JSON file, plans are for the fake server, everything else is real.

python controller_program.py RUN_DIR HOME REGISTRY
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import kill_points

from samovar import logs, settings
from samovar.autoserve import memory, protocol
from samovar.autoserve.controller import Controller
from samovar.autoserve.journal import Journal
from samovar.autoserve.runtimes.process.link import AgentLink
from samovar.autoserve.runtimes.process.runtime import ProcessRuntime
from samovar.contracts.spec import ContractSpec, ModelContract, ResponseSpec
from samovar.registry.client import Model
from samovar.scoring.plan import FORMAT, ScorerPlan, encode
from samovar.store.database import open_database


class Registry:
    """Reads the file anew each time."""

    def __init__(self, path):
        self.path = path

    def read(self):
        return json.loads(self.path.read_text())

    def models(self):
        return [Model(name, found["aliases"], 99, "", found.get("tags", {})) for name, found in self.read().items()]

    def model(self, name):
        return self.read()[name]

    def version(self, model, number):
        return (model, number)

    def set_model_tag(self, *_):
        """Keep nothing."""

    delete_model_tag = set_model_tag

    def current(self, key):
        return self.read().get(key.model, {}).get("aliases", {}).get(key.alias)


class Delivery:
    """Asks whether the agent has a version, and hands it over if it is still wished for: the real one's order of steps."""

    def __init__(self, agent, registry):
        self.agent, self.registry = agent, registry

    def bring(self, key, version, *, wished, again=False):
        offer = protocol.Serve(*key, version, f"v{version}", f"{key.model} {version}", FORMAT, "compiled")
        if not again and self.agent.serve(offer):
            return
        files = self.registry.read()[key.model].get("files", {}).get(str(version), {})
        fd = memory.seal(encode(plan(key.model, version, files)), name="test")
        if wished():
            self.agent.serve(offer, fd)
        os.close(fd)


def plan(model, version, files):
    contract = ModelContract(contract=ContractSpec(name=model, fields=()), response=ResponseSpec(name=model, fields=()))
    return ScorerPlan(
        format=FORMAT,
        model=model,
        version=version,
        label=f"v{version}",
        run_id="run",
        digest=f"digest-{version}",
        engine="compiled",
        trusted=False,
        files={name: value.encode() for name, value in files.items()},
        model_file="",
        contract=contract,
    )


def main():
    """Reconcile until killed."""
    run_dir, home, path = map(Path, sys.argv[1:])
    logs.configure("controller", level="INFO")
    kill_points.install()
    registry = Registry(path)
    known = settings.load(home=home, _env_file=None)
    agent = AgentLink(run_dir)
    runtime = ProcessRuntime(agent, Delivery(agent, registry))
    controller = Controller(lambda: registry, runtime, Journal(lambda: open_database(known), registry.current))
    stop = threading.Event()
    while not stop.wait(0.05):
        controller.step()


if __name__ == "__main__":
    main()
