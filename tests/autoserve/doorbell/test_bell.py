"""Who may ring: forged, late, repeated, reordered and oversized deliveries."""

from __future__ import annotations

import json

import pytest

from samovar.autoserve.doorbell import bell as bells
from samovar.autoserve.doorbell.bell import Bell
from samovar.autoserve.doorbell.signature import sign

NOW = 1_800_000_000.0
BODY = json.dumps({"entity": "model_version_alias", "action": "created"}).encode()


class Door:
    def __init__(self):
        self.now = NOW
        self.rings = 0
        self.bell = Bell("secret", self.ring, clock=lambda: self.now)

    def ring(self):
        self.rings += 1

    def deliver(self, delivery="d-1", at=None, body=BODY, secret="secret", **changed):
        timestamp = str(int(self.now if at is None else at))
        headers = {
            "x-mlflow-delivery-id": delivery,
            "x-mlflow-timestamp": timestamp,
            "x-mlflow-signature": sign(secret, delivery, timestamp, body),
        }
        return self.bell.deliver(headers | changed, body)


@pytest.fixture
def door():
    return Door()


def test_the_signature_is_mlflows_own():
    """As MLflow's server computes it."""
    from mlflow.webhooks.delivery import _generate_hmac_signature

    assert sign("s", "id", "17", BODY) == _generate_hmac_signature("s", "id", "17", BODY.decode())


def test_a_delivery_wakes_the_loop_once_however_often_it_comes(door):
    assert [door.deliver(), door.deliver(), door.deliver()] == ["rung", "duplicate", "duplicate"]
    assert door.rings == 1


def test_order_does_not_matter(door):
    """Each delivery of its own wakes the loop, also an older one that comes later."""
    assert [door.deliver("b", NOW + 1), door.deliver("a", NOW - 20)] == ["rung", "rung"]


@pytest.mark.parametrize("away", [-301, 301])
def test_a_delivery_of_another_time_is_stale(door, away):
    assert door.deliver(at=NOW + away) == "stale"
    assert door.rings == 0


@pytest.mark.parametrize("away", [-299, 299])
def test_clocks_may_differ_a_little(door, away):
    assert door.deliver(at=NOW + away) == "rung"


def test_a_repeated_delivery_is_known_until_it_is_stale(door):
    """Also one whose time lies ahead of ours: it stays valid the longest."""
    assert door.deliver(at=NOW + 299) == "rung"
    door.now = NOW + 598
    door.deliver("other")
    assert door.deliver(at=NOW + 299) == "duplicate"
    door.now = NOW + 601
    assert door.deliver(at=NOW + 299) == "stale"


@pytest.mark.parametrize(
    "changed",
    [
        {"x-mlflow-signature": ""},
        {"x-mlflow-signature": "v1,AAAA"},
        {"x-mlflow-signature": "v1," + "\u00e9" * 44},
        {"x-mlflow-delivery-id": "another"},
        {"x-mlflow-timestamp": str(int(NOW) + 1)},
    ],
)
def test_what_is_not_signed_is_forged(door, changed):
    assert door.deliver(**changed) == "forged"
    assert (door.rings, len(door.bell._seen)) == (0, 0)


def test_another_secret_or_another_body_is_forged(door):
    assert door.deliver(secret="guess") == "forged"
    timestamp = str(int(NOW))
    headers = {"x-mlflow-delivery-id": "d", "x-mlflow-timestamp": timestamp}
    assert door.bell.deliver(headers | {"x-mlflow-signature": sign("secret", "d", timestamp, BODY)}, BODY + b" ") == "forged"


@pytest.mark.parametrize("timestamp", ["", "-1", "1e9", "\u0661\u0662", "9" * 13, "18000000 0"])
def test_a_time_that_is_none_is_malformed(door, timestamp):
    assert door.deliver(**{"x-mlflow-timestamp": timestamp}) == "malformed"


def test_an_id_that_is_none_is_malformed(door):
    assert [door.deliver(""), door.deliver("x" * 129)] == ["malformed", "malformed"]


def test_memory_is_bounded(door, monkeypatch):
    """And the newest ids are those that are kept."""
    monkeypatch.setattr(bells, "REMEMBERED", 100)
    for number in range(1000):
        door.deliver(str(number))
    assert len(door.bell._seen) == 100
    assert door.deliver("999") == "duplicate"


def test_every_result_is_counted(door):
    door.deliver()
    door.deliver()
    door.deliver(secret="guess")
    assert {name: count for name, count in door.bell.counts.items() if count} == {"rung": 1, "duplicate": 1, "forged": 1}
