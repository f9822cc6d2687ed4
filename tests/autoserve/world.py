"""One controller with a real agent, a real database, a registry in memory, and a clock that the test turns."""

from __future__ import annotations

import os

from samovar.autoserve import memory, protocol
from samovar.autoserve.controller import Controller
from samovar.autoserve.journal import Journal
from samovar.autoserve.origin import origin
from samovar.autoserve.plan import Key
from samovar.autoserve.runtimes.process.runtime import ProcessRuntime
from samovar.errors import Untrusted
from samovar.scoring.plan import FORMAT, encode
from samovar.store import decisions, events
from samovar.store.database import open_database

KEY = Key("m", "Production")


class Bringing:
    """Delivery of plans for the fake server; versions in ``errors`` cannot be built."""

    def __init__(self, agent, fake_plan, journal, registry):
        self.registry = registry
        self.agent, self.fake_plan, self.journal = agent, fake_plan, journal
        self.errors = {}
        self.behaviour = {}
        self.attempts = []
        self.anew = []

    def bring(self, key, version, *, wished, again):
        known = origin(self.registry.version(*key[:1], version))
        if self.agent.link.serve(protocol.Serve(*key, version, f"v{version}", known, FORMAT)):
            return
        self.anew.append(again)
        self.attempts.append((key, version))
        error = self.errors.get(version)
        if error and not (isinstance(error, Untrusted) and self.journal.trusted(key.model, version)):
            raise error
        plan = self.fake_plan(key.model, version, **self.behaviour.get(version, {}))
        fd = memory.seal(encode(plan), name="test")
        if wished():
            self.agent.link.serve(protocol.Serve(*key, version, f"v{version}", known, plan.format, plan.engine), fd)
        os.close(fd)


class World:
    """Everything around one controller."""

    def __init__(self, agent, fake_plan, eventually, settings, registry):
        self.settings = settings
        self.agent = agent
        self.fake_plan = fake_plan
        self.eventually = eventually
        self.registry = registry
        self.clock = 0.0
        self.db = open_database(settings)
        self.journal = Journal(lambda: open_database(settings), self.registry.current)
        self.delivery = Bringing(agent, fake_plan, self.journal, self.registry)
        self.start()

    def start(self):
        """A controller without memory, as after a kill."""
        self.controller = Controller(
            self.registry, ProcessRuntime(self.agent.link, self.delivery), self.journal, clock=lambda: self.clock
        )

    def status(self, key=KEY):
        found = [status for status in self.controller.statuses() if (status.model, status.alias) == key]
        return found[0] if found else None

    def until(self, check, key=KEY):
        """Step until the endpoint's status fulfils ``check``."""

        def probe():
            self.controller.step()
            status = self.status(key)
            return status is not None and check(status) and status

        return self.eventually(probe, 15, f"the awaited status; now {self.status(key)}")

    def ready(self, version, key=KEY):
        return self.until(lambda status: (status.condition, status.serving, status.wanted) == ("Ready", version, version), key)

    def settle(self):
        """Step until nothing is being built."""
        self.controller.step()
        self.eventually(lambda: not self.controller._builds.wishes(), 10, "the builds end")

    def events(self):
        self.controller.step()
        with self.db.read() as connection:
            return [event.kind for event in reversed(events.list_(connection))]

    def history(self, key=KEY):
        with self.db.read() as connection:
            return [(one.kind, one.from_version, one.to_version) for one in decisions.history(connection, *key)]

    def close(self):
        self.journal.close()
        self.db.close()
