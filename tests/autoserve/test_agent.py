"""The agent on real sockets and real processes, with a worker that has no model."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from samovar.autoserve import memory, protocol
from samovar.autoserve.agent import config as agent_files
from samovar.autoserve.plan import Key
from samovar.autoserve.runtimes.process.link import AgentLink
from samovar.errors import GiveUp, StackUnavailable
from samovar.scoring.plan import FORMAT

KEY = Key("m", "Production")


def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()


def zygote_of(agent, name="zygote"):
    """The agent's children are its zygotes: the lean one, and while there is work for it the ample one."""
    children = Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children").read_text().split()
    named = [int(pid) for pid in children if command_line(int(pid)) == f"samovar: {name}"]
    return named[0] if named else None


def test_a_version_is_served_at_a_port_of_its_own(agent, fake_plan, get):
    """One request to the agent, and the version answers."""
    agent.serve(fake_plan(version=1))
    state = agent.serving(1)
    assert get(state.port) == ("v1", state.pid)


def test_a_worker_says_in_ps_what_it_is(agent, fake_plan):
    """A person reads model, alias and version in the process list."""
    agent.serve(fake_plan("fraud", 3))
    state = agent.serving(3, model="fraud")
    assert command_line(state.pid) == "samovar: fraud@Production v3"


def test_a_swap_loses_no_request(agent, fake_plan, get, load_on):
    """Keep-alive and fresh connections across ten swaps: none fails, and the address stays."""
    agent.serve(fake_plan(version=1))
    port = agent.serving(1).port
    with load_on(port) as load:
        for version in range(2, 12):
            load.more(5)
            agent.serve(fake_plan(version=version))
            assert agent.serving(version).port == port
        load.more()
    assert load.failures == []
    assert get(port)[0] == "v11"


@pytest.mark.parametrize("how", [{"broken": ""}, {"hangs": ""}])
def test_a_version_that_does_not_load_never_replaces_a_good_one(new_agent, how, fake_plan, load_on):
    """The old version keeps answering; the failure and its reason are reported."""
    agent = new_agent(**{"load-seconds": 5}).start()
    agent.serve(fake_plan(version=1))
    port = agent.serving(1).port
    with load_on(port) as load:
        agent.serve(fake_plan(version=2, **how))
        state = agent.until(lambda state: state.failed == 2)
        load.more()
    assert (state.serving, state.up, state.loading) == (1, True, None)
    assert "no such layer" in state.reason or "within 5 s" in state.reason
    assert load.failures == []


def test_a_version_that_crashes_after_the_swap_gives_way_to_the_last_good_one(agent, fake_plan, get):
    """From memory, without the registry."""
    agent.serve(fake_plan(version=1))
    port = agent.serving(1).port
    agent.serve(fake_plan(version=2, crashes=""))
    state = agent.until(lambda state: state.failed == 2 and state.up and state.serving == 1)
    assert "crashed" in state.reason
    assert get(port)[0] == "v1"


def test_a_first_version_that_fails_refuses_connections(agent, fake_plan, get):
    """Nobody waits at a port behind which nothing will answer."""
    agent.serve(fake_plan(version=1, broken=""))
    state = agent.until(lambda state: state.failed == 1)
    assert not state.up
    with pytest.raises(ConnectionRefusedError):
        get(state.port)


def test_a_killed_worker_is_back_within_a_second_and_connections_wait_for_it(agent, fake_plan, get):
    """The listening socket stays open: a request sent in between is answered by the successor."""
    agent.serve(fake_plan(version=1))
    state = agent.serving(1)
    os.kill(state.pid, signal.SIGKILL)
    began = time.monotonic()
    label, pid = get(state.port)
    assert time.monotonic() - began < 1.0
    assert label == "v1"
    assert pid != state.pid
    assert agent.serving(1).restarts == 1


def test_a_killed_agent_leaves_its_workers_answering_and_the_next_one_adopts_them(agent, eventually, fake_plan, load_on):
    """Same process, same port, and the adopted endpoint can still be swapped without a lost request."""
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    with load_on(before.port) as load:
        load.more()
        agent.kill()
        load.more()
        agent.start()
        after = agent.serving(1)
        assert (after.port, after.pid) == (before.port, before.pid)
        agent.serve(fake_plan(version=2))
        assert agent.serving(2).port == before.port
        load.more()
    assert load.failures == []
    eventually(lambda: len(agent.workers()) == 1, 10, "the old worker gone")


def test_an_adopted_worker_that_dies_comes_back_from_memory(agent, fake_plan, get):
    """The plan came back with the worker, so MLflow is not needed."""
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    agent.kill()
    agent.start()
    agent.serving(1)
    os.kill(before.pid, signal.SIGKILL)
    label, pid = get(before.port)
    assert label == "v1"
    assert pid != before.pid


def test_an_agent_killed_in_the_middle_of_a_swap_ends_with_one_worker(agent, eventually, fake_plan, load_on):
    """The younger offer wins, whichever agent sees it through."""
    agent.serve(fake_plan(version=1))
    port = agent.serving(1).port
    with load_on(port) as load:
        agent.serve(fake_plan(version=2, slow=1))
        eventually(lambda: len(agent.workers()) == 2, 5, "the second worker")
        agent.kill()
        agent.start()
        assert agent.serving(2).port == port
        load.more()
    assert load.failures == []
    eventually(lambda: len(agent.workers()) == 1, 10, "the old worker gone")


def test_a_killed_zygote_is_replaced_and_nobody_notices(agent, fake_plan):
    """Workers keep answering, and the next version is forked by the new zygote."""
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    old = zygote_of(agent)
    os.kill(old, signal.SIGKILL)
    agent.serve(fake_plan(version=2))
    assert agent.serving(2).port == before.port
    assert zygote_of(agent) not in {None, old}


@pytest.mark.parametrize(("engine", "name"), [("compiled", "zygote"), ("sklearn", "ample zygote")])
def test_a_zygote_has_one_thread_with_everything_preloaded(new_agent, fake_plan, engine, name):
    """A fork of a process with threads copies locks that nobody releases."""
    preloaded = {"preload": ",".join(agent_files.LEAN_PRELOAD), "ample": ",".join(agent_files.AMPLE_PRELOAD)}
    agent = new_agent(**preloaded).start()
    agent.serve(fake_plan(version=1, engine=engine))
    agent.serving(1, seconds=60)
    assert len(list(Path(f"/proc/{zygote_of(agent, name)}/task").iterdir())) == 1


def test_a_deleted_alias_closes_its_port_and_ends_its_worker(agent, eventually, fake_plan, get):
    """The address stays reserved, and is the same when the alias comes back."""
    agent.serve(fake_plan(version=1))
    state = agent.serving(1)
    agent.link.stop(KEY)
    assert agent.state() is None

    def refused():
        try:
            get(state.port)
        except ConnectionRefusedError:
            return True
        except (OSError, http.client.HTTPException):
            return False
        return False

    eventually(refused, 5, "the port closed")
    eventually(lambda: not agent.workers(), 5, "the worker gone")
    agent.serve(fake_plan("other", 1))
    assert agent.serving(1, model="other").port != state.port
    agent.serve(fake_plan(version=2))
    assert agent.serving(2).port == state.port


def test_a_cancelled_version_never_serves(agent, fake_plan):
    """An alias that moves back before the new version was ready."""
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    agent.serve(fake_plan(version=2, slow=0.3))
    agent.link.cancel(KEY)
    agent.serve(fake_plan("witness", 2, slow=0.6))
    agent.serving(2, model="witness")
    after = agent.serving(1)
    assert (after.pid, after.failed) == (before.pid, None)


def test_a_version_in_memory_is_served_again_without_its_plan(agent, fake_plan):
    """A promotion from Candidate and a rollback need no registry."""
    request = protocol.Serve("m", "Production", 1, "v1", "origin-1", FORMAT)
    assert not agent.link.serve(request)
    agent.serve(fake_plan(version=1), alias="Candidate")
    agent.serving(1, alias="Candidate")
    assert agent.link.serve(request)
    agent.serving(1)
    assert not agent.link.serve(protocol.Serve("m", "Production", 1, "v1", "another-origin", FORMAT))


def test_a_second_agent_refuses_with_one_clear_line(agent, fake_plan):
    """And the first one is not disturbed."""
    agent.serve(fake_plan(version=1))
    second = subprocess.run(agent.process.args, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert second.stderr.startswith("error: An agent already runs")
    assert len(second.stderr.splitlines()) == 1
    agent.serving(1)


def test_a_socket_left_by_a_dead_agent_is_no_obstacle(new_agent):
    """`kill -9` leaves the file behind."""
    agent = new_agent()
    agent.start()
    agent.kill()
    assert (agent.run_dir / agent_files.SOCKET).exists()
    agent.start()


def test_the_socket_is_for_this_user_alone(agent):
    """Who may speak to the agent may run code in workers."""
    assert stat.S_IMODE((agent.run_dir / agent_files.SOCKET).stat().st_mode) == 0o600


def test_shutdown_returns_when_all_workers_are_gone(agent, fake_plan):
    """Also with a client that holds a connection and does nothing."""
    agent.serve(fake_plan(version=1))
    state = agent.serving(1)
    workers = agent.workers()
    with socket.create_connection(("127.0.0.1", state.port)):
        agent.link.shutdown(grace=0.3)
        assert workers
        assert not any(process.alive for process in workers)
    assert agent.process.wait(5) == 0


def test_workers_of_a_dead_agent_end_with_shutdown_too(agent, fake_plan):
    """`samovar down` leaves no process, whatever was killed before."""
    agent.serve(fake_plan(version=1))
    agent.serving(1)
    workers = agent.workers()
    agent.kill()
    AgentLink(agent.run_dir).shutdown()
    assert workers
    assert not any(process.alive for process in workers)


def test_a_client_that_holds_a_connection_keeps_no_worker_of_a_dead_agent(agent, fake_plan):
    """A worker may drain for long; `samovar down` gives it the grace that an agent would."""
    agent.serve(fake_plan(version=1))
    state = agent.serving(1)
    workers = agent.workers()
    agent.kill()
    with socket.create_connection(("127.0.0.1", state.port)):
        began = time.monotonic()
        AgentLink(agent.run_dir).shutdown(grace=0.3)
        assert time.monotonic() - began < 3
    assert workers
    assert not any(process.alive for process in workers)


def test_workers_leave_when_the_run_folder_is_removed(agent, eventually, fake_plan):
    """Deleting the state folder is an end as well."""
    agent.serve(fake_plan(version=1))
    agent.serving(1)
    workers = agent.workers()
    agent.kill()
    shutil.rmtree(agent.run_dir)
    eventually(lambda: not any(process.alive for process in workers), 5, "the workers gone")


def test_a_plan_that_could_still_change_is_refused(agent):
    """The agent takes sealed memory only: what was checked is what is served."""
    fd = os.memfd_create("unsealed")
    try:
        with pytest.raises(GiveUp, match="sealed"):
            agent.link.serve(protocol.Serve("m", "Production", 1), fd)
    finally:
        os.close(fd)


def test_sealed_memory_cannot_be_written():
    """Not even by its maker."""
    fd = memory.seal(b"plan", name="m")
    with contextlib.closing(os.fdopen(fd, "r+b", buffering=0)) as file, pytest.raises(PermissionError):
        file.write(b"x")


def test_without_an_agent_the_link_says_what_to_do(tmp_path):
    """One line with a remedy."""
    with pytest.raises(StackUnavailable, match="samovar up"):
        AgentLink(tmp_path).endpoints()
