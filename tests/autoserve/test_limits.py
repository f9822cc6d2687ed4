"""What a worker may take of its host: memory, cores, and how many of them there are."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from samovar.autoserve.agent import limits
from samovar.autoserve.agent.config import AgentConfig
from samovar.autoserve.agent.titles import start_time
from samovar.autoserve.agent.watch import Watch
from samovar.autoserve.agent.workers import WorkerProcess
from samovar.autoserve.plan import Key
from samovar.autoserve.tuning import PLAIN, Tuning

KEY = Key("m", "Production")
LIMIT = Tuning(memory_mb=150)


def eat(port):
    """Make the worker that takes the next request allocate without end; it does not answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /eat HTTP/1.1\r\n\r\n")
        try:
            return connection.recv(1)
        except ConnectionError:
            return b""


def test_a_worker_that_takes_too_much_is_ended_alone_and_it_is_said_why(agent, fake_plan, get, load_on):
    """It comes back; its neighbour answers all the time."""
    agent.serve(fake_plan("neighbour", 1))
    neighbour = agent.serving(1, model="neighbour")
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    agent.link.tune(KEY, LIMIT)
    with load_on(neighbour.port) as load:
        assert eat(before.port) == b""
        after = agent.until(lambda state: state.up and state.restarts == 1)
        load.more()
    assert load.failures == []
    assert after.warnings == ("A worker of v1 died. It took more than 150 MB, which is its limit.",)
    assert get(after.port)[0] == "v1"
    assert agent.serving(1, model="neighbour").pid == neighbour.pid


def test_a_version_that_takes_too_much_again_and_again_gives_way_to_the_last_good_one(agent, fake_plan, get):
    agent.serve(fake_plan(version=1))
    agent.serving(1)
    agent.link.tune(KEY, LIMIT)
    agent.serve(fake_plan(version=2, eats_when_serving=""))
    state = agent.until(lambda state: state.failed == 2 and state.up and state.serving == 1, 30)
    assert "crashed 3 times" in state.reason
    assert "150 MB" in state.reason


def test_a_version_that_allocates_without_end_at_load_never_replaces_a_good_one(agent, fake_plan, load_on):
    """Whichever is quicker, the kernel's wall or the agent's look: the reason is the same."""
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    agent.link.tune(KEY, LIMIT)
    with load_on(before.port) as load:
        agent.serve(fake_plan(version=2, eats=""))
        state = agent.until(lambda state: state.failed == 2, 20)
        load.more()
    assert load.failures == []
    assert (state.serving, state.pid) == (1, before.pid)
    assert state.reason == "It took more than 150 MB, which is its limit."


def test_without_a_word_from_anybody_the_wall_is_a_share_of_the_host(new_agent, fake_plan):
    share = 400e6 / limits.host_memory()
    agent = new_agent(**{"memory-share": share}).start()
    agent.serve(fake_plan(version=1, eats=""))
    state = agent.until(lambda state: state.failed == 1, 20)
    assert "more than 400 MB" in state.reason or "more than 399 MB" in state.reason


def test_a_worker_within_its_limit_is_left_alone(agent, fake_plan, get):
    """The same look, at one that took two thirds: it tells the difference."""
    agent.serve(fake_plan(version=1, holds=100_000_000))
    before = agent.serving(1)
    agent.link.tune(KEY, LIMIT)
    assert 100e6 < limits.taken(before.pid) < 150e6
    agent.serve(fake_plan("witness", 1, slow=1))
    agent.serving(1, model="witness")
    assert agent.serving(1).pid == before.pid
    agent.link.tune(KEY, Tuning(memory_mb=90))
    assert "90 MB" in agent.until(lambda state: state.restarts).warnings[0]


ORPHAN = """
import os, time
from samovar.autoserve.agent import limits
held = b"x" * 200_000_000
if os.fork() == 0:
    inherited = limits.unfiled(os.getpid())
    taken = b"x" * 30_000_000
    print(os.getpid(), inherited, flush=True)
    time.sleep(60)
"""


def test_what_a_worker_got_from_its_zygote_is_no_fault_of_its_own_when_the_zygote_is_gone(tmp_path):
    """Pages that both had are the worker's alone then, and there are as many of them as before."""
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True) as zygote:
        pid, inherited = map(int, zygote.stdout.readline().split())
        zygote.stdout.close()
    try:
        assert limits.taken(pid) > 200e6
        assert 30e6 <= limits.taken(pid, inherited) < 60e6
        worker, ended = WorkerProcess(None, None, 1.0, None, None), []
        worker.pid, worker.inherited, worker.end = pid, inherited, ended.append
        loop = asyncio.new_event_loop()
        watch = Watch(loop, AgentConfig(str(tmp_path), ""), lambda: [worker], print)
        for worker.limit in (100_000_000, 20_000_000):
            assert ended == []
            watch.start()
            watch.close()
        assert ended == ["It took more than 20 MB, which is its limit."]
        loop.close()
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_limit_under_what_the_zygote_gave_ends_no_adopted_worker(new_agent, fake_plan, eventually, children):
    """The next agent learns from the worker what it was born with."""
    agent = new_agent(preload="numpy,httpx,msgspec").start()
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    zygotes = children(agent).values()
    agent.kill()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in zygotes), 5, "the zygotes gone")
    agent.start()
    agent.serving(1)
    limit = 0.8 * limits.taken(before.pid) / limits.MEGABYTE
    agent.link.tune(KEY, Tuning(memory_mb=limit))
    agent.serve(fake_plan("witness", 1, slow=2))
    agent.serving(1, model="witness")
    assert agent.serving(1).pid == before.pid


@pytest.mark.parametrize("adopted", [False, True])
def test_the_number_of_workers_changes_without_a_lost_request(agent, fake_plan, load_on, eventually, adopted):
    """More, fewer, and by another agent than the one that was told first."""
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    with load_on(before.port) as load:
        agent.link.tune(KEY, Tuning(workers=3))
        more = agent.until(lambda state: len(state.pids) == 3)
        load.more()
        if adopted:
            agent.kill()
            agent.start()
            assert set(agent.until(lambda state: len(state.pids) == 3).pids) == set(more.pids)
            assert agent.state().tuning == Tuning(workers=3)
        agent.link.tune(KEY, Tuning(workers=2))
        eventually(lambda: len(agent.workers()) == 2, 10, "one worker gone")
        agent.link.tune(KEY, PLAIN)
        eventually(lambda: len(agent.workers()) == 1, 10, "another worker gone")
        load.more()
    assert load.failures == []
    assert before.pid in more.pids


def test_a_worker_that_nobody_has_reaped_yet_has_no_limits(eventually):
    """A zombie has no memory to speak of: its endpoint is tuned all the same."""
    with subprocess.Popen(["true"]) as process:
        eventually(lambda: start_time(process.pid) is None, 5, "a zombie")
        limits.worker_wall(process.pid, 10**8)


def test_a_swap_brings_as_many_workers_as_the_endpoint_says(agent, fake_plan):
    agent.serve(fake_plan(version=1))
    agent.serving(1)
    agent.link.tune(KEY, Tuning(workers=2))
    agent.serve(fake_plan(version=2))
    assert len(agent.until(lambda state: state.serving == 2 and state.loading is None).pids) == 2


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core is one core")
def test_an_endpoint_is_kept_on_its_cores_until_it_may_use_all_again(agent, fake_plan, eventually):
    agent.serve(fake_plan(version=1))
    pid = agent.serving(1).pid
    ours = os.sched_getaffinity(0)
    agent.link.tune(KEY, Tuning(cpus=0.5))
    eventually(lambda: len(os.sched_getaffinity(pid)) == 1, 5, "the worker kept on one core")
    assert "0.5 cores are held as 1 whole" in agent.state().warnings[0]
    agent.serve(fake_plan(version=2))
    eventually(lambda: len(os.sched_getaffinity(agent.serving(2).pid)) == 1, 5, "its successor too")
    agent.link.tune(KEY, PLAIN)
    eventually(lambda: os.sched_getaffinity(agent.state().pid) == ours, 5, "all cores again")
    assert agent.state().warnings == ()


def test_endpoints_are_seated_on_different_cores():
    ours = sorted(os.sched_getaffinity(0))
    assert [limits.cores(1, seat) for seat in range(len(ours))] == [{ours[seat]} for seat in range(len(ours))]
    assert limits.cores(None, 3) == limits.cores(10_000, 5) == set(ours)


def test_a_worker_dies_before_the_agent_does_when_the_host_runs_out_of_memory(agent, fake_plan):
    agent.serve(fake_plan(version=1))
    pid = agent.serving(1).pid
    scores = [int(Path(f"/proc/{process}/oom_score_adj").read_text()) for process in (pid, agent.process.pid)]
    assert scores[0] >= limits.WORKER_OOM
    assert scores[0] > scores[1]
