"""Nothing is left: no process, no port, no file that claims a stack."""

from __future__ import annotations

import os
import shutil
import signal

import msgspec
import pytest

from samovar.stack import shutdown


def _nothing_left(stack):
    return not stack.processes() and not any(map(stack.listens, stack.ports)) and stack.run.plan() is None


def test_stop_leaves_nothing(small_stack):
    """The plain case."""
    shutdown.stop_everything(small_stack.run, small_stack.plan)
    assert _nothing_left(small_stack)
    assert {file.suffix for file in small_stack.run.path.iterdir()} <= {".lock"}


@pytest.mark.parametrize("role", ["guardian", "supervisor"])
def test_a_signal_to_either_keeper_stops_the_whole_stack(small_stack, role):
    """Systemd and people send SIGTERM to one process."""
    os.kill(small_stack.run.keeper(role).identity.pid, signal.SIGTERM)
    small_stack.until(lambda: _nothing_left(small_stack), what="the end of the stack")


@pytest.mark.parametrize("victims", [("supervisor",), ("guardian",), ("supervisor", "guardian"), ("a",), ("a", "supervisor")])
def test_stop_leaves_nothing_when_something_was_killed_just_before(small_stack, victims):
    """What is being restarted at this moment is ended as well."""
    for victim in victims:
        known = small_stack.service(victim) or small_stack.run.keeper(victim)
        os.kill(known.identity.pid, signal.SIGKILL)
    shutdown.stop_everything(small_stack.run, small_stack.plan)
    assert _nothing_left(small_stack)


def test_a_service_that_ignores_the_signal_is_killed(small_stack):
    """A stopped process takes no SIGTERM."""
    os.kill(small_stack.service("b").identity.pid, signal.SIGSTOP)
    shutdown.stop_everything(small_stack.run, small_stack.plan)
    assert _nothing_left(small_stack)


def test_a_deleted_state_folder_ends_the_stack(small_stack):
    """Deleting one folder deletes everything."""
    shutil.rmtree(small_stack.run.path, ignore_errors=True)
    small_stack.until(lambda: _nothing_left(small_stack), what="the end of the stack")


def test_the_end_of_an_old_stack_leaves_a_new_one_in_the_same_folder_alone(small_stack):
    """Somebody deleted the folder and started again before the old stack noticed."""
    new = msgspec.structs.replace(small_stack.plan, stack=small_stack.plan.stack + "-new")
    small_stack.run.write_plan(new)
    small_stack.until(lambda: not small_stack.processes(), what="the end of the old stack")
    assert small_stack.run.plan() == new
    assert not small_stack.run.ending(new)
