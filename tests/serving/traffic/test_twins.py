"""The promises with their mechanisms switched off: each of these must see the harm that the other tests see not."""

from __future__ import annotations

import itertools
import os

import pytest

from samovar.errors import ModelError
from samovar.serving.traffic import copying, parted, sharing
from samovar.serving.traffic.policy import Policy, Target


@pytest.fixture
def half(pair, reached):
    champion, challenger = pair
    champion.follow(split=[(challenger, 50)])
    reached(champion, 50)
    return champion, challenger


def test_without_the_fallback_a_challenger_that_is_away_fails_clients(pair, monkeypatch):
    champion, challenger = pair

    def told(self, _part, _member, _reply, _welcome):
        self._done = True
        self._tell(ModelError("nobody answers"))

    monkeypatch.setattr(parted.Parted, "_told", told)
    challenger.leave()
    champion.follow(split=[(challenger, 100)])
    assert {champion.predict(f"c-{n}").status_code for n in range(5)} == {500}


def test_without_the_entity_customers_change_versions(half, monkeypatch):
    champion, _ = half
    monkeypatch.setattr(sharing, "_entity", lambda *_: os.urandom(8))
    assert {champion.predict("c-1").json()["model_version"] for _ in range(30)} == {"v1", "v2"}


def test_without_places_rows_come_back_in_another_order(half, monkeypatch):
    champion, _ = half
    monkeypatch.setattr(parted, "_placed", lambda parts, _rows: list(itertools.chain.from_iterable(own for _, own in parts)))
    rows = [{"customer_id": f"c-{n}", "amount": 10.0 + n, "hour": 3} for n in range(40)]
    found = champion.client.post("/batch_predict", json=rows).json()["predictions"]
    alone = [champion.predict(row["customer_id"]).json()["model_version"] for row in rows]
    assert [one["model_version"] for one in found] != alone


def test_without_a_bound_a_stalled_shadow_fills_the_champion_s_memory(pair, stalled, monkeypatch, eventually):
    champion, _ = pair
    monkeypatch.setattr(copying, "_BYTES", 2**40)
    worker = champion.workers[0][0]
    worker.follow(Policy(shadow=(Target("Stalled", stalled),)))
    rows = [{"customer_id": f"c-{n}", "amount": 5.0, "hour": 3} for n in range(1000)]

    def filled():
        champion.client.post("/batch_predict", json=rows)
        copies = worker._neighbours._sharing._copying
        wire = copies[0].line._wire if copies else None
        return wire is not None and wire._transport.get_write_buffer_size() > 1_000_000

    eventually(filled)
