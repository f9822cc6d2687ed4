"""What goes wrong around the agent: zygotes that hang, workers that nobody wants any more, keys, full disks, many endpoints."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import json
import math
import os
import resource
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from samovar.autoserve import keyring, memory, protocol
from samovar.autoserve.agent import config as agent_files
from samovar.autoserve.agent import limits
from samovar.autoserve.agent.config import AgentConfig
from samovar.autoserve.agent.ledger import Ledger
from samovar.autoserve.agent.nursery import Nursery
from samovar.autoserve.agent.turns import Turns
from samovar.autoserve.plan import Key
from samovar.autoserve.tuning import Tuning
from samovar.errors import SamovarError, StackUnavailable
from samovar.scoring.plan import encode


def test_keys_reach_workers_also_when_the_first_renewal_fails(new_agent, fake_plan, load_on, tmp_path):
    """While the file cannot be read the old keys hold, and nothing is lost; when it can, the new ones do."""
    path = tmp_path / "keys.json"
    keyring.add(path, "shop")
    agent = new_agent(**{"keys-file": path}).start()
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    good = path.read_bytes()
    with load_on(before.port) as load:
        path.write_text("[")
        load.more(100)
        agent.until(lambda _: "knows the keys of now fails" in agent.log.read_text(), 20)
        assert agent.serving(1).pid == before.pid
        path.write_bytes(good.replace(b"shop", b"mart"))
        agent.until(lambda state: state.up and state.pid != before.pid, 20)
        load.more()
    assert load.failures == []


def told_keys(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return json.load(answer)["keys"]


def test_keys_reach_a_version_that_was_loading_when_they_changed(new_agent, fake_plan, tmp_path, eventually):
    """Neither is its load begun anew, nor does it keep the old keys."""
    path = tmp_path / "keys.json"
    keyring.add(path, "shop")
    agent = new_agent(**{"keys-file": path}).start()
    agent.serve(fake_plan(version=1))
    agent.serving(1)
    agent.serve(fake_plan(version=2, slow=2, tells_config=""))
    eventually(lambda: len(agent.workers()) == 2)
    keyring.add(path, "mart")
    port = agent.serving(2).port
    eventually(lambda: told_keys(port) == list(keyring.hashes(path)), 20, "both keys")


def test_keys_changed_while_there_was_no_agent_reach_adopted_workers(new_agent, fake_plan, tmp_path):
    path = tmp_path / "keys.json"
    keyring.add(path, "shop")
    agent = new_agent(**{"keys-file": path}).start()
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    agent.kill()
    keyring.remove(path, "shop")
    agent.start()
    agent.until(lambda state: state.up and state.pid != before.pid, 20)


def test_of_many_keys_made_at_once_none_is_lost(tmp_path):
    path = tmp_path / "keys.json"
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: keyring.add(path, f"key{number}"), range(40)))
    assert {entry.name for entry in keyring.entries(path)} == {f"key{number}" for number in range(40)}


def test_a_library_that_hangs_when_it_is_preloaded_keeps_no_endpoint_from_serving(new_agent, fake_plan):
    """The zygote is ended, and the next one imports nothing beforehand."""
    agent = new_agent(**{"preload": "hanging_library", "load-seconds": 6}).start()
    agent.serve(fake_plan(version=1))
    agent.serving(1, 30)
    assert "the zygote hangs" in agent.log.read_text()


def test_a_stopped_zygote_is_replaced(new_agent, fake_plan, children):
    agent = new_agent(**{"load-seconds": 6}).start()
    agent.serve(fake_plan(version=1))
    agent.serving(1)
    old = children(agent)["zygote"]
    os.kill(old, signal.SIGSTOP)
    agent.serve(fake_plan(version=2))
    agent.serving(2, 30)
    assert children(agent)["zygote"] != old


def test_a_build_that_a_dead_zygote_was_asked_for_is_refused(monkeypatch):
    """Only the sending showed that it is dead: the controller must not wait for an answer."""

    async def ask():
        nursery = Nursery(asyncio.get_running_loop(), AgentConfig(run_dir="", ledger=""), lambda *_: None, lambda: True)
        monkeypatch.setattr(nursery, "_start", lambda: None)

        class Dead:
            closed = False

            def send(self, *_):
                self.closed = True
                nursery._peer = None

        nursery._peer = Dead()
        return nursery.build(protocol.Build("m", 1, 1.0), [])

    assert asyncio.run(ask()) is False


def test_a_worker_that_comes_to_be_after_its_endpoint_was_ended_is_ended_too(agent, fake_plan, eventually, children):
    """The zygote was slow; what it then makes is no endpoint's, and must not become one."""
    agent.serve(fake_plan(version=1))
    agent.serving(1)
    zygote = children(agent)["zygote"]
    os.kill(zygote, signal.SIGSTOP)
    agent.serve(fake_plan("late", 1))
    agent.link.stop(Key("late", "Production"))
    eventually(lambda: agent.state("late") is None)
    os.kill(zygote, signal.SIGCONT)
    agent.serve(fake_plan("witness", 1))
    agent.serving(1, model="witness")
    eventually(lambda: len(agent.workers()) == 2, 10, "the late worker gone")
    assert agent.state("late") is None


def test_a_worker_comes_back_when_there_is_room_for_it_again(agent, fake_plan, eventually):
    """The agent had no descriptor left when the worker died: that is no reason to stay down, nor to blame the version."""
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    agent.serve(fake_plan(version=2))
    before = agent.until(lambda state: state.serving == 2 and state.pid != before.pid)
    eventually(lambda: len(agent.workers()) == 1, 10, "the old worker leaves")
    taken = {int(path.name) for path in Path(f"/proc/{agent.process.pid}/fd").iterdir()}
    soft, hard = resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE)
    lowest_free = min(set(range(len(taken) + 1)) - taken)
    resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (lowest_free, hard))
    os.kill(before.pid, signal.SIGKILL)
    try:
        eventually(lambda: agent.log.read_text().count("no worker can be made") > 1, 10, "attempts to make a worker")
    finally:
        resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
    after = agent.until(lambda state: state.up and state.pid != before.pid, 20)
    assert (after.serving, after.failed, after.restarts) == (2, None, 1)


def test_a_version_waits_for_a_zygote_that_cannot_be_made(new_agent, fake_plan, tmp_path):
    """No process, no memory, no interpreter yet: the order is kept until there is one."""
    python = tmp_path / "environments" / ("0" * 32) / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(mode=0o600)
    agent = new_agent(environments=tmp_path / "environments").start()
    plan = fake_plan(version=1)
    fd = memory.seal(encode(plan), name=plan.model)
    order = protocol.Serve("m", "Production", 1, "v1", "o", plan.format, plan.engine, environment="0" * 32)
    assert agent.link.serve(order, fd)
    os.close(fd)
    agent.until(lambda state: state.loading == 1 and "no zygote can be made" in agent.log.read_text())
    python.unlink()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o700)
    assert agent.serving(1, 30).failed is None


def test_a_request_that_fails_in_an_unforeseen_way_is_refused_at_once(agent, fake_plan):
    """Whoever asks does not wait until its patience ends, and what is logged says why."""
    agent.serve(fake_plan(version=1))
    agent.serving(1)
    with pytest.raises(SamovarError, match="its log says why"):
        agent.link.tune(Key("m", "Production"), Tuning(memory_mb=math.inf))
    assert "OverflowError" in agent.log.read_text()


def test_a_list_of_endpoints_that_fails_half_way_is_no_list(agent, fake_plan):
    """Taken for a whole one it would say that endpoints have ended."""
    agent.serve(fake_plan("a", 1))
    agent.serving(1, model="a")
    agent.serve(fake_plan(version=1))
    agent.serving(1)
    with pytest.raises(SamovarError):
        agent.link.tune(Key("m", "Production"), Tuning(cpus=math.inf))
    with pytest.raises(StackUnavailable, match="its log says why"):
        agent.link.endpoints()


def test_a_full_disk_refuses_a_new_endpoint_and_leaves_the_others_alone(agent, fake_plan, tmp_path):
    """The ledger must be written before a port is promised; a swap writes nothing. When there is room again it works."""
    agent.serve(fake_plan(version=1))
    agent.serving(1)
    ledger = tmp_path / "endpoint-ports.json"
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    kept = ledger.read_bytes()
    with pytest.raises(StackUnavailable, match="refuses"):  # not the version's fault
        agent.serve(fake_plan("new", 1))
    assert ledger.read_bytes() == kept
    agent.serve(fake_plan(version=2))
    agent.serving(2)
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    agent.serve(fake_plan("new", 1))
    agent.serving(1, model="new")


def test_a_port_that_another_program_holds_is_no_fault_of_the_version(agent, fake_plan, eventually):
    """It is tried again for as long as it takes, and other hosts are not told to leave the version alone."""
    agent.serve(fake_plan(version=1))
    port = agent.serving(1).port
    agent.link.stop(Key("m", "Production"))
    eventually(lambda: not agent.workers(), 10, "the worker gone")
    with socket.create_server(("127.0.0.1", port)), pytest.raises(StackUnavailable, match="held by another program"):
        agent.serve(fake_plan(version=1))
    agent.serve(fake_plan(version=1))
    assert agent.serving(1).port == port


def test_a_ledger_that_cannot_be_written_promises_no_port(tmp_path, monkeypatch, free_port):
    ledger = Ledger(tmp_path / "ports.json", free_port())

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ledger.bind(Key("m", "Production"))
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
    ledger.bind(Key("m", "Production"))[1].close()


def test_the_agent_may_open_as_many_files_as_the_host_allows(new_agent):
    agent = new_agent()
    agent.process = agent.launch()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    agent.kill()
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        agent.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)


def test_many_endpoints_start_and_are_adopted_and_listed_quickly(new_agent, fake_plan):
    """Forty here; each costs the agent about the same."""
    agent = new_agent().start()
    names = [f"m{number}" for number in range(40)]
    for name in names:
        agent.serve(fake_plan(name, 1))
    for name in names:
        agent.serving(1, 60, model=name)
    before = {key: state.pid for key, state in agent.link.endpoints().items()}
    agent.kill()
    agent.start()
    assert {key: state.pid for key, state in agent.link.endpoints().items()} == before
    began = time.process_time()
    agent.link.endpoints()
    assert time.process_time() - began < 0.1
    assert len(agent.workers()) == len(names)


def test_few_load_at_once_and_who_hangs_makes_way():
    """In the order in which they asked; one that is given up leaves its place."""

    async def scenario():
        turns, begun = Turns(asyncio.get_running_loop(), places=2), []
        for name in "abcde":
            turns.ask(name, lambda name=name: begun.append(name))
        first = list(begun)
        turns.over("d")
        turns.over("a")
        second = list(begun)
        for timer in list(turns._loading.values()):
            timer._run()
        return first, second, begun

    assert asyncio.run(scenario()) == (["a", "b"], ["a", "b", "c"], ["a", "b", "c", "e"])


def test_hanging_versions_do_not_keep_others_from_loading(agent, fake_plan):
    for number in range(12):
        agent.serve(fake_plan(f"hangs{number}", 1, hangs=""))
    agent.serve(fake_plan(version=1))
    agent.serving(1, 30)


def test_what_cannot_be_written_about_workers_is_written_later(agent, fake_plan, eventually):
    """The list for the next agent, while the run folder takes nothing."""
    path = agent.run_dir / agent_files.WORKERS
    agent.serve(fake_plan(version=1))
    agent.serving(1)
    eventually(lambda: len(agent.workers()) == 1)
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    os.kill(agent.serving(1).pid, signal.SIGKILL)
    agent.until(lambda state: state.up and state.restarts == 1)
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    eventually(lambda: [process.pid for process in agent.workers()] == [agent.serving(1).pid], 20)
    assert path.exists()


def test_the_memory_of_a_container_counts_not_its_host_s(monkeypatch):
    def limited(path, **_):
        return "1000000" if str(path).endswith("memory.max") else "max"

    monkeypatch.setattr(Path, "read_text", limited)
    assert limits.host_memory() == 1_000_000
    assert limits.bound(0, 0.5) == 500_000
    assert limits.bound(64, 0.5) == 64_000_000
    assert limits.bound(0, 0) == 0
