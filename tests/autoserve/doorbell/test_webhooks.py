"""The doorbell against a real MLflow server: registered, found again, mended, never doubled, and quick."""

from __future__ import annotations

import re
import stat
import statistics
import time

import httpx
import pytest

from samovar.autoserve.doorbell.signature import sign
from samovar.errors import NotFound, SettingsError
from samovar.registry.client import Registry
from samovar.registry.webhooks import Webhooks


@pytest.fixture
def hooks(local_mlflow):
    """The server's webhooks; none is left for the next test."""
    webhooks = Webhooks(local_mlflow.registry.rest)
    yield webhooks
    for one in webhooks.list():
        webhooks.delete(one.id)
    time.sleep(1.1)  # MLflow's list of webhooks is cached for one second


def ringing(home):
    home.keeper.check()
    assert (home.doorbell.state.state, home.doorbell.state.note) == ("ringing", "")


def test_a_moved_alias_rings_within_a_second(house, hooks, local_mlflow, eventually):
    """Set, moved and deleted alike; the secret is our own file's, which nobody else may read."""
    model = local_mlflow.model("rings")
    home = house(local_mlflow.registry)
    ringing(home)
    waits = []
    for number in range(12):
        before, since = len(home.woken), time.monotonic()
        local_mlflow.registry.set_alias(model, "Production", 1 + number % 2)
        eventually(lambda before=before: len(home.woken) > before, 5, "a ring")
        waits.append(home.woken[before] - since)
    before = len(home.woken)
    local_mlflow.registry.delete_alias(model, "Production")
    eventually(lambda: len(home.woken) > before, 5, "a ring for a deleted alias")
    assert statistics.median(waits) < 0.5, waits
    secret = home.settings.state / "webhook.secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text().strip() not in home.server.config.app.title + str(home.doorbell.report())


def test_another_start_finds_the_same_webhook(house, hooks, local_mlflow):
    """On another port too: it is mended, not doubled."""
    first = house(local_mlflow.registry)
    ringing(first)
    (before,) = hooks.list()
    second = house(local_mlflow.registry)
    ringing(second)
    (after,) = hooks.list()
    assert (after.id, str(second.port) in after.url, str(first.port) in before.url) == (before.id, True, True)


@pytest.mark.parametrize("harm", ["deleted", "disabled", "another secret", "another address", "no events"])
def test_it_is_mended(house, hooks, local_mlflow, harm):
    home = house(local_mlflow.registry)
    ringing(home)
    (ours,) = hooks.list()
    rest = local_mlflow.registry.rest
    if harm == "deleted":
        hooks.delete(ours.id)
    elif harm == "disabled":
        rest.patch(f"webhooks/{ours.id}", status="DISABLED")
    elif harm == "another secret":
        rest.patch(f"webhooks/{ours.id}", secret="another one")
        home.keeper._proved_id = ""  # as after five minutes of silence
    elif harm == "another address":
        rest.patch(f"webhooks/{ours.id}", url="http://127.0.0.1:9/webhooks/mlflow")
    else:
        rest.patch(f"webhooks/{ours.id}", events=[{"entity": "PROMPT", "action": "CREATED"}])
    heard = home.doorbell.bell.counts["rung"]
    ringing(home)
    (mended,) = hooks.list()
    assert (mended.active, str(home.port) in mended.url, len(mended.events)) == (True, True, 2)
    assert home.doorbell.bell.counts["rung"] > heard
    ringing(home)
    assert hooks.list() == [mended]


def test_of_doubles_every_controller_keeps_the_same_one(house, hooks, local_mlflow):
    """Two that start at the same moment may both make one."""
    home = house(local_mlflow.registry)
    ringing(home)
    (ours,) = hooks.list()
    hooks.create(ours.name, ours.url, "s", "a double")
    foreign = hooks.create("somebody-s", ours.url, "s", "not ours")
    ringing(home)
    assert {one.id for one in hooks.list()} == {ours.id, foreign.id}


def test_controllers_keep_their_own_and_those_with_one_secret_share(house, hooks, local_mlflow):
    """Those of one state folder take turns, as do those that were given one secret; others act side by side."""
    mine, other = house(local_mlflow.registry), house(local_mlflow.registry, "other")
    ringing(mine)
    ringing(other)
    assert len(hooks.list()) == 2
    shared = [house(local_mlflow.registry, folder, webhook_secret="s" * 32) for folder in ("a", "b")]
    for one in shared:
        ringing(one)
    assert len(hooks.list()) == 3


def test_the_webhook_of_an_earlier_secret_goes(house, hooks, local_mlflow):
    """Its deliveries would be taken for forged ones."""
    home = house(local_mlflow.registry)
    hooks.create("samovar-0123456789abcdef", home.keeper._url, "s", "of a state folder that was deleted")
    ringing(home)
    assert [one.name for one in hooks.list()] == [home.keeper._name]


def test_a_short_secret_is_refused(house, local_mlflow):
    with pytest.raises(SettingsError, match="32 characters"):
        house(local_mlflow.registry, webhook_secret="hush")


def test_a_controller_that_does_not_act_leaves_the_webhook_alone(house, hooks, local_mlflow):
    acting, idle = house(local_mlflow.registry), house(local_mlflow.registry)
    idle.keeper._active = lambda: False
    ringing(acting)
    idle.keeper.check()
    assert [str(acting.port) in one.url for one in hooks.list()] == [True]
    assert idle.doorbell.state.state == "waiting"


def test_it_survives_a_restart_of_mlflow(house, hooks, local_mlflow):
    """The key that MLflow keeps secrets with is the same after it: else it could not even list them."""
    home = house(local_mlflow.registry)
    ringing(home)
    local_mlflow.stop()
    assert home.keeper.check() <= 2
    assert home.doorbell.state.state == "silent"
    local_mlflow.start()
    home.keeper._proved_id = ""
    ringing(home)
    assert len(hooks.list()) == 1
    assert stat.S_IMODE((local_mlflow.folder / "webhook.key").stat().st_mode) == 0o600


def test_polling_slows_down_only_once_mlflow_knows_for_sure(house, hooks, local_mlflow):
    """After a proof, and a minute in which MLflow may have gone by an older list. When it falls silent, polling is quick again."""
    home = house(local_mlflow.registry)
    now = 0.0
    home.keeper._clock = lambda: now
    home.keeper._changed_at = 0.0
    assert home.doorbell.poll_seconds() == 1.0
    ringing(home)
    assert home.doorbell.poll_seconds() == 1.0
    now = 61.0
    ringing(home)
    assert home.doorbell.poll_seconds() == 5.0
    home.keeper._webhooks = lambda: (_ for _ in ()).throw(NotFound("gone"))
    home.keeper.check()
    assert home.doorbell.poll_seconds() == 1.0


def test_a_server_that_refuses_our_address_is_polled_and_says_why(house, mlflow_server):
    """MLflow's default takes public https addresses only."""
    home = house(Registry(mlflow_server, 10))
    home.keeper.check()
    state = home.doorbell.state
    assert (state.state, home.doorbell.poll_seconds()) == ("silent", 1.0)
    assert re.search(r"scheme.*found by polling", state.note)


def test_an_mlflow_elsewhere_is_not_told_of_the_loopback(house):
    home = house(Registry("http://mlflow.example:5000", 1))
    home.keeper.check()
    assert "SAMOVAR_ADVERTISED_URL" in home.doorbell.state.note


def test_a_listener_that_is_not_ours_proves_nothing(house, hooks, local_mlflow):
    """MLflow's word that the delivery was taken is not enough."""
    home, stranger = house(local_mlflow.registry), house(local_mlflow.registry, "stranger")
    stranger.doorbell.bell._secret = home.doorbell.bell._secret
    home.keeper._url = f"http://127.0.0.1:{stranger.port}/webhooks/mlflow"
    home.keeper.check()
    assert "somebody else answers there" in home.doorbell.state.note


def test_the_door_itself(house, hooks, local_mlflow):
    """Status codes, a body that is too large, and an answer in milliseconds that waits for nobody."""
    home = house(local_mlflow.registry)
    url = f"http://127.0.0.1:{home.port}/webhooks/mlflow"
    secret = (home.settings.state / "webhook.secret").read_text().strip()

    def post(delivery="d", body=b"{}", at=None, key=secret):
        timestamp = str(int(time.time() if at is None else at))
        headers = {"X-MLflow-Delivery-Id": delivery, "X-MLflow-Timestamp": timestamp}
        headers["X-MLflow-Signature"] = sign(key, delivery, timestamp, body)
        answer = httpx.post(url, content=body, headers=headers)
        return answer.status_code, answer.json()["result"]

    assert post() == (200, "rung")
    assert post() == (200, "duplicate")
    assert post("late", at=time.time() - 1000) == (400, "stale")
    assert post("forged", key="guess") == (401, "forged")
    assert post("large", b"x" * 70_000) == (413, "too_large")
    assert httpx.post(url, content=b"{}").status_code == 400
    assert len(home.woken) == 1
    assert httpx.get(url).status_code == 405
