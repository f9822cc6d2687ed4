"""Shared traffic between real processes: what the agent is told is done at once, and whoever dies, no client hears of it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

from samovar.autoserve.agent.config import LEAN_PRELOAD
from samovar.autoserve.plan import Key
from samovar.autoserve.traffic import observe
from samovar.autoserve.tuning import PLAIN, Tuning

sys.path.insert(0, str(Path(__file__).parents[1] / "serving" / "traffic"))

from traffic_models import FRAME, Moody, version

HALF = Tuning(split=(("Challenger", 50),))
CHAMPION = Key("m", "Production")
BODY = b'{"customer_id": "%s", "amount": 300.0, "hour": 3}'


@pytest.fixture(scope="module")
def plans():
    die = Moody("die").fit(FRAME, [0, 1] * 30)
    return {1: version(1), 2: version(2), 3: version(3), "dying": version(4, die)}


@pytest.fixture
def agent(new_agent, tmp_path):
    options = {
        "entry": "samovar.serving.server:EndpointServer",
        "preload": ",".join(LEAN_PRELOAD),
        "ample": "numpy,pandas,sklearn.linear_model,skops.io,samovar.serving.server",
        "endpoint": f'{{"drain_seconds": 5, "metrics_dir": "{tmp_path}/metrics", "model": "", "alias": ""}}',
    }
    return new_agent(**options).start()


@pytest.fixture
def pair(agent, plans):
    """A champion and a challenger that answers half."""
    agent.serve(plans[1])
    agent.serve(plans[2], alias="Challenger")
    agent.serving(2, 30, alias="Challenger")
    return agent.serving(1, 30)


@pytest.fixture
def said(agent):
    """Return the versions that fifty customers are answered by."""
    client = httpx.Client(timeout=20, trust_env=False)

    def ask(hour=3):
        url = f"http://127.0.0.1:{agent.state().port}/predict"
        rows = [{"customer_id": f"c-{number}", "amount": 300.0, "hour": hour} for number in range(50)]
        return [client.post(url, json=row).json()["model_version"] for row in rows]

    yield ask
    client.close()


def test_a_split_begins_changes_and_ends_without_a_restart(agent, pair, said, eventually):
    """The same processes answer throughout, and customers stay where they were."""
    agent.link.tune(CHAMPION, HALF)
    eventually(lambda: "v2" in said(), 20)
    half = said()
    agent.link.tune(CHAMPION, Tuning(split=(("Challenger", 90),)))
    eventually(lambda: said().count("v2") > half.count("v2"), 20)
    assert all(after == "v2" for before, after in zip(half, said(), strict=True) if before == "v2")
    agent.link.tune(CHAMPION, PLAIN)
    eventually(lambda: "v2" not in said(), 20)
    assert agent.state().pids == pair.pids
    assert agent.state().restarts == 0


def test_a_challenger_that_is_killed_and_swapped_under_load_fails_nobody(agent, pair, said, plans, load_on, eventually):
    """The champion answers until the challenger is back, which is within a second, by itself."""
    agent.link.tune(CHAMPION, HALF)
    eventually(lambda: "v2" in said(), 20)
    with load_on(pair.port, "/predict", BODY % b"c-1", {"Content-Type": "application/json"}) as load:
        for _ in range(3):
            load.more(50)
            os.kill(agent.state(alias="Challenger").pid, signal.SIGKILL)
            eventually(lambda: "v2" in said(), 20)
        agent.serve(plans[3], alias="Challenger")
        agent.serving(3, 30, alias="Challenger")
        eventually(lambda: "v3" in said() and "v2" not in said(), 20)
        load.more(50)
    assert load.failures == []
    assert agent.state().pids == pair.pids


def test_a_shadow_that_segfaults_is_no_concern_of_the_champion(agent, pair, said, plans, eventually):
    """Another process dies of it, and comes back."""
    agent.serve(plans["dying"], alias="Candidate")
    agent.serving(4, 60, alias="Candidate")
    agent.link.tune(CHAMPION, Tuning(shadow=("Candidate",)))
    eventually(lambda: said() and agent.state(alias="Candidate").restarts >= 0, 20)
    eventually(lambda: set(said(hour=13)) == {"v1"} and agent.state(alias="Candidate").restarts > 0, 30)
    assert agent.state().pids == pair.pids
    assert agent.state().restarts == 0


def test_what_became_of_it_is_read_from_the_workers_numbers(agent, pair, said, tmp_path, eventually):
    """Shares, whether they are as set, and how the shadow differs."""
    tuning = Tuning(split=(("Challenger", 50),), shadow=("Challenger",))
    agent.link.tune(CHAMPION, tuning)
    eventually(lambda: "v2" in said(), 20)
    for _ in range(4):
        said()
    found = eventually(lambda: _compared(observe(tmp_path / "metrics", "m", "Production", tuning)))
    assert found.sticky is True
    champion, challenger = found.shares
    assert (champion.target, champion.percent, champion.versions.keys()) == ("Production", 50, {"1"})
    assert (challenger.role, challenger.percent, challenger.versions.keys()) == ("challenger", 50, {"2"})
    assert challenger.ratio.rows == challenger.versions["2"]
    assert challenger.ratio.total >= 200
    assert challenger.ratio.verdict in {"as set", "too early"}
    (shadow,) = found.shadows
    assert (shadow.target, shadow.version, shadow.champion, shadow.failed) == ("Challenger", "2", "1", 0)
    assert shadow.disagreement == 1.0
    assert shadow.interval[0] > 0.9
    assert shadow.difference > 0.9


def _compared(found):
    return found if found.shadows[0].compared > 20 else None
