"""Two controllers of one host: one acts, the other looks on, and an order of the one that lost is refused."""

from __future__ import annotations

import pytest

from samovar import settings as settings_module
from samovar.autoserve import memory, protocol
from samovar.autoserve.controller import Controller
from samovar.autoserve.journal import Journal
from samovar.autoserve.lease import DatabasePlace, HeldLease
from samovar.autoserve.plan import Key
from samovar.autoserve.runtimes.process.link import AgentLink
from samovar.autoserve.runtimes.process.runtime import ProcessRuntime
from samovar.errors import Conflict
from samovar.scoring.plan import encode
from samovar.store import events
from samovar.store.database import open_database

KEY = Key("m", "Production")


class Bringing:
    """Brings plans of the fake server, over the line of the controller that asks."""

    def __init__(self, link, fake_plan):
        self.link, self.fake_plan = link, fake_plan
        self.meanwhile = lambda: None

    def bring(self, key, version, *, wished, again):
        plan = self.fake_plan(key.model, version)
        self.meanwhile()
        if wished():
            self.link.serve(
                protocol.Serve(*key, version, plan.label, f"o{version}", plan.format, plan.engine),
                memory.seal(encode(plan), name="t"),
            )


class Two:
    """One agent, one database, one registry, and controllers that compete."""

    def __init__(self, agent, fake_plan, settings, registry):
        self.agent, self.fake_plan, self.settings = agent, fake_plan, settings
        self.registry, self.now = registry, 0.0
        self.made = []

    def controller(self):
        link = AgentLink(self.agent.run_dir)
        journal = Journal(lambda: open_database(self.settings), self.registry.current)
        holder = f"host-{len(self.made)}:1:2"
        lease = HeldLease(DatabasePlace(journal.database), "world", 15.0, holder=holder, clock=lambda: self.now)
        delivery = Bringing(link, self.fake_plan)
        controller = Controller(self.registry, ProcessRuntime(link, delivery), journal, lease=lease, clock=lambda: self.now)
        self.made.append((controller, lease, delivery))
        return controller, lease, delivery

    def round(self):
        for controller, lease, _ in self.made:
            lease.tick()
            controller.step()


@pytest.fixture
def two(agent, fake_plan, tmp_path, new_registry):
    return Two(agent, fake_plan, settings_module.load(home=tmp_path / "state", _env_file=None), new_registry())


def test_one_acts_and_the_other_looks_on(two, eventually):
    """One build, one set of events; the other can tell people the same."""
    first, second = two.controller()[0], two.controller()[0]
    two.registry.now = {KEY: 1}
    eventually(lambda: (two.round(), (two.agent.state() or protocol.EndpointState("", "", 0)).up)[1], 15)
    two.round()
    assert first.health.standby == ""
    assert first.health.epoch > 0
    assert "host-0:1:2 holds" in second.health.standby
    assert [status.condition for status in second.statuses()] == ["Ready"]
    with open_database(two.settings).read() as connection:
        assert [event.kind for event in events.list_(connection)].count("served") == 1


def test_the_one_that_stands_by_takes_over_and_goes_on(two, eventually):
    """The first is frozen; what moved meanwhile is served by the second."""
    (_, _, _), (second, lease, _) = two.controller(), two.controller()
    two.registry.now = {KEY: 1}
    eventually(lambda: (two.round(), (two.agent.state() or protocol.EndpointState("", "", 0)).up)[1], 15)
    two.registry.now = {KEY: 2}
    two.now += 16
    eventually(lambda: (lease.tick(), second.step(), two.agent.state().serving == 2)[2], 15)


def test_a_controller_that_wakes_up_after_it_lost_changes_nothing(two, eventually):
    """Frozen in the middle of a build, it still believes in its lease: the agent does not."""
    (first, lease, delivery), (second, other, _) = two.controller(), two.controller()
    lease.tick()
    other.tick()
    two.registry.now = {KEY: 1}

    def taken_over():
        two.now += 16
        eventually(lambda: (other.tick(), other.standing().epoch > lease.standing().epoch)[1], 5)
        two.registry.now = {KEY: 2}
        eventually(lambda: (second.step(), (state := two.agent.state()) and state.serving == 2 and state.up)[1], 15)

    delivery.meanwhile = taken_over
    first.step()
    eventually(lambda: not first._builds.wishes(), 30)
    state = two.agent.state()
    assert (state.serving, state.loading, state.failures) == (2, None, 0)
    assert first.statuses()[0].condition != "Failed"
    first.step()
    assert first.health.standby


def test_a_steady_world_is_written_about_by_nobody(two, eventually):
    """No write but the renewal: the file of the database does not change."""
    controller, _, _ = two.controller()
    two.registry.now = {KEY: 1}
    eventually(lambda: (two.round(), controller.statuses()[0].condition == "Ready")[1], 15)
    two.round()

    connection = open_database(two.settings)._engine.raw_connection()
    changes = lambda: connection.cursor().execute("PRAGMA data_version").fetchone()[0]  # noqa: E731 - grows with any other's write
    before = changes()
    for _ in range(10):
        controller.step()
    assert changes() == before
    two.round()
    assert changes() == before + 1
    connection.close()


def test_a_conflict_about_one_endpoint_costs_no_lease(two, eventually):
    """A name that a stranger has taken is that endpoint's trouble; all others go on being served."""
    controller, _, delivery = two.controller()
    taken = Key("m", "Candidate")
    bring = delivery.bring

    def bring_or_not(key, version, **asked):
        if key == taken:
            raise Conflict("The name is taken.", remedy="Rename it.")
        bring(key, version, **asked)

    delivery.bring = bring_or_not
    two.registry.now = {taken: 1, KEY: 1}
    eventually(lambda: (two.round(), (two.agent.state() or protocol.EndpointState("", "", 0)).up)[1], 15)
    two.round()
    assert controller.health.standby == ""
    conditions = {status.alias: (status.condition, status.reason) for status in controller.statuses()}
    assert conditions["Production"] == ("Ready", "")
    assert conditions["Candidate"] == ("Failed", "The name is taken. Rename it.")
