"""Workers learn how their endpoint shares its traffic: at once, at birth, and from whichever agent there is."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket

import pytest

from samovar.autoserve import peers, transport
from samovar.autoserve.plan import Key
from samovar.autoserve.tuning import PLAIN, Tuning

TUNING = Tuning(split=(("Challenger", 10),), shadow=("Candidate",))


@pytest.fixture
def endpoint(agent, fake_plan):
    agent.serve(fake_plan(version=1, tells_policy=True))
    return agent.serving(1)


@pytest.fixture
def told(agent, get, eventually):
    """Return a function that waits until a worker knows a share of the challenger, and gives its pid."""

    def wait(percent):
        def probe():
            policy, pid = get(agent.state().port)
            split = json.loads(policy)["split"]
            return pid if [target["percent"] for target in split] == ([percent] if percent else []) else None

        return eventually(probe, what=f"the policy of {percent} %")

    return wait


def test_a_change_reaches_workers_without_a_restart(agent, endpoint, told):
    """The same process serves before, with, and after a split."""
    before = told(0)
    agent.link.tune(Key("m", "Production"), TUNING)
    assert told(10) == before
    agent.link.tune(Key("m", "Production"), PLAIN)
    assert told(0) == before


def test_workers_know_the_other_alias_s_address(agent, endpoint, told, get):
    """What they are told are files that the agent listens at."""
    agent.link.tune(Key("m", "Production"), TUNING)
    told(10)
    split = json.loads(get(endpoint.port)[0])["split"]
    assert split == [{"alias": "Challenger", "path": str(peers.path_of(agent.run_dir, "m", "Challenger")), "percent": 10}]


def test_a_worker_that_comes_back_has_it_although_nobody_tells_again(agent, endpoint, told):
    """The controller may be down: the agent remembers."""
    agent.link.tune(Key("m", "Production"), TUNING)
    before = told(10)
    os.kill(before, signal.SIGKILL)
    agent.until(lambda state: state.up and state.pid != before)
    assert told(10) != before


def test_a_swapped_in_version_has_it(agent, endpoint, told, fake_plan):
    """It belongs to the endpoint, not to the version."""
    agent.link.tune(Key("m", "Production"), TUNING)
    told(10)
    agent.serve(fake_plan(version=2, tells_policy=True))
    agent.serving(2)
    told(10)


def test_the_next_agent_hears_it_from_the_workers(agent, endpoint, told):
    """Neither the agent nor the controller need be there in between."""
    agent.link.tune(Key("m", "Production"), TUNING)
    before = told(10)
    agent.kill()
    agent.start()
    assert agent.serving(1).tuning == TUNING
    os.kill(before, signal.SIGKILL)
    agent.until(lambda state: state.up and state.pid != before)
    told(10)


def test_peers_reach_the_workers_at_one_address_whoever_the_agent_and_the_version_are(agent, endpoint, fake_plan, eventually):
    """The socket is inherited and handed back like the TCP one."""
    assert asked(agent) == "v1"
    agent.kill()
    agent.start()
    agent.serving(1)
    agent.serve(fake_plan(version=2))
    agent.serving(2)
    eventually(lambda: asked(agent).startswith("v2"), 10, "the old worker leaves")


def test_the_peers_address_is_its_owner_s_alone_and_goes_with_the_endpoint(agent, endpoint, eventually):
    """Whoever may connect could ask for predictions without a key."""
    path = peers.path_of(agent.run_dir, "m", "Production")
    assert path.stat().st_mode & 0o777 == 0o600
    agent.link.stop(Key("m", "Production"))
    eventually(lambda: not path.exists())


def asked(agent):
    """Ask over the peers' socket what the fake server answers everywhere: its label."""
    connection = http.client.HTTPConnection("peer", timeout=5)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(5)
    with transport.short(peers.path_of(agent.run_dir, "m", "Production")) as address:
        connection.sock.connect(address)
    connection.request("GET", "/")
    body = connection.getresponse().read().decode()
    connection.close()
    return body if not body.startswith("{") else "v1"
