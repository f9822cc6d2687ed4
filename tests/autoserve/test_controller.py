"""The controller against a real agent and a real database; the registry's answers and the clock are the test's."""

from __future__ import annotations

import datetime as dt
import os
import signal
import threading

from samovar.autoserve import memory, protocol
from samovar.autoserve.journal import Journal
from samovar.autoserve.origin import origin
from samovar.autoserve.plan import Key
from samovar.errors import ModelError, StoreUnavailable, Untrusted
from samovar.scoring.plan import FORMAT, encode
from samovar.store import decisions, events, trust
from samovar.store.database import open_database

KEY = Key("m", "Production")


def promotion(key, version):
    where = {"model": "m", "alias": "Production", "from_version": None, "to_version": version}
    return decisions.Decision(key=key, kind="promote", verdict="approved", reason="better", actor="gate", **where)


def test_an_alias_is_served_moved_and_ended(world, load_on):
    """The three things that happen to an alias; the address stays, and no request fails across the move."""
    world.registry.now = {KEY: 1}
    address = world.ready(1).address
    with load_on(int(address.rpartition(":")[2])) as load:
        world.registry.now = {KEY: 2}
        assert world.ready(2).address == address
        load.more()
    assert load.failures == []
    world.registry.now = {}
    world.controller.step()
    assert world.status() is not None
    world.controller.step()
    assert world.status() is None
    assert world.events()[-1] == "stopped"


def test_a_broken_version_leaves_the_endpoint_degraded_with_the_reason(world):
    """It keeps serving the last good version, and says which and why."""
    world.registry.now = {KEY: 1}
    before = world.ready(1)
    world.delivery.errors[2] = ModelError("The model has no head.")
    world.registry.now = {KEY: 2}
    after = world.until(lambda status: status.condition == "Degraded")
    assert (after.serving, after.wanted, after.pid) == (1, 2, before.pid)
    assert "no head" in after.reason
    assert world.events()[-1] == "degraded"


def test_a_version_that_fails_in_the_worker_leaves_the_endpoint_degraded(world):
    """Building it worked, serving it did not."""
    world.registry.now = {KEY: 1}
    world.ready(1)
    world.delivery.behaviour[2] = {"broken": ""}
    world.registry.now = {KEY: 2}
    status = world.until(lambda status: status.condition == "Degraded")
    assert status.serving == 1
    assert "no such layer" in status.reason


def test_a_first_version_that_fails_is_failed(world):
    world.delivery.errors[1] = ModelError("The model has no head.")
    world.registry.now = {KEY: 1}
    status = world.until(lambda status: status.condition == "Failed")
    assert (status.serving, status.reason) == (None, "The model has no head.")


def test_a_failing_version_is_tried_with_back_off_not_at_every_poll(world):
    """And served as soon as a later attempt succeeds."""
    world.delivery.errors[1] = ModelError("broken")
    world.registry.now = {KEY: 1}
    for _ in range(20):
        world.settle()
    assert len(world.delivery.attempts) == 1
    for _ in range(60):
        world.clock += 1
        world.settle()
    assert 4 <= len(world.delivery.attempts) <= 7
    del world.delivery.errors[1]
    world.clock += 300
    world.ready(1)


def test_a_version_that_fails_in_the_worker_is_tried_with_back_off_too(world):
    """Each failure counts once, however often it is seen."""
    world.delivery.behaviour[1] = {"broken": ""}
    world.registry.now = {KEY: 1}
    world.until(lambda status: status.condition == "Failed")
    for _ in range(20):
        world.settle()
    assert len(world.delivery.attempts) == 1
    world.clock += 2.5
    world.settle()
    world.until(lambda status: status.condition == "Failed" and len(world.delivery.attempts) == 2)
    assert world.delivery.anew == [False, True], "a kept plan that failed is not taken again"


def test_an_untrusted_version_is_served_at_the_poll_after_it_was_trusted(world):
    """The condition carries the one command; nothing else has to be done."""
    world.delivery.errors[1] = Untrusted("It may run code.", remedy="Run `samovar trust m/1`.")
    world.registry.now = {KEY: 1}
    status = world.until(lambda status: status.condition == "Untrusted")
    assert "samovar trust m/1" in status.reason
    assert "untrusted" in world.events()
    with world.db.begin() as connection:
        trust.grant(connection, "m", 1, "tester")
    attempts = len(world.delivery.attempts)
    world.settle()
    assert len(world.delivery.attempts) == attempts + 1
    world.ready(1)


def test_an_alias_that_moves_back_finds_its_version_still_there(world):
    """The newer wish was still loading, and never answers."""
    world.registry.now = {KEY: 1}
    before = world.ready(1)
    world.delivery.behaviour[2] = {"hangs": ""}
    world.registry.now = {KEY: 2}
    world.until(lambda status: "loaded" in status.reason)
    world.registry.now = {KEY: 1}
    assert world.ready(1).pid == before.pid


def test_without_the_registry_everything_stays_and_crashes_are_mended(world, get):
    """The agent needs no MLflow, and the controller plans nothing on what it cannot read."""
    world.registry.now = {KEY: 1}
    before = world.ready(1)
    world.registry.down = True
    for _ in range(5):
        world.controller.step()
    assert "MLflow" in world.controller.health.registry
    os.kill(before.pid, signal.SIGKILL)
    assert get(int(before.address.rpartition(":")[2]))[0] == "v1"
    world.registry.down = False
    assert world.ready(1).restarts == 1
    assert world.controller.health.registry == ""


def test_a_controller_without_memory_changes_nothing(world):
    """`kill -9` of the controller: the next one finds everything as it should be."""
    world.registry.now = {KEY: 1}
    before = world.ready(1)
    told = world.events()
    attempts = len(world.delivery.attempts)
    world.start()
    for _ in range(3):
        world.controller.step()
    assert world.ready(1).pid == before.pid
    assert len(world.delivery.attempts) == attempts
    assert world.events() == told


def test_a_registry_that_lost_every_alias_is_held_until_confirmed(world):
    """And the alarm is in the events."""
    other = Key("other", "Production")
    world.registry.now = {KEY: 1, other: 1}
    world.ready(1)
    world.ready(1, other)
    world.registry.now = {}
    for _ in range(5):
        world.controller.step()
    assert world.status().condition == "Degraded"
    assert "samovar confirm" in world.status().reason
    assert "held" in world.events()
    assert world.controller.confirm() == ("m@Production", "other@Production")
    world.controller.step()
    assert world.controller.statuses() == []


def test_a_move_made_elsewhere_is_recorded_once(world):
    """Each external move is one decision, also after the controller forgot everything, and also when it repeats."""
    for version in (1, 2, 1):
        world.registry.now = {KEY: version}
        world.ready(version)
        world.start()
        world.controller.step()
    world.registry.now = {}
    world.controller.step()
    world.controller.step()
    assert world.history() == [
        ("external", None, 1),
        ("external", 1, 2),
        ("external", 2, 1),
        ("external", 1, None),
    ]


def test_samovars_own_decision_is_not_recorded_again(world):
    """Neither before it is marked as applied nor after."""
    with world.db.begin() as connection:
        decisions.record(connection, promotion("k", 1))
    world.registry.now = {KEY: 1}
    world.controller.step()
    with world.db.begin() as connection:
        decisions.mark_applied(connection, "k")
    world.start()
    world.ready(1)
    assert world.history() == [("promote", None, 1)]


def test_a_listing_older_than_a_decision_records_no_move(world):
    """The alias was read, then moved by Samovar, then the decisions were read: nobody else moved anything."""
    with world.db.begin() as connection:
        decisions.record(connection, promotion("k", 2))
        decisions.mark_applied(connection, "k")
    world.registry.now = {KEY: 2}
    world.journal.observe({KEY: 1})
    assert world.history() == [("promote", None, 2)]


def test_without_a_database_models_are_served_and_the_record_is_made_later(world):
    """Events and moves wait in memory; trust cannot be read, so nothing untrusted runs."""

    def unreachable():
        raise StoreUnavailable("The database cannot be reached.")

    world.journal = Journal(unreachable, world.registry.current)
    world.delivery.journal = world.journal
    world.start()
    world.registry.now = {KEY: 1}
    world.ready(1)
    assert world.history() == []
    assert not world.journal.trusted("m", 1)
    world.journal._open = lambda: open_database(world.settings)
    world.controller.step()
    assert world.history() == [("external", None, 1)]
    assert "served" in world.events()


def test_an_endpoint_made_anew_is_heard_when_it_fails(world):
    """The count of its failures begins at zero again, as low as one that was heard before."""
    world.delivery.behaviour[1] = {"broken": ""}
    world.registry.now = {KEY: 1}
    world.until(lambda status: status.condition == "Failed")
    world.registry.now = {}
    world.eventually(lambda: (world.controller.step(), world.status())[1] is None, 10, "the endpoint gone")
    world.registry.now = {KEY: 1}
    world.until(lambda status: status.condition == "Failed")


def test_a_plan_of_an_earlier_samovar_is_built_again(world):
    """Its workers answer until the new plan's do."""
    world.registry.now = {KEY: 1}
    before = world.ready(1)
    same = origin(world.registry.version("m", 1))
    old = protocol.Serve(*KEY, 1, "v1", same, FORMAT - 1, "compiled")
    fd = memory.seal(encode(world.fake_plan(KEY.model, 1)), name="test")
    world.agent.link.serve(old, fd)
    os.close(fd)
    world.eventually(
        lambda: (state := world.agent.state()).pid not in {0, before.pid} and state.format == FORMAT - 1, 10, "the old plan"
    )
    attempts = len(world.delivery.attempts)
    world.until(lambda _: world.agent.state().format == FORMAT)
    assert len(world.delivery.attempts) == attempts + 1
    assert world.ready(1).engine == "compiled"


def test_events_are_dated_when_they_happen_and_none_is_lost_or_doubled(world):
    """Written later, from two threads, with a database that fails once in between."""
    began = dt.datetime.now(dt.UTC)
    world.journal.event("early", KEY)
    opened, world.journal._db = world.journal._db, None
    world.journal._open = lambda: (_ for _ in ()).throw(StoreUnavailable("away"))
    world.journal.flush()
    late = dt.datetime.now(dt.UTC)
    world.journal._db, world.journal._open = opened, lambda: open_database(world.settings)
    noting = threading.Thread(target=lambda: [world.journal.event("many", KEY, number=number) for number in range(500)])
    noting.start()
    while noting.is_alive():
        world.journal.flush()
    world.journal.flush()
    with world.db.read() as connection:
        told = events.list_(connection, limit=1000)
    assert [event.detail["number"] for event in reversed(told) if event.kind == "many"] == list(range(500))
    (early,) = [event for event in told if event.kind == "early"]
    assert began <= early.at <= late
