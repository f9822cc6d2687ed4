"""Reading the prediction log with what came true, on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime as dt

from samovar.store import decisions, labels, logged, prediction_log
from samovar.store.decisions import Decision
from samovar.store.labels import Label
from samovar.store.prediction_log import Features, LogRows, ShippedSegment

AT = 1_790_000_000_123_456
"""UNIX microseconds."""
WHEN = dt.datetime.fromtimestamp(AT // 1_000_000, dt.UTC)
SPAN = {"since": WHEN - dt.timedelta(minutes=1), "until": WHEN + dt.timedelta(minutes=1)}


def put(connection, count):
    segment = ShippedSegment(
        segment="s1", project="fraud", model="fraud", alias="Production", version=3, role="champion", contract="c" * 64,
        fields=[["amount", "keep"]], classes=[0, 1],
    )  # fmt: skip
    shipment = prediction_log.begin(connection, segment)
    each = range(count)
    names = [f"r{number}" for number in each], [0] * count, ["/predict"] * count, [f"t-{number}" for number in each]
    features = [Features(0, count, {"amount": [number + 0.5 for number in each]})]
    shipment.add(LogRows([AT + at for at in each], *names, [at % 2 for at in each], [[0.25, 0.75]] * count, features))
    shipment.finish(requests=count, torn=0, first_at=AT, last_at=AT + count - 1)


def test_labels_are_found_by_key_by_row_and_by_request(connection):
    put(connection, count=4)
    labels.add(
        connection, [Label("fraud", "t-0", "1"), Label("fraud", "r1/0", "0"), Label("fraud", "r2", "1"), Label("iris", "t-3", "1")]
    )
    found = list(logged.judged(connection, "fraud", "Production", [("champion", 3)], **SPAN))
    assert sorted((row.key, row.label, row.truth, row.probabilities) for row in found) == [
        ("t-0", "0", "1", [0.25, 0.75]),
        ("t-1", "1", "0", [0.25, 0.75]),
        ("t-2", "0", "1", [0.25, 0.75]),
    ]
    assert list(logged.judged(connection, "fraud", "Production", [("champion", 4)], **SPAN)) == []
    (file,) = logged.segments(connection, "fraud", "Production", **SPAN)
    (rows,) = logged.answered(connection, file, "fraud")
    assert (rows.first, rows.columns, rows.truths) == (0, {"amount": [0.5, 1.5, 2.5, 3.5]}, ["1", "0", "1", None])
    (group,) = logged.groups(connection, "fraud", "Production", since=SPAN["since"])
    assert (group.role, group.version, group.rows, group.first_at.replace(microsecond=0)) == ("champion", 3, 4, WHEN)


def test_a_decision_is_found_by_its_model_or_the_beginning_of_its_key(connection):
    given = {"alias": "a", "from_version": None, "to_version": 1, "verdict": "approved", "reason": "r", "actor": "x"}
    for key, kind in (("abcdef1", "promote"), ("abc%ef2", "set")):
        decisions.record(connection, Decision(key=key, kind=kind, model="m", **given))
    assert [one.key for one in decisions.find(connection, "m")] == ["abc%ef2", "abcdef1"]
    assert [one.key for one in decisions.find(connection, "abc%ef")] == ["abc%ef2"]
    assert decisions.find(connection, "abc") == decisions.find(connection, "m", "rollback") == []
