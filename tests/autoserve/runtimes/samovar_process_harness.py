"""The process runtime under the contract suite: a real agent, real workers, real builds."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from samovar_harness import Harness

from samovar.autoserve.runtimes.process.delivery import Delivery
from samovar.autoserve.runtimes.process.link import AgentLink
from samovar.autoserve.runtimes.process.plancache import PlanCache
from samovar.autoserve.runtimes.process.runtime import ProcessRuntime
from samovar.errors import SamovarError
from samovar.registry.client import Registry


class ProcessHarness(Harness):
    def __init__(self, model, tracking_uri, folder):
        super().__init__()
        self.run_dir = folder / "run"
        self.registry = Registry(tracking_uri)
        self.cache = PlanCache(folder / "plans", 0)
        self.log = (folder / "agent.log").open("wb")
        command = [sys.executable, "-m", "samovar.autoserve.agent", f"--run-dir={self.run_dir}", "--port-base=28100"]
        self.agent = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 30
        while not self.answers():
            assert time.monotonic() < deadline, (folder / "agent.log").read_text()

    def answers(self):
        try:
            AgentLink(self.run_dir).endpoints()
        except SamovarError:
            return False
        return True

    def made(self, epoch):
        link = AgentLink(self.run_dir)
        delivery = Delivery(lambda: self.registry, link, lambda _model, _version: True, self.cache, 60.0)
        runtime = ProcessRuntime(link, delivery)
        runtime.epoch = epoch
        return runtime

    def abandoned(self, key, version):
        """The agent has the whole order when ``bring`` returns; before that, it has none."""
        self.runtime().bring(key, version, wished=lambda: True)

    def workers(self, state):
        return len(state.pids)

    def stranger(self, key):
        return None

    def close(self):
        self.registry.close()
        self.agent.send_signal(signal.SIGTERM)
        self.agent.wait(30)
        AgentLink(self.run_dir).shutdown()
        self.log.close()


make = ProcessHarness
