"""Whatever is killed comes back; what runs is left alone."""

from __future__ import annotations

import os
import signal
import time

import pytest

from samovar.stack import processes, shutdown


def _kill(identity):
    os.kill(identity.pid, signal.SIGKILL)
    return time.monotonic()


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_killed_service_is_started_again_within_a_second(small_stack, name):
    """Also the one whose forked child still holds its port."""
    before = small_stack.service(name)
    killed = _kill(before.identity)
    small_stack.until(lambda: small_stack.service(name).identity != before.identity, 1.0, "a restart")
    assert time.monotonic() - killed < 1.0
    small_stack.until(small_stack.well)
    after = small_stack.service(name)
    assert after.restarts == before.restarts + 1
    assert after.last_exit == "killed by SIGKILL"


def test_children_of_a_killed_service_do_not_linger(small_stack):
    """A forked child would keep the port, and answer for a service that is dead."""
    leader = small_stack.service("a").identity
    children = [one for one, name in small_stack.processes().items() if name == "a" and one != leader]
    assert children
    _kill(leader)
    small_stack.until(lambda: not any(child.alive for child in children), 2.0, "the end of the children")
    small_stack.until(small_stack.well)


def test_a_killed_supervisor_comes_back_and_adopts_the_services(small_stack):
    """Services are not touched: same processes, no restart counted."""
    before = {name: small_stack.service(name) for name in "ab"}
    old = small_stack.run.keeper("supervisor").identity
    _kill(old)
    small_stack.until(lambda: small_stack.run.keeper("supervisor").identity != old, 2.0, "another supervisor")
    small_stack.until(small_stack.well)
    for name in "ab":
        assert small_stack.service(name).identity == before[name].identity
        assert small_stack.service(name).restarts == 0


def test_an_adopted_service_is_started_again_too(small_stack):
    """The new supervisor is not its parent, and watches it nevertheless."""
    old = small_stack.run.keeper("supervisor").identity
    _kill(old)
    small_stack.until(lambda: small_stack.run.keeper("supervisor").identity != old and small_stack.well())
    before = small_stack.service("a").identity
    _kill(before)
    small_stack.until(lambda: small_stack.service("a").identity != before, 1.0, "a restart")
    small_stack.until(small_stack.well)


def test_a_killed_guardian_is_replaced_and_the_new_one_guards(small_stack):
    """The new guardian is no parent of the supervisor, and starts another nevertheless."""
    old = small_stack.run.keeper("guardian").identity
    _kill(old)
    small_stack.until(lambda: small_stack.run.keeper("guardian").identity != old, 2.0, "another guardian")
    small_stack.until(small_stack.well)
    supervisor = small_stack.run.keeper("supervisor").identity
    _kill(supervisor)
    small_stack.until(lambda: small_stack.run.keeper("supervisor").identity != supervisor, 2.0, "another supervisor")
    small_stack.until(small_stack.well)


def test_a_service_started_but_not_written_down_is_adopted(small_stack):
    """A supervisor may be killed between the start and the note of it: no second copy is started."""
    state = small_stack.run.state()
    running = state.services["b"].identity
    os.kill(small_stack.run.keeper("supervisor").identity.pid, signal.SIGSTOP)
    state.services["b"].identity = None
    small_stack.run.write_state(state)
    old = small_stack.run.keeper("supervisor").identity
    _kill(old)
    small_stack.until(lambda: small_stack.run.keeper("supervisor").identity != old and small_stack.well())
    assert small_stack.service("b").identity == running


def test_a_reused_pid_is_not_taken_for_the_old_process(small_stack):
    """State that names a living process with another start time is state of a dead one."""
    own = processes.me()
    state = small_stack.run.state()
    supervisor = small_stack.run.keeper("supervisor").identity
    os.kill(supervisor.pid, signal.SIGSTOP)
    _kill(state.services["b"].identity)
    state.services["b"].identity = processes.Identity(own.pid, own.started - 1)
    small_stack.run.write_state(state)
    _kill(supervisor)
    small_stack.until(lambda: small_stack.run.keeper("supervisor").identity != supervisor and small_stack.well())
    assert small_stack.service("b").identity.pid != own.pid
    shutdown.stop_everything(
        small_stack.run, small_stack.plan
    )  # and this process, which is named in the file, is still here to pass the test
    assert not small_stack.processes()
