"""Several workers of one endpoint, workers that hang, plans that nobody reads any more, and keys."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import msgspec
import pytest

from samovar.autoserve import keyring, protocol
from samovar.errors import Conflict, NotFound, SettingsError
from samovar.scoring.plan import FORMAT
from samovar.serving.keys import Keys


def full(state, version, count):
    return state.serving == version and len(state.pids) == count and state.loading is None


def test_several_workers_share_one_port(new_agent, fake_plan, eventually, get):
    """Each of them answers, and they are counted."""
    agent = new_agent(workers=3).start()
    agent.serve(fake_plan(version=1))
    state = agent.until(lambda state: full(state, 1, 3))
    held = [socket.create_connection(("127.0.0.1", state.port)) for _ in range(20)]
    try:
        answered = {get(state.port)[1] for _ in range(200)}
    finally:
        for connection in held:
            connection.close()
    assert answered <= set(state.pids)
    assert len(set(state.pids)) == 3


def test_a_swap_replaces_all_workers_and_loses_no_request(new_agent, fake_plan, load_on, eventually):
    agent = new_agent(workers=2).start()
    agent.serve(fake_plan(version=1))
    before = agent.until(lambda state: full(state, 1, 2))
    with load_on(before.port) as load:
        for version in (2, 3, 4):
            load.more(5)
            agent.serve(fake_plan(version=version))
            after = agent.until(lambda state, version=version: full(state, version, 2))
        load.more()
    assert load.failures == []
    assert not set(after.pids) & set(before.pids)
    eventually(lambda: len(agent.workers()) == 2, 10, "the old workers gone")


def test_one_of_several_workers_that_dies_comes_back(new_agent, fake_plan):
    """The others keep answering meanwhile, and stay."""
    agent = new_agent(workers=2).start()
    agent.serve(fake_plan(version=1))
    before = agent.until(lambda state: full(state, 1, 2))
    os.kill(before.pids[0], signal.SIGKILL)
    after = agent.until(lambda state: full(state, 1, 2) and before.pids[0] not in state.pids)
    assert before.pids[1] in after.pids
    assert after.restarts == 1


def test_a_version_of_which_one_worker_fails_never_replaces_a_good_one(new_agent, fake_plan, load_on):
    agent = new_agent(workers=2).start()
    agent.serve(fake_plan(version=1))
    before = agent.until(lambda state: full(state, 1, 2))
    with load_on(before.port) as load:
        agent.serve(fake_plan(version=2, broken=""))
        after = agent.until(lambda state: state.failed == 2 and state.loading is None)
        load.more()
    assert set(after.pids) == set(before.pids)
    assert load.failures == []


def test_the_next_agent_adopts_all_workers_and_makes_up_for_the_missing(new_agent, fake_plan):
    agent = new_agent(workers=3).start()
    agent.serve(fake_plan(version=1))
    before = agent.until(lambda state: full(state, 1, 3))
    agent.kill()
    os.kill(before.pids[0], signal.SIGKILL)
    agent.start()
    after = agent.until(lambda state: full(state, 1, 3))
    assert set(before.pids[1:]) < set(after.pids)


def test_a_worker_that_hangs_is_replaced(new_agent, fake_plan, get):
    """It holds its connections and the port, and answers nobody: as good as dead."""
    agent = new_agent(**{"hang-seconds": 3}).start()
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    os.kill(before.pid, signal.SIGSTOP)
    began = time.monotonic()
    assert get(before.port, timeout=20)[1] != before.pid
    assert 2.0 < time.monotonic() - began < 10.0
    assert agent.serving(1).restarts == 1


def test_a_worker_whose_model_does_not_come_back_is_replaced(new_agent, fake_plan, eventually):
    """Its loop turns and its probes answer, but nobody gets a prediction of it."""
    agent = new_agent(**{"hang-seconds": 2}).start()
    agent.serve(fake_plan(version=1, sticks=""))
    before = agent.serving(1)
    eventually(lambda: not Path(f"/proc/{before.pid}").exists(), 20, "the worker gone")


def test_a_worker_that_hung_while_there_was_no_agent_gives_its_port_back(new_agent, fake_plan, get, eventually):
    """It cannot call the next agent, which ends it as soon as its silence is long enough."""
    agent = new_agent(**{"hang-seconds": 4}).start()
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    agent.kill()
    os.kill(before.pid, signal.SIGSTOP)
    agent.start()
    eventually(lambda: not Path(f"/proc/{before.pid}").exists(), 20, "the worker gone")
    agent.serve(fake_plan(version=1))
    assert agent.serving(1).port == before.port


def test_a_worker_of_a_stopped_agent_keeps_answering(agent, fake_plan, get):
    """Its signs of life go nowhere, and it does not wait for anybody to take them; nor is it ended when the agent goes on."""
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    os.kill(agent.process.pid, signal.SIGSTOP)
    try:
        assert get(before.port)[1] == before.pid
    finally:
        os.kill(agent.process.pid, signal.SIGCONT)
    assert agent.serving(1).pid == before.pid


def test_a_plan_of_another_format_in_memory_is_asked_for_again(agent, fake_plan):
    """After an upgrade the agent keeps plans that the new Samovar does not read: they serve as long as their workers live."""
    agent.serve(msgspec.structs.replace(fake_plan(version=1), format=FORMAT))
    agent.serving(1)
    assert agent.link.serve(protocol.Serve("m", "Candidate", 1, "v1", "origin-1", FORMAT))
    assert not agent.link.serve(protocol.Serve("m", "Candidate", 1, "v1", "origin-1", FORMAT + 1))


def test_a_plan_that_no_worker_reads_is_given_up_instead_of_crashing_again_and_again(new_agent, fake_plan):
    """After an upgrade: the old worker serves on, and without one the endpoint serves nothing until a new plan is brought."""
    agent = new_agent().start()
    agent.serve(fake_plan(version=1))
    before = agent.serving(1)
    agent.kill()
    agent.options["preload"] = "newer_samovar"
    agent.start()
    assert agent.serving(1).pid == before.pid
    os.kill(before.pid, signal.SIGKILL)
    state = agent.until(lambda state: state.serving is None)
    assert (state.restarts, state.failed) == (1, None)
    assert not agent.link.serve(protocol.Serve("m", "Production", 1, "v1", "origin-1", FORMAT))
    agent.serve(msgspec.structs.replace(fake_plan(version=1), format=FORMAT + 1))
    assert agent.serving(1).port == before.port


def test_without_a_file_of_keys_nobody_is_asked_for_one(tmp_path):
    assert keyring.hashes(tmp_path / "keys.json") == ()


def test_a_key_is_kept_as_a_hash_and_opens_until_it_is_taken_back(tmp_path):
    """The last key taken back leaves the door shut, not open."""
    path = tmp_path / "keys.json"
    key = keyring.add(path, "shop")
    assert key not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert Keys(keyring.hashes(path)).admits("/predict", {b"authorization": f"Bearer {key}".encode()})
    assert not Keys(keyring.hashes(path)).admits("/predict", {})
    with pytest.raises(Conflict):
        keyring.add(path, "shop")
    keyring.remove(path, "shop")
    assert not Keys(keyring.hashes(path)).admits("/predict", {b"authorization": f"Bearer {key}".encode()})
    with pytest.raises(NotFound):
        keyring.remove(path, "shop")


def test_a_damaged_file_of_keys_opens_nothing(tmp_path):
    (tmp_path / "keys.json").write_text("[")
    with pytest.raises(SettingsError):
        keyring.hashes(tmp_path / "keys.json")


def test_a_new_key_reaches_running_endpoints_without_a_lost_request(new_agent, fake_plan, load_on, tmp_path):
    """Workers are replaced by others that know the keys of now; what the endpoint would go back to stays the same."""
    path = tmp_path / "keys.json"
    agent = new_agent(**{"keys-file": path}).start()
    agent.serve(fake_plan(version=1))
    agent.serving(1)
    agent.serve(fake_plan(version=2))
    before = agent.serving(2)
    with load_on(before.port) as load:
        keyring.add(path, "shop")
        after = agent.until(lambda state: state.up and state.loading is None and state.pid != before.pid)
        load.more()
    assert load.failures == []
    assert after.serving == 2
    assert agent.link.serve(protocol.Serve("m", "Candidate", 1, "v1", "origin-1", FORMAT))


@pytest.mark.parametrize("options", [{}, {"keys-file": "/nowhere/keys.json"}])
def test_an_address_that_strangers_reach_demands_keys(new_agent, options):
    """One clear line, and no agent."""
    agent = new_agent(host="0.0.0.0", **options)
    process = agent.launch()
    assert process.wait(20) == 2
    line = agent.log.read_text()
    assert line.startswith("error:")
    assert "samovar keys add" in line


def test_an_address_that_strangers_reach_may_be_open_on_request(new_agent, fake_plan, get):
    """With a warning in the log."""
    agent = new_agent(host="0.0.0.0", endpoint='{"open_to_all": true}').start()
    agent.serve(fake_plan(version=1))
    state = agent.serving(1)
    assert state.host == "0.0.0.0"
    assert get(state.port)[0] == "v1"
    assert "without a key" in agent.log.read_text()


def test_what_endpoints_are_told_travels_as_a_whole(new_agent, fake_plan):
    """From the command line of the agent into the worker, field by field as it was given."""
    agent = new_agent(endpoint=json.dumps({"drain_seconds": 4.0, "max_rows": 7})).start()
    agent.serve(fake_plan(version=1, tells_config=""))
    state = agent.serving(1)
    with socket.create_connection(("127.0.0.1", state.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        body = connection.makefile("rb").read().partition(b"\r\n\r\n")[2]
    told = json.loads(body)
    assert (told["model"], told["alias"], told["drain_seconds"], told["max_rows"]) == ("m", "Production", 4.0, 7)


def test_an_agent_that_is_told_nonsense_says_so(new_agent):
    process = new_agent(endpoint="[]").launch()
    assert process.wait(20) == 2
