"""One suite for the repositories, run on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading

import pytest

from samovar.store import (
    claimants,
    datasets,
    decisions,
    drift_reports,
    events,
    labels,
    predictions,
    quarantine,
    query,
    retrains,
    runs,
    trust,
)
from samovar.store.datasets import Dataset
from samovar.store.decisions import Decision
from samovar.store.drift_reports import StoredReport
from samovar.store.predictions import Prediction


def dataset(digest, **changes):
    return Dataset(**{"project": "iris", "digest": digest * 64, "contract": "c", "url": f"lake/{digest}", "rows": 3} | changes)


def decision(key, **changes):
    given = {"key": key, "kind": "promote", "model": "iris", "alias": "Production", "from_version": None, "to_version": 1}
    return Decision(**given | {"verdict": "approved", "reason": "better", "actor": "gate"} | changes)


def prediction(row_index, **changes):
    given = {"project": "iris", "model": "iris", "version": 1, "role": "champion", "dataset": "d", "row_index": row_index}
    return Prediction(**given | {"prediction": "setosa"} | changes)


# --- datasets --------------------------------------------------------------------------------------------------------------


def test_a_dataset_comes_back_as_it_was_stored(connection):
    stored = dataset("a", report={"shift": {"x": 0.25}, "anomalies": []}, rejected=2)
    datasets.add(connection, stored)
    assert datasets.latest(connection, "iris") == stored


def test_a_dataset_is_stored_once(connection):
    """The first one stays, with its time and its report."""
    datasets.add(connection, dataset("a", report={"first": True}))
    datasets.add(connection, dataset("a", report={"first": False}))
    assert [found.report for found in datasets.list_(connection, "iris")] == [{"first": True}]


def test_the_latest_dataset_is_the_last_stored_of_this_project(connection):
    datasets.add(connection, dataset("a"))
    datasets.add(connection, dataset("b", origin="injected", parent="a" * 64))
    datasets.add(connection, dataset("c", project="wine"))
    latest, source = datasets.latest(connection, "iris"), datasets.latest(connection, "iris", origin="source")
    assert (latest.digest[0], source.digest[0]) == ("b", "a")
    assert datasets.latest(connection, "fraud") is None


def test_a_dataset_is_found_by_the_beginning_of_its_digest(connection):
    datasets.add(connection, dataset("a"))
    assert datasets.get(connection, "iris", "aaaa") == datasets.latest(connection, "iris")
    assert datasets.get(connection, "iris", "ab") is None
    assert datasets.get(connection, "iris", "%") is None
    assert datasets.get(connection, "wine", "aaaa") is None


# --- quarantine ------------------------------------------------------------------------------------------------------------


def test_a_rejected_row_is_kept_as_it_came_with_its_reasons(connection):
    row = {"amount": -1.5, "note": "naïve ☕", "when": dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "missing": None, "n": float("nan")}
    items = [quarantine.Item(7, "amount", "expected a number > 0", row), quarantine.Item(7, "note", "too long", row)]
    quarantine.add(connection, "fraud", "batch", items)
    found = quarantine.list_(connection, "fraud")
    assert [(item.row_index, item.field, item.reason) for item in found] == [
        (7, "amount", "expected a number > 0"),
        (7, "note", "too long"),
    ]
    assert found[0].row == {"amount": -1.5, "note": "naïve ☕", "when": "2026-01-02T00:00:00Z", "missing": None, "n": None}


def test_quarantining_a_batch_again_adds_nothing(connection):
    items = [quarantine.Item(index, "amount", "missing", {}) for index in range(5)]
    for _ in range(2):
        quarantine.add(connection, "fraud", "batch", items)
    quarantine.add(connection, "fraud", "other", items[:1])
    assert len(quarantine.list_(connection, "fraud", "batch")) == 5
    assert len(quarantine.list_(connection, "fraud")) == 6


# --- predictions and labels ------------------------------------------------------------------------------------------------


def test_predictions_are_stored_once_per_version_dataset_and_row(connection):
    predictions.add(connection, [prediction(index, probability=index / 10) for index in range(4)])
    predictions.add(connection, [prediction(index, prediction="other") for index in range(6)])
    found = predictions.of(connection, "iris", 1, "d")
    assert [row.prediction for row in found] == ["setosa"] * 4 + ["other"] * 2
    assert [row.probability for row in found] == [0.0, 0.1, 0.2, 0.3, None, None]
    assert [row.row_index for row in found] == list(range(6))


def test_predictions_are_counted_by_what_is_asked_for(connection):
    predictions.add(connection, [prediction(index) for index in range(3)])
    predictions.add(connection, [prediction(index, version=2, role="shadow") for index in range(2)])
    assert predictions.count(connection) == 5
    assert predictions.count(connection, model="iris", role="shadow") == 2
    assert predictions.count(connection, model="iris", version=1, dataset="d") == 3
    assert predictions.count(connection, dataset="e") == 0


def test_keys_and_labels_may_be_long(connection):
    """What comes from data has no length limit on either database."""
    predictions.add(connection, [prediction(0, key="k" * 1000, prediction="p" * 1000)])
    assert predictions.of(connection, "iris", 1, "d")[0].key == "k" * 1000


def test_twenty_thousand_predictions_take_seconds(connection):
    predictions.add(connection, [prediction(index) for index in range(20_000)])
    assert predictions.count(connection) == 20_000


def test_the_first_label_of_a_row_stays(connection):
    labels.add(connection, [labels.Label("fraud", "t1", "1"), labels.Label("fraud", "t2", "0")])
    labels.add(connection, [labels.Label("fraud", "t1", "0"), labels.Label("wine", "t1", "x")])
    assert labels.of(connection, "fraud") == {"t1": "1", "t2": "0"}


# --- drift reports ---------------------------------------------------------------------------------------------------------


def report(**changes):
    given = {"project": "iris", "model": "iris", "version": 1, "dataset": "d", "settings": "s", "verdict": "ok"}
    return StoredReport(**given | {"worst_psi": 0.05, "report": {"features": []}, "folder": "reports"} | changes)


def test_a_drift_report_is_stored_once_per_version_dataset_and_policy(connection):
    first = drift_reports.add(connection, report())
    assert drift_reports.add(connection, report(verdict="alarm")) == first
    second = drift_reports.add(connection, report(settings="stricter", verdict="alarm"))
    assert second.verdict == "alarm"
    assert drift_reports.latest(connection, "iris") == second
    assert drift_reports.get(connection, "iris", 1, "d", "s") == first
    assert drift_reports.list_(connection, "iris") == [first, second]
    assert drift_reports.latest(connection, "wine") is None


# --- decisions -------------------------------------------------------------------------------------------------------------


def test_the_same_evidence_gives_the_decision_that_was_made_then(connection):
    first = decisions.record(connection, decision("k", evidence={"lower": 0.01}))
    again = decisions.record(connection, decision("k", verdict="rejected", reason="worse"))
    assert again == first
    assert again.evidence == {"lower": 0.01}


def test_a_decision_is_applied_once(connection):
    decisions.record(connection, decision("k"))
    assert decisions.get(connection, "k").applied_at is None
    at = dt.datetime(2026, 11, 1, 12, 30, 15, 123456, tzinfo=dt.UTC)
    decisions.mark_applied(connection, "k", at)
    decisions.mark_applied(connection, "k", at + dt.timedelta(hours=1))
    assert decisions.get(connection, "k").applied_at == at


def test_history_is_oldest_first_and_of_one_alias(connection):
    for key in ("one", "two", "three"):
        decisions.record(connection, decision(key))
    decisions.record(connection, decision("other", alias="Candidate"))
    assert [found.key for found in decisions.history(connection, "iris", "Production")] == ["one", "two", "three"]


def test_the_last_applied_decision_is_the_one_that_was_applied_last(connection):
    """Not the one that was recorded last: that may have been rejected."""
    at = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    for number, key in enumerate(("one", "two")):
        decisions.record(connection, decision(key))
        decisions.mark_applied(connection, key, at + dt.timedelta(hours=number))
    decisions.record(connection, decision("no", verdict="rejected"))
    assert decisions.last_applied(connection, "iris", "Production").key == "two"
    assert decisions.last_applied(connection, "iris", "Candidate") is None


# --- runs ------------------------------------------------------------------------------------------------------------------


def test_a_step_that_is_done_stays_done(connection):
    assert runs.begin(connection, "k", "train", "iris").status == "running"
    runs.finish(connection, "k", {"version": 3})
    runs.fail(connection, "k", "a slow twin failed")
    again = runs.begin(connection, "k", "train", "iris")
    assert (again.status, again.result, again.attempts, again.error) == ("done", {"version": 3}, 1, None)


def test_a_step_that_failed_or_was_killed_may_be_begun_again(connection):
    runs.begin(connection, "k", "train", "iris")
    runs.fail(connection, "k", "MLflow is gone")
    assert runs.get(connection, "k").error == "MLflow is gone"
    again = runs.begin(connection, "k", "train", "iris")
    assert (again.status, again.attempts, again.error, again.finished_at) == ("running", 2, None, None)
    assert [run.key for run in runs.list_(connection, "iris")] == ["k"]


# --- retrains --------------------------------------------------------------------------------------------------------------


def test_a_window_asks_for_one_retrain(connection):
    assert retrains.request(connection, "iris", "w1", "d", "PSI 0.4")
    assert not retrains.request(connection, "iris", "w1", "d", "PSI 0.5")
    assert retrains.request(connection, "iris", "w2", "d", "PSI 0.6")
    assert [found.cause for found in retrains.list_(connection, "iris")] == ["PSI 0.4", "PSI 0.6"]


def test_nothing_is_asked_for_within_the_cooldown(connection):
    hour = dt.timedelta(hours=1)
    assert retrains.request(connection, "iris", "w1", "d", "drift", cooldown=hour)
    assert not retrains.request(connection, "iris", "w2", "d", "drift", cooldown=hour)
    assert retrains.request(connection, "wine", "w1", "d", "drift", cooldown=hour)
    assert retrains.request(connection, "iris", "w3", "d", "drift", cooldown=dt.timedelta(0))


def test_the_oldest_open_request_is_claimed_first_and_by_one(connection):
    for window in ("w1", "w2"):
        retrains.request(connection, "iris", window, "d", "drift")
    me = claimants.myself()
    assert [retrains.claim(connection, me).window for _ in range(2)] == ["w1", "w2"]
    assert retrains.claim(connection, me) is None


def test_a_finished_request_is_not_claimed_again(connection):
    retrains.request(connection, "iris", "w1", "d", "drift")
    claimed = retrains.claim(connection, claimants.myself(), "iris")
    retrains.finish(connection, claimed.id, ok=False)
    retrains.finish(connection, claimed.id, ok=True)
    assert retrains.list_(connection)[0].state == "failed"
    assert retrains.claim(connection, claimants.myself()) is None


def test_one_of_many_claimants_gets_the_request(database):
    """Processes that ask at the same moment do not train twice."""
    with database.begin() as connection:
        retrains.request(connection, "iris", "w1", "d", "drift")
    start, got = threading.Barrier(8), []

    def claim():
        start.wait()
        with database.begin() as connection:
            got.append(retrains.claim(connection, claimants.myself()))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert sum(request is not None for request in got) == 1


def test_two_windows_at_once_do_not_both_pass_the_cooldown(database):
    start, made = threading.Barrier(6), []

    def ask(window):
        start.wait()
        with database.begin() as connection:
            made.append(retrains.request(connection, "iris", window, "d", "drift", cooldown=dt.timedelta(hours=1)))

    threads = [threading.Thread(target=ask, args=(f"w{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 5 + [True]


def test_the_claim_of_a_dead_process_is_free_at_once(connection):
    """A retrain that was killed goes on when it is run again, not ten minutes later."""
    retrains.request(connection, "iris", "w1", "d", "drift")
    name = subprocess.run(
        [sys.executable, "-c", "from samovar.store import claimants; print(claimants.myself())"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    retrains.claim(connection, name)
    assert retrains.claim(connection, claimants.myself()).window == "w1"


@pytest.mark.parametrize(
    "name",
    [
        lambda host, boot, space, process: f"{host}:{process}",  # as it was written before
        lambda host, boot, space, process: f"{host}/{boot[::-1]}x/{space}:{process}",  # another machine, or before the last boot
        lambda host, boot, space, process: f"{host}/{boot}/1{space}:{process}",  # a container with the host's own name
        lambda host, boot, space, process: f"another/{boot}/{space}:{process}",
    ],
)
def test_nobody_is_taken_for_dead_whose_pids_cannot_be_seen(name):
    """Hosts may share a name; each would take a lease from the other that lives, in turns."""
    where, _, process = claimants.myself().partition(":")
    assert claimants.alive(f"{where}:{process}") is True
    assert claimants.alive(f"{where}:{process}0") is False
    assert claimants.alive(name(*where.split("/"), f"{process}0")) is None


@pytest.mark.parametrize("untold", ["_boot", "_pid_namespace"])
def test_where_the_kernel_does_not_tell_nobody_is_taken_for_dead(monkeypatch, untold):
    monkeypatch.setattr(claimants, untold, lambda: "")
    assert claimants.alive(claimants.myself()) is None


def test_a_living_process_keeps_its_claim_however_long_it_takes(connection, monkeypatch):
    retrains.request(connection, "iris", "w1", "d", "drift")
    retrains.claim(connection, claimants.myself())
    later = query.now() + 10 * retrains.LEASE
    monkeypatch.setattr(query, "now", lambda: later)
    assert retrains.claim(connection, "another:1:1") is None


@pytest.mark.parametrize(("renewed", "free"), [(False, True), (True, False)])
def test_a_claim_of_another_host_lasts_as_long_as_it_is_renewed(connection, monkeypatch, renewed, free):
    retrains.request(connection, "iris", "w1", "d", "drift")
    claimed = retrains.claim(connection, "another-host:12:345")
    later = query.now() + 0.9 * retrains.LEASE
    monkeypatch.setattr(query, "now", lambda: later)
    assert retrains.claim(connection, claimants.myself()) is None
    if renewed:
        assert retrains.renew(connection, claimed.id, "another-host:12:345")
    even_later = later + 0.9 * retrains.LEASE
    monkeypatch.setattr(query, "now", lambda: even_later)
    assert (retrains.claim(connection, claimants.myself()) is not None) is free
    assert retrains.renew(connection, claimed.id, "another-host:12:345") is not free


# --- events and trust ------------------------------------------------------------------------------------------------------


def test_events_are_newest_first_and_may_be_of_one_model(connection):
    events.add(connection, "served", "iris", "Production", {"version": 1})
    events.add(connection, "held", alarm=True)
    events.add(connection, "served", "wine", "Production")
    assert [event.model for event in events.list_(connection)] == ["wine", "", "iris"]
    assert [event.detail for event in events.list_(connection, "iris")] == [{"version": 1}]
    assert [event.alarm for event in events.list_(connection, limit=2)] == [False, True]


def test_trust_is_for_one_version_unless_it_is_for_all(connection):
    trust.grant(connection, "iris", 2, "ada")
    trust.grant(connection, "iris", 2, "bob")
    trust.grant(connection, "wine", trust.EVERY_VERSION, "ada")
    assert [trust.is_trusted(connection, "iris", version) for version in (1, 2, 3)] == [False, True, False]
    assert trust.is_trusted(connection, "wine", 41)
    assert [(grant.model, grant.actor) for grant in trust.list_(connection)] == [("iris", "ada"), ("wine", "ada")]
