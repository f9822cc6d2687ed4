"""A split: sticky, per row, in order, in every protocol, and never a client's failure."""

from __future__ import annotations

import threading
import time

import msgspec
import numpy as np
import pytest

from samovar.serving.traffic import sharing


@pytest.fixture
def half(pair, reached):
    champion, challenger = pair
    champion.follow(split=[(challenger, 50)])
    reached(champion, 50)
    return champion, challenger


def versions_of(champion, count=60):
    return {f"c-{n}": champion.predict(f"c-{n}").json()["model_version"] for n in range(count)}


def test_an_answer_says_who_gave_it_and_is_theirs(half):
    """The challenger's probability, threshold and name, in the champion's words."""
    champion, challenger = half
    for name, said in versions_of(champion).items():
        answer = champion.predict(name)
        assert answer.headers["x-model-version"] == said
        expected = (champion if said == "v1" else challenger).client.post(
            "/predict", json={"customer_id": name, "amount": 300.0, "hour": 3}
        )
        if said == "v2":
            assert answer.json() == expected.json()
        assert answer.json()["is_fraud"] is (said == "v1")


def test_a_customer_stays_with_a_version_and_a_larger_share_moves_only_the_difference(pair, reached):
    """Across requests, protocols of the contract, and changes of the share."""
    champion, challenger = pair
    champion.follow(split=[(challenger, 30)])
    reached(champion, 30)
    before = versions_of(champion)
    assert versions_of(champion) == before
    champion.follow(split=[(challenger, 60)])
    _until_more(champion, before)
    after = versions_of(champion)
    assert all(after[name] == "v2" for name, said in before.items() if said == "v2")
    champion.follow()
    reached_all = [name for name in before if "x-model-version" in champion.predict(name).headers]
    assert len(reached_all) <= len(before)


def _until_more(champion, before):
    count = list(before.values()).count("v2")
    deadline = time.monotonic() + 10
    while list(versions_of(champion).values()).count("v2") <= count:
        assert time.monotonic() < deadline


def test_rows_of_one_request_go_to_their_versions_and_come_back_in_order(half):
    """Each row is answered as it would be alone."""
    champion, _ = half
    alone = versions_of(champion, 300)
    rows = [{"customer_id": f"c-{n}", "amount": 10.0 + n, "hour": n % 24} for n in range(300)]
    answer = champion.client.post("/batch_predict", json=rows)
    found = answer.json()["predictions"]
    assert [one["customer_id"] for one in found] == [row["customer_id"] for row in rows]
    assert [one["model_version"] for one in found] == list(alone.values())
    assert answer.headers["x-model-version"] == "v1,v2"
    for row, one in zip(rows, found, strict=True):
        single = champion.predict(row["customer_id"], row["amount"], row["hour"]).json()
        assert one.pop("probability") == pytest.approx(single.pop("probability"), rel=1e-9)
        assert one == single


def test_other_protocols_are_split_by_the_header_that_names_an_entity(half):
    """Their rows carry no key: the whole request goes one way, always the same for the same header."""
    champion, _ = half
    split = {"dataframe_split": {"columns": ["amount", "hour"], "data": [[300.0, 3], [5.0, 3]]}}
    tensors = {
        "inputs": [
            {"name": "amount", "datatype": "FP64", "shape": [2], "data": [300.0, 5.0]},
            {"name": "hour", "datatype": "INT64", "shape": [2], "data": [3, 3]},
        ]
    }
    seen = set()
    for number in range(20):
        headers = {"x-entity-id": f"e-{number}"}
        flat = champion.client.post("/invocations", json=split, headers=headers)
        oip = champion.client.post("/v2/models/m/infer", json=tensors, headers=headers)
        said = flat.headers["x-model-version"]
        assert oip.headers["x-model-version"] == said
        assert oip.json()["model_version"] == said[1:]
        labels = [1, 0] if said == "v1" else [0, 1]
        assert flat.json()["predictions"] == labels
        assert oip.json()["outputs"][0]["data"] == labels
        seen.add(said)
    assert seen == {"v1", "v2"}


def test_without_an_entity_requests_are_split_by_their_id(endpoints, versions, reached):
    """A transaction's id in the contract is no entity."""
    champion, challenger = endpoints("Production", versions["by request"]), endpoints("Challenger", versions[2])
    champion.follow(split=[(challenger, 50)])
    reached(champion, 50)
    said = {champion.predict("c-1").headers["x-model-version"] for _ in range(40)}
    assert said == {"v1", "v2"}
    assert len({champion.predict("c-1", **{"x-request-id": "same"}).headers["x-model-version"] for _ in range(10)}) == 1


def test_a_bad_row_is_refused_before_anybody_is_asked(half):
    """The contract of the endpoint that was asked is the one that counts."""
    champion, _ = half
    rows = [{"customer_id": f"c-{n}", "amount": 5.0, "hour": 3} for n in range(20)]
    rows[7]["amount"] = -1.0
    before = champion.counted("samovar_traffic_rows_total")
    answer = champion.client.post("/batch_predict", json=rows)
    assert answer.status_code == 400
    assert answer.json()["path"] == "rows[7].amount"
    assert champion.counted("samovar_traffic_rows_total") == before


def test_each_row_is_logged_once_with_its_role_version_and_place(half):
    """A request is found again by its id, whoever answered which of its rows."""
    champion, challenger = half
    rows = [{"customer_id": f"c-{n}", "amount": 5.0 + n, "hour": 3} for n in range(40)]
    champion.client.post("/batch_predict", json=rows, headers={"x-request-id": "whole"})
    champion.predict("c-1", **{"x-request-id": "one"})
    champion.client.close()
    champion.leave()
    found = [(role, number, row) for role, number, row in champion.logged() if row.request_id == "whole"]
    assert sorted(row.index for _, _, row in found) == list(range(40))
    assert {(role, number) for role, number, _ in found} == {("champion", 1), ("challenger", 2)}
    assert all(row.key == f"c-{row.index}" and row.values["amount"] == 5.0 + row.index for _, _, row in found)
    assert all(row.label == (1 if role == "challenger" else 0) for role, _, row in found)
    assert len([row for _, _, row in champion.logged() if row.request_id == "one"]) == 1
    challenger.leave()
    assert challenger.logged() == []


def test_rows_are_counted_by_the_version_that_answered(half):
    """Shares can be seen in Prometheus."""
    champion, _ = half
    before = champion.counted("samovar_traffic_rows_total")
    versions_of(champion, 50)
    family = "samovar_traffic_rows_total"
    assert champion.counted(family) == before + 50
    assert champion.counted(family, role="challenger", version=2, target="Challenger", alias="Production", model="m") > 0
    assert champion.counted(family, role="champion", version=1, target="Production") > 0


def test_a_large_request_is_the_champion_s(half, monkeypatch):
    """Parting it would hold up everybody else; it is counted as what the challenger did not answer."""
    champion, _ = half
    monkeypatch.setattr(sharing, "_ROWS", 30)
    family, fallback = "samovar_traffic_rows_total", "samovar_traffic_fallback_total"
    before, rows = champion.counted(family, version=1), [{"customer_id": f"c-{n}", "amount": 5.0, "hour": 3} for n in range(40)]
    answer = champion.client.post("/batch_predict", json=rows)
    assert {one["model_version"] for one in answer.json()["predictions"]} == {"v1"}
    assert answer.headers["x-model-version"] == "v1"
    table = {"dataframe_split": {"columns": ["amount", "hour"], "data": [[5.0, 3]] * 40}}
    said = [champion.client.post("/invocations", json=table, headers={"x-entity-id": f"e-{n}"}).headers for n in range(20)]
    assert {headers["x-model-version"] for headers in said} == {"v1"}
    assert champion.counted(family, version=1) == before + 21 * 40
    assert 20 < champion.counted(fallback, reason="busy") < 21 * 40


# --- when the other side is not well ------------------------------------------------------------------------------------------


def test_the_champion_answers_when_nobody_is_there(pair):
    """A challenger that is not served is no client's failure."""
    champion, challenger = pair
    challenger.leave()
    challenger.peers.close()
    champion.follow(split=[(challenger, 100)])
    assert {champion.predict(f"c-{n}").json()["model_version"] for n in range(20)} == {"v1"}
    assert champion.counted("samovar_traffic_fallback_total", reason="down") > 0


def test_the_champion_answers_what_the_challenger_s_model_cannot(endpoints, versions, reached):
    """Its own failure is counted, and its neighbours' rows are its own."""
    champion, challenger = endpoints("Production", versions[1]), endpoints("Challenger", versions["failing"])
    champion.follow(split=[(challenger, 100)])
    _until(lambda: champion.predict(hour=3).headers.get("x-model-version") == "v4")
    answer = champion.predict(hour=13)
    assert (answer.status_code, answer.json()["model_version"]) == (200, "v1")
    assert champion.counted("samovar_traffic_fallback_total", reason="failed") == 1


def test_the_champion_answers_when_the_challenger_takes_too_long_and_leaves_it_alone_for_a_while(endpoints, versions):
    """One client waits for the deadline, not every one after it."""
    champion = endpoints("Production", versions[1], share_seconds=0.2)
    challenger = endpoints("Challenger", versions["waiting"])
    champion.follow(split=[(challenger, 100)])
    _until(lambda: champion.predict(hour=3).headers.get("x-model-version") == "v5")
    began = time.monotonic()
    assert champion.predict(hour=13).json()["model_version"] == "v1"
    assert 0.15 < time.monotonic() - began < 2
    began = time.monotonic()
    assert {champion.predict(hour=3).json()["model_version"] for _ in range(10)} == {"v1"}
    assert time.monotonic() - began < 0.2
    assert champion.counted("samovar_traffic_fallback_total", reason="slow") == 11
    _until(lambda: champion.predict(hour=3).headers.get("x-model-version") == "v5")


def test_versions_that_do_not_fit_are_not_asked(endpoints, versions):
    """Other classes or other columns: nobody guesses."""
    plan = versions[2]
    more = (*plan.signature, msgspec.structs.replace(plan.signature[0], name="new", required=True))
    champion, challenger = endpoints("Production", versions[1]), endpoints("Challenger", plan)
    challenger.workers[0][0]._neighbours._host.plan = msgspec.structs.replace(plan, signature=more)
    champion.follow(split=[(challenger, 100)])
    _until(lambda: champion.predict() and champion.counted("samovar_traffic_fallback_total", reason="unfit") > 0)
    assert champion.predict().json()["model_version"] == "v1"


def test_answers_leave_although_their_log_cannot_be_opened(half):
    """They are counted as not logged, and logged again when it can be."""
    champion, _ = half
    sharing_ = champion.workers[0][0]._neighbours._sharing
    sharing_._logs.forget(lambda _: True)
    opens, sharing_._open_log = sharing_._open_log, None  # fails when called
    name = next(name for name, said in versions_of(champion).items() if said == "v2")
    lost = champion.counted("samovar_spool_dropped_total", reason="error")
    assert lost > 0
    sharing_._open_log = opens

    def logged():
        before = champion.counted("samovar_spool_dropped_total", reason="error")
        assert champion.predict(name).headers["x-model-version"] == "v2"
        return champion.counted("samovar_spool_dropped_total", reason="error") == before

    _until(logged)


@pytest.mark.parametrize("broken", ["log", "_count", "signed"])
def test_a_failure_of_ours_while_answers_are_joined_is_answered(half, monkeypatch, broken):
    """With an error, at once; nobody waits for ever."""
    champion, _ = half
    name = next(name for name, said in versions_of(champion).items() if said == "v2")
    with monkeypatch.context() as patch:
        patch.setattr(champion.workers[0][0]._neighbours._sharing, broken, None)  # fails when called
        assert champion.predict(name).status_code == 500
    assert champion.predict(name).status_code == 200


def test_logs_of_versions_that_are_gone_are_closed(half, versions):
    """A champion lives through many versions of its challenger."""
    champion, challenger = half
    logs = champion.workers[0][0]._neighbours._sharing._logs
    for number in (3, 1):
        challenger.serve(versions[number])
        _until(lambda number=number: versions_of(champion, 5) and number in logs._kept["Challenger"])
    assert list(logs._kept["Challenger"]) == [3, 1]


class Load:
    """Clients that ask until the block ends, each customer its own."""

    def __init__(self, endpoint, clients=4):
        self.endpoint = endpoint
        self.answers = []
        self.failures = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count):
        goal = len(self.answers) + count
        _until(lambda: len(self.answers) >= goal)

    def _ask(self, number):
        turn = np.random.default_rng(number)
        while not self._stop.is_set():
            name = f"c-{turn.integers(1000)}"
            try:
                answer = self.endpoint.predict(name)
                (self.answers if answer.status_code == 200 else self.failures).append((name, answer.headers["x-model-version"]))
            except Exception as error:  # noqa: BLE001 - any is a failure
                self.failures.append((name, repr(error)))


def test_a_challenger_that_is_swapped_loses_no_row_and_no_share(half, versions):
    """Its old worker answers what it has, its new one what comes."""
    champion, challenger = half
    before = champion.counted("samovar_traffic_fallback_total")
    with Load(champion) as load:
        load.more(200)
        for number in (3, 2, 3, 2):
            challenger.serve(versions[number])
            load.more(100)
    assert load.failures == []
    assert champion.counted("samovar_traffic_fallback_total") == before
    assert {said for _, said in load.answers} == {"v1", "v2", "v3"}


def test_a_challenger_that_goes_away_under_load_fails_nobody(half, versions):
    """Fallbacks and nothing else; and its share comes back when it does."""
    champion, challenger = half
    with Load(champion) as load:
        load.more(100)
        challenger.leave()
        load.more(100)
        challenger.serve(versions[2])
        _until(lambda: "v2" in {said for _, said in load.answers[-50:]})
    assert load.failures == []


def _until(probe, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
