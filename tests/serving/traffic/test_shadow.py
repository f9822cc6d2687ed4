"""A shadow: it sees what the champion answered, and can do nothing to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from samovar.serving.protocols.answers import Predictions
from samovar.serving.traffic import copying, frames, sharing
from samovar.serving.traffic.policy import Policy, Target
from samovar.serving.traffic.shadowing import Shadowing, _requests


@pytest.fixture
def settled(eventually):
    return lambda champion, shadow: _settled(champion, shadow, eventually)


def _settled(champion, shadow, eventually):
    """Wait until the shadow gets copies, and has answered all of them."""
    asked = []
    eventually(lambda: asked.append(champion.predict("first")) or shadow.counted("samovar_shadow_rows_total") > 0)
    sent, seen = "samovar_shadow_sent_rows_total", "samovar_shadow_rows_total"

    def done():
        passed, dropped = champion.counted(sent), champion.counted("samovar_shadow_dropped_total")
        return passed + dropped == len(asked) and shadow.counted(seen) == passed

    eventually(done)


@pytest.fixture
def shadowed(pair, settled):
    champion, shadow = pair
    champion.follow(shadow=[shadow])
    settled(champion, shadow)
    return champion, shadow


def test_it_answers_what_was_answered_and_says_how_it_differs(shadowed, eventually):
    """The two versions say the opposite of each other: every label differs."""
    champion, shadow = shadowed
    before = shadow.counted("samovar_shadow_rows_total")
    for number in range(20):
        assert "x-model-version" not in champion.predict(f"c-{number}").headers
    champion.client.post("/batch_predict", json=[{"customer_id": "a", "amount": 5.0, "hour": 3}] * 5)
    eventually(lambda: shadow.counted("samovar_shadow_rows_total", role="shadow", version=2, alias="Production") == before + 25)
    total = shadow.counted("samovar_shadow_compared_total")
    assert shadow.counted("samovar_shadow_disagreement_total") == total == before + 25
    assert shadow.counted("samovar_shadow_score_difference_sum") > 0.9 * total
    assert shadow.counted("samovar_shadow_score_difference_count") == total
    assert champion.counted("samovar_shadow_sent_rows_total") == before + 25


def test_it_agrees_with_itself(endpoints, versions, eventually):
    """The comparison is of like with like in every protocol, thresholds and all."""
    champion, shadow = endpoints("Production", versions[3]), endpoints("Candidate", versions[3])
    champion.follow(shadow=[shadow])
    eventually(lambda: champion.predict() and shadow.counted("samovar_shadow_rows_total") > 0)
    rows = [{"customer_id": f"c-{n}", "amount": 1.0 + 4 * n, "hour": n % 24} for n in range(90)]
    table = {"dataframe_split": {"columns": ["amount", "hour"], "data": [[row["amount"], row["hour"]] for row in rows]}}
    tensors = {
        "inputs": [
            {"name": "amount", "datatype": "FP64", "shape": [90], "data": [row["amount"] for row in rows]},
            {"name": "hour", "datatype": "INT64", "shape": [90], "data": [row["hour"] for row in rows]},
        ]
    }
    for row in rows:
        champion.predict(row["customer_id"], row["amount"], row["hour"])
        champion.client.post("/invocations", json={"dataframe_records": [{"amount": row["amount"], "hour": row["hour"]}]})
    for path, body in (("/batch_predict", rows), ("/invocations", table), ("/v2/models/m/infer", tensors)):
        assert champion.client.post(path, json=body).status_code == 200
    eventually(lambda: shadow.counted("samovar_shadow_compared_total") > 5 * 90)
    assert shadow.counted("samovar_shadow_disagreement_total") == 0
    assert shadow.counted("samovar_shadow_score_difference_sum") < 1e-9


def test_its_answers_are_logged_as_its_own_beside_the_champion_s(shadowed, eventually):
    """Joined by request id and row; the alias is the one that was asked."""
    champion, shadow = shadowed
    rows = [{"customer_id": f"c-{n}", "amount": 5.0, "hour": 3} for n in range(300)]
    champion.client.post("/batch_predict", json=rows, headers={"x-request-id": "whole"})
    eventually(lambda: shadow.counted("samovar_shadow_rows_total") == champion.counted("samovar_shadow_sent_rows_total"))
    champion.client.close()
    shadow.client.close()
    champion.leave()
    shadow.leave()
    for endpoint, role, number, label in ((champion, "champion", 1, 0), (shadow, "shadow", 2, 1)):
        found = [(r, v, row.index, row.key, row.label) for r, v, row in endpoint.logged() if row.request_id == "whole"]
        assert found == [(role, number, n, f"c-{n}", label) for n in range(300)]


def test_a_large_request_is_scored_in_pieces():
    """Whoever waits for the model does not wait for all of it."""
    rows = [*range(600)]
    keys = [f"c-{row}" for row in rows]
    whole = frames.Many(b"id", "batch", "decided", 600, keys, [rows, rows], {"a": 1}, rows, [[row] for row in rows], None)
    pieces = _requests(frames.Copies([], [whole]))
    assert [piece.rows for piece in pieces] == [256, 256, 88]
    for field in (lambda piece: piece.columns[1], lambda piece: piece.labels, lambda piece: piece.places):
        assert [value for piece in pieces for value in field(piece)] == rows
    assert [key for piece in pieces for key in piece.keys] == keys
    assert [share for piece in pieces for share in piece.shares] == [[row] for row in rows]
    placed = frames.Many(b"id", "batch", "decided", 600, None, [rows], {}, None, None, [2 * row for row in rows])
    pieces = _requests(frames.Copies([], [placed]))
    assert [place for piece in pieces for place in piece.places] == [2 * row for row in rows]
    assert {(piece.keys, piece.labels, piece.shares) for piece in pieces} == {(None, None, None)}


@pytest.mark.parametrize(
    ("mine", "labels", "shares", "expected"),
    [
        ([[0.1, 0.9], [0.5, 0.5]], [None, None], [[0.1, 0.9], [0.5, 0.5]], (2, 0, [0.0, 0.0])),
        ([[0.1, 0.9], [0.5, 0.5]], [None, None], [[0.1, 0.9], [0.75, 0.25]], (2, 1, [0.0, 0.25])),
        ([["a", "b"], ["a", "c"]], [None, None], [["a", "b"], ["a", "b"]], (2, 1, [])),
        ([[0.1, 0.9]], [None], [[0.1, 0.4, 0.5]], (1, 1, [])),
        ([1.0, 2.0], [1.0, 2.5], None, (2, 1, [0.0, 0.5])),
    ],
)
def test_answers_that_are_lists_are_compared_as_such(mine, labels, shares, expected):
    """Two that are one do not differ."""
    found = []
    counts = type("Counts", (), {"compared": lambda _, *told: found.append(told)})()
    request = frames.Many(b"id", "invocations", "predict", len(mine), None, [], {}, labels, shares, None)
    Shadowing._compare(None, request, Predictions(mine), None, counts)
    assert found == [expected]


def test_it_is_shown_what_a_challenger_answered_too_but_not_compared_with_it(endpoints, versions, reached, eventually, settled):
    """The champion is what a shadow is measured against."""
    champion, challenger = endpoints("Production", versions[1]), endpoints("Challenger", versions[2])
    shadow = endpoints("Candidate", versions[3])
    champion.follow(shadow=[shadow])
    settled(champion, shadow)
    champion.follow(split=[(challenger, 100)], shadow=[shadow])
    reached(champion, 100)
    compared, seen = shadow.counted("samovar_shadow_compared_total"), shadow.counted("samovar_shadow_rows_total")
    for number in range(10):
        champion.predict(f"c-{number}")
    eventually(lambda: shadow.counted("samovar_shadow_rows_total") >= seen + 10)
    assert shadow.counted("samovar_shadow_compared_total") == compared


def test_rows_that_it_cannot_answer_are_counted_and_are_the_only_ones(endpoints, versions, eventually, settled):
    """Copies are scored together; one that fails does not take its neighbours along."""
    champion, shadow = endpoints("Production", versions[1]), endpoints("Candidate", versions["failing"])
    champion.follow(shadow=[shadow])
    settled(champion, shadow)
    before = shadow.counted("samovar_shadow_rows_total")
    for number in range(24):
        assert champion.predict(hour=number).status_code == 200
    eventually(lambda: shadow.counted("samovar_shadow_rows_total") == before + 23)
    assert shadow.counted("samovar_shadow_failed_total") == 1


# --- when it is not well --------------------------------------------------------------------------------------------------------


def test_one_that_reads_nothing_costs_the_champion_no_memory_and_no_answer(pair, stalled, eventually, monkeypatch):
    """What it does not take is dropped and counted."""
    monkeypatch.setattr(copying, "_BYTES", 100_000)
    champion, _ = pair
    champion.workers[0][0].follow(Policy(shadow=(Target("Stalled", stalled),)))
    rows = [{"customer_id": f"c-{n}", "amount": 5.0, "hour": 3} for n in range(1000)]

    def dropped():
        assert champion.client.post("/batch_predict", json=rows).status_code == 200
        return champion.counted("samovar_shadow_dropped_total", reason="full", target="Stalled") > 0

    eventually(dropped)
    sent = champion.counted("samovar_shadow_sent_rows_total")
    for _ in range(20):
        assert champion.client.post("/batch_predict", json=rows).status_code == 200
    assert champion.counted("samovar_shadow_sent_rows_total") - sent < 5_000
    waiting = champion.workers[0][0]._neighbours._sharing._copying[0].line._wire._transport.get_write_buffer_size()
    assert waiting <= 200_000


def test_one_that_is_not_there_costs_nothing_but_a_count(pair):
    """And it gets copies when it comes."""
    champion, shadow = pair
    shadow.leave()
    shadow.peers.close()
    champion.follow(shadow=[shadow])
    for number in range(10):
        assert champion.predict(f"c-{number}").status_code == 200
    assert champion.counted("samovar_shadow_dropped_total", reason="down") == 10


def test_its_thread_gets_the_time_that_nobody_else_wants(shadowed):
    """In Linux the niceness of a thread is its own."""
    nice = {}
    for task in Path("/proc/self/task").iterdir():
        nice[int(task.name)] = os.getpriority(os.PRIO_PROCESS, int(task.name))
    assert max(nice.values()) == 19
    assert nice[os.getpid()] < 19


def test_nothing_is_asked_of_traffic_where_nothing_is_shared(pair, monkeypatch):
    """The hot path looks once whether there is anybody to share with."""
    champion, _ = pair
    for name in ("copy_row", "copy_job", "part", "quick"):
        monkeypatch.setattr(sharing.Sharing, name, None)  # would fail when called
    assert champion.predict().status_code == 200
    assert champion.client.post("/batch_predict", json=[{"customer_id": "a", "amount": 5.0, "hour": 3}]).status_code == 200
