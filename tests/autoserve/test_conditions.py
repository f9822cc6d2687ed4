"""What goes wrong with a version or its model is a condition with a reason, and the last good version keeps answering."""

from __future__ import annotations

import os
import signal

import pytest

from samovar.autoserve import lasting
from samovar.autoserve.plan import Key
from samovar.autoserve.retries import BROKEN
from samovar.errors import ModelError, NotFound

KEY = Key("m", "Production")
LAST_GOOD, REJECTED = "samovar.last_good.Production", "samovar.rejected.2"


def steady(world):
    """Let time pass until whoever answers has done so long enough."""
    world.controller.step()
    world.clock += lasting.STEADY_SECONDS + 1
    world.controller.step()


def crash(world, version, times):
    """Kill the workers of a version again and again, as often as it takes."""
    for _ in range(times):
        state = world.agent.until(lambda state: state.serving == version and state.up and state.pid)
        os.kill(state.pid, signal.SIGKILL)
        world.eventually(lambda pid=state.pid: world.agent.state().pid != pid)


def test_a_version_deleted_under_its_alias_keeps_answering_until_a_person_says(world):
    """MLflow deletes the aliases with it, so this looks like a deleted alias, and is none."""
    world.registry.now = {KEY: 1}
    before = world.ready(1)
    world.registry.delete_version("m", 1)
    for _ in range(4):
        world.controller.step()
    after = world.status()
    assert (after.condition, after.serving, after.pid) == ("Degraded", 1, before.pid)
    assert "was deleted from the registry" in after.reason
    assert "samovar confirm" in after.reason
    assert world.controller.health.held == ("m@Production",)
    assert "held" in world.events()
    world.registry.now = {KEY: 2}
    assert world.ready(2).address == before.address
    assert world.controller.health.held == ()


@pytest.mark.parametrize("where", ["built", "loaded"])
def test_a_broken_version_deleted_under_its_alias_leaves_the_one_that_answers(world, where):
    """Its alias went with it although it never served. A controller without memory sees what the agent tried last."""
    if where == "built":
        world.delivery.errors[2] = ModelError("The model has no head.")
    else:
        world.delivery.behaviour[2] = {"broken": ""}
    world.registry.now = {KEY: 1}
    before = world.ready(1)
    world.registry.now = {KEY: 2}
    world.until(lambda status: status.condition == "Degraded" and status.reason)
    if where == "loaded":
        world.start()
    world.registry.delete_version("m", 2)
    for _ in range(4):
        world.settle()
    after = world.status()
    assert (after.condition, after.serving, after.pid) == ("Degraded", 1, before.pid)
    assert "Version 2 was deleted from the registry" in after.reason
    assert "Version 1 keeps answering" in after.reason
    world.controller.confirm()
    world.controller.step()
    assert world.status() is None


def test_a_wrong_address_does_not_end_the_only_endpoint(world):
    """It holds models too, and they get endpoints of their own."""
    world.registry.now = {KEY: 1}
    before = world.ready(1)
    world.registry.delete_model("m")
    world.registry.now = {Key("other", "Production"): 1}
    for _ in range(4):
        world.controller.step()
    after = world.status()
    assert (after.condition, after.serving, after.pid) == ("Degraded", 1, before.pid)
    assert "check the registry's address" in after.reason
    world.registry.born["m"] = "m"
    world.registry.now = {KEY: 1}
    assert world.ready(1).pid == before.pid


def test_the_only_alias_can_be_deleted(world):
    world.registry.now = {KEY: 1}
    world.ready(1)
    world.registry.now = {}
    world.eventually(lambda: (world.controller.step(), world.status())[1] is None)


def test_a_person_can_end_what_answers_from_a_deleted_version(world):
    world.registry.now = {KEY: 1}
    world.ready(1)
    world.registry.delete_version("m", 1)
    for _ in range(4):
        world.controller.step()
    assert world.controller.confirm() == ("m@Production",)
    world.controller.step()
    assert world.status() is None


def test_a_deleted_alias_and_a_deleted_model_end_their_endpoints(world):
    other = Key("other", "Production")
    world.registry.now = {KEY: 1, other: 1, Key("third", "Production"): 1}
    for key in world.registry.now:
        world.ready(1, key)
    del world.registry.now[KEY]
    world.eventually(lambda: (world.controller.step(), world.status())[1] is None)
    world.registry.delete_model("other")
    world.eventually(lambda: (world.controller.step(), world.status(other))[1] is None)


def test_a_renamed_model_is_served_from_memory_and_the_old_address_goes_on(world):
    """No build: the artifact store may be down. The old name's callers are told where to go."""
    new = Key("n", "Production")
    world.registry.now = {KEY: 1, Key("other", "Production"): 1}
    before = world.ready(1)
    world.registry.rename("m", "n")
    world.delivery.errors[1] = ModelError("It cannot be built again.")
    assert world.ready(1, new).address != before.address
    for _ in range(4):
        world.controller.step()
    old = world.status()
    assert (old.condition, old.serving, old.pid) == ("Degraded", 1, before.pid)
    assert "is called n now" in old.reason
    world.start()
    for _ in range(4):
        world.controller.step()
    assert "is called n now" in world.status().reason, "a controller without memory sees it too"
    world.controller.confirm()
    world.controller.step()
    assert world.status() is None
    assert world.ready(1, new)


def test_nothing_is_ended_while_the_registry_cannot_say_why_an_alias_is_gone(world):
    world.registry.now = {KEY: 1}
    world.ready(1)
    world.registry.now = {}
    look, world.registry.model = world.registry.model, lambda _: (_ for _ in ()).throw(ModelError("garbage"))
    for _ in range(4):
        world.controller.step()
    assert world.status().serving == 1
    world.registry.model = look
    world.eventually(lambda: (world.controller.step(), world.status())[1] is None)


def test_an_alias_on_a_version_without_artifacts_is_degraded(world):
    world.registry.now = {KEY: 1}
    world.ready(1)
    world.delivery.errors[2] = NotFound("m version 2 has no files in its artifact store.", remedy="Log and register it again.")
    world.registry.now = {KEY: 2}
    status = world.until(lambda status: status.condition == "Degraded")
    assert status.serving == 1
    assert "Log and register it again" in status.reason


def test_what_served_steadily_is_remembered_in_the_registry_once(world):
    world.registry.now = {KEY: 1}
    world.ready(1)
    world.controller.step()
    assert LAST_GOOD not in world.registry.tags["m"], "not at once: it must prove itself"
    steady(world)
    assert world.registry.tags["m"] == {LAST_GOOD: "1"}
    for _ in range(5):
        world.controller.step()
    assert world.registry.calls["set_model_tag"] == 1


def test_a_worker_that_died_meanwhile_is_not_steady(world):
    world.registry.now = {KEY: 1}
    world.ready(1)
    world.controller.step()
    world.clock += 59
    crash(world, 1, 1)
    world.ready(1)
    world.clock += 2
    world.controller.step()
    assert LAST_GOOD not in world.registry.tags["m"]


def test_a_host_without_memory_serves_the_last_good_version_in_place_of_a_broken_one(world):
    """The alias stays where its owner put it, and the wanted version is served as soon as it can be."""
    world.registry.tags["m"] = {LAST_GOOD: "1"}
    world.delivery.errors[2] = ModelError("The model has no head.")
    world.registry.now = {KEY: 2}
    status = world.until(lambda status: status.serving == 1)
    assert (status.condition, status.wanted) == ("Degraded", 2)
    assert "no head" in status.reason
    assert world.registry.now == {KEY: 2}
    del world.delivery.errors[2]
    world.clock += 10
    world.ready(2)


def test_without_the_mechanism_that_host_serves_nothing(world, monkeypatch):
    """The sabotage twin of the test above: fallbacks are not read."""
    monkeypatch.setattr("samovar.autoserve.controller.fallbacks", lambda _: {})
    with pytest.raises(AssertionError):
        test_a_host_without_memory_serves_the_last_good_version_in_place_of_a_broken_one(world)


def test_a_version_that_crashes_on_a_fresh_host_gives_way_to_the_last_good_one(world):
    """The agent has nothing to go back to; the registry has."""
    world.registry.tags["m"] = {LAST_GOOD: "1"}
    world.registry.now = {KEY: 2}
    world.ready(2)
    crash(world, 2, 3)
    status = world.until(lambda status: status.serving == 1)
    assert status.condition == "Degraded"
    assert "crashed 3 times" in status.reason


def test_an_agent_that_dies_while_a_new_version_crashes_loses_no_good_one(world, get):
    """Only the agent's memory had the version before, which had not served for a minute yet."""
    world.delivery.behaviour = {2: {"crashes": ""}}
    world.registry.now = {KEY: 1}
    port = world.ready(1).address.rpartition(":")[2]
    world.controller.step()
    world.registry.now = {KEY: 2}
    world.until(lambda _: world.agent.state().serving == 2)
    world.agent.kill()
    world.agent.start()
    status = world.until(lambda status: status.serving == 1 and status.pid)
    assert (status.condition, status.wanted) == ("Degraded", 2)
    assert get(int(port))[0] == "v1"


def test_without_the_mechanism_that_agent_loses_it(world, get, monkeypatch):
    """The sabotage twin of the test above: nothing is written when the alias leaves."""
    monkeypatch.setattr(lasting.Lasting, "leave", lambda *_: None)
    with pytest.raises(AssertionError):
        test_an_agent_that_dies_while_a_new_version_crashes_loses_no_good_one(world, get)


def test_a_version_that_keeps_failing_is_rejected_in_the_registry_and_tried_ever_less(world):
    world.delivery.errors[2] = ModelError("The model has no head.")
    world.registry.now = {KEY: 2}
    for _ in range(70):
        world.clock += 1
        world.settle()
    assert world.registry.tags["m"][REJECTED] == "failed: The model has no head."
    assert world.registry.calls["set_model_tag"] == 1


def test_another_host_begins_with_the_last_good_version_when_the_wanted_one_is_known_to_fail(world):
    world.registry.tags["m"] = {LAST_GOOD: "1", REJECTED: "failed: The model has no head."}
    world.registry.now = {KEY: 2}
    world.until(lambda status: status.serving == 1)
    assert [version for _, version in world.delivery.attempts] == [1]
    world.clock += 301
    assert world.ready(2).condition == "Ready", "its host may have been at fault: it is tried again"
    steady(world)
    assert world.registry.tags["m"] == {LAST_GOOD: "2"}


@pytest.mark.parametrize("how", ["the tag is deleted", "the alias is moved away and back"])
def test_what_crashed_waits_for_a_person(world, how):
    world.registry.tags["m"] = {LAST_GOOD: "1", REJECTED: "crashed: It crashed 3 times in a row."}
    world.registry.now = {KEY: 2}
    status = world.until(lambda status: status.serving == 1)
    world.clock += 10_000
    world.settle()
    status = world.status()
    assert (status.condition, status.serving) == ("Degraded", 1)
    assert f"delete the tag {REJECTED}" in status.reason
    assert not world.registry.calls["delete_model_tag"]
    if how == "the tag is deleted":
        del world.registry.tags["m"][REJECTED]
    else:
        world.registry.now = {KEY: 1}
        world.ready(1)
        world.registry.now = {KEY: 2}
    world.ready(2)
    assert REJECTED not in world.registry.tags["m"]


def test_crash_loops_end_in_a_rejection_and_the_last_good_version(world):
    """Every attempt costs callers their answers, so there are three."""
    world.registry.now = {KEY: 1}
    world.ready(1)
    world.registry.now = {KEY: 2}
    for attempt in range(3):
        world.ready(2) if attempt == 0 else world.until(lambda status: status.serving == 2 and status.pid)
        crash(world, 2, 3)
        world.until(lambda status: status.serving == 1 and status.condition == "Degraded" and status.pid)
        world.clock += 20 * (attempt + 1)
    world.clock += 10_000
    for _ in range(5):
        world.settle()
    assert world.registry.tags["m"][REJECTED].startswith("crashed: It crashed 3 times in a row.")
    assert world.status().serving == 1


def test_a_registry_that_takes_no_tags_holds_nothing_up(world):
    """One attempt now and then; aliases are served meanwhile."""

    def hangs(*_):
        world.registry.calls["tried"] += 1
        raise ModelError("MLflow hangs.")

    world.registry.now = {KEY: 1}
    world.ready(1)
    put, world.registry.set_model_tag = world.registry.set_model_tag, hangs
    steady(world)
    for _ in range(20):
        world.clock += 1
        world.controller.step()
    assert world.registry.calls["tried"] == 1
    world.registry.set_model_tag = put
    world.clock += 31
    world.controller.step()
    assert world.registry.tags["m"] == {LAST_GOOD: "1"}


class TestUnreadableKeys:
    """The file of API keys is the host's: no version is at fault when it cannot be read."""

    @pytest.fixture
    def file(self, tmp_path):
        return tmp_path / "keys.json"

    @pytest.fixture
    def agent(self, new_agent, file):
        return new_agent(**{"keys-file": file}).start()

    def test_no_version_is_rejected_in_the_registry(self, world, file):
        """Else all other hosts would wait with it."""
        file.write_text("[")
        world.registry.now = {KEY: 2}

        def failed_often():
            world.clock += 10
            world.settle()
            return (state := world.agent.state()) is not None and state.failures > BROKEN

        world.eventually(failed_often, 30)
        world.settle()
        assert "keys" in world.status().reason
        assert world.registry.tags["m"] == {}
        file.unlink()
        world.clock += 301
        world.ready(2)

    def test_a_version_that_serves_is_not_given_up(self, world, file):
        """Its forerunner could not be served without keys either."""
        world.registry.now = {KEY: 1}
        world.ready(1)
        world.registry.now = {KEY: 2}
        world.ready(2)
        file.write_text("[")
        os.kill(world.agent.state().pid, signal.SIGKILL)
        state = world.agent.until(lambda state: state.failures)
        assert (state.serving, state.failed, state.crashed, state.host_fault) == (2, 2, False, True)
        file.unlink()
        world.ready(2)
