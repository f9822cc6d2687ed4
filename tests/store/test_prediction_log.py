"""One suite for the table of the prediction log, run on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import json
import math
import threading

import pytest
import sqlalchemy as sa

from samovar.store import prediction_log, query
from samovar.store.database import open_database
from samovar.store.prediction_log import Features, LogRows, ShippedSegment

AT = 1_790_000_000_123_456
"""UNIX microseconds."""


def segment(name="s1", **changes):
    given = {"segment": name, "project": "fraud", "model": "fraud", "alias": "Production", "version": 3, "role": "champion"}
    return ShippedSegment(**given | {"contract": "c" * 64, "fields": [["amount", "keep"]], "classes": [0, 1]} | changes)


def rows(count, start=0, **changes):
    each = range(start, start + count)
    given = {
        "at": [AT + number for number in each],
        "request_ids": [f"r{number}" for number in each],
        "row_indices": [0] * count,
        "routes": ["/predict"] * count,
        "keys": [f"t-{number}" for number in each],
        "labels": [number % 2 for number in each],
        "probabilities": [[0.25, 0.75]] * count,
        "features": [Features(0, count, {"amount": [number + 0.5 for number in each]})] if count else [],
    }
    return LogRows(**given | changes)


def put(connection, name="s1", count=3, **changes):
    shipment = prediction_log.begin(connection, segment(name, **changes))
    shipment.add(rows(count))
    shipment.finish(requests=count, torn=0, first_at=AT, last_at=AT + count - 1)


def test_rows_come_back_as_they_were_answered(connection):
    put(connection)
    first, *_, last = prediction_log.rows_of(connection, "fraud")
    assert (first.position, last.position) == (0, 2)
    assert last.at == dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=AT + 2)
    assert (last.request_id, last.row_index, last.route) == ("r2", 0, "/predict")
    assert (last.key, last.label, last.probabilities, last.features) == ("t-2", "0", [0.25, 0.75], {"amount": 2.5})


def test_a_file_is_stored_once(connection):
    """Its name is in the transaction of its rows."""
    put(connection)
    assert prediction_log.begin(connection, segment()) is None
    assert prediction_log.count(connection) == 3


def test_a_file_whose_transaction_failed_is_stored_again(database):
    def fail():
        with database.begin() as connection:
            put(connection)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with database.begin() as connection:
        put(connection)
        assert prediction_log.count(connection) == 3
        assert len(prediction_log.rows_of(connection, "fraud")) == 3


def test_of_many_who_ship_a_file_one_stores_it(database):
    start, stored = threading.Barrier(6), []

    def work():
        start.wait()
        with database.begin() as connection:
            shipment = prediction_log.begin(connection, segment())
            if shipment is not None:
                shipment.add(rows(50))
                shipment.finish(requests=50, torn=0, first_at=AT, last_at=AT)
            stored.append(shipment is not None)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(stored) == [False] * 5 + [True]
    with database.read() as connection:
        assert len(prediction_log.rows_of(connection, "fraud")) == 50


ODD = ["", "a\tb", "line\nbreak", "\r\n", "\\N", "\\.", 'quo"te', "naïve ☕ \U0001f600", "nul\0", "x" * 2000, "null", None]


@pytest.mark.parametrize("text", ODD, ids=repr)
def test_text_of_any_kind_comes_back(connection, text):
    """Keys and values are people's: nothing in them may end a row, or become null."""
    shipment = prediction_log.begin(connection, segment())
    odd = {"keys": [text, "next"], "labels": [text, "next"], "features": [Features(0, 2, {"note": [text, "next"]})]}
    shipment.add(rows(2, **odd, routes=["/a\\b", "/c"]))
    first, second = prediction_log.rows_of(connection, "fraud")
    expected = "" if text is None else text.replace("\0", "�")
    assert (first.key, first.label, first.features) == (expected, expected, {"note": text})
    assert (first.route, second.key, second.features) == ("/a\\b", "next", {"note": "next"})


def test_what_is_not_logged_is_null(connection):
    shipment = prediction_log.begin(connection, segment())
    shipment.add(rows(2, probabilities=[None, None], features=[Features(1, 1, {"amount": [math.nan]})], labels=[None, 0.5]))
    first, second = prediction_log.rows_of(connection, "fraud")
    assert (first.probabilities, first.features, first.label) == (None, None, "")
    assert (second.features, second.label) == ({"amount": None}, "0.5")


def test_rows_that_come_in_parts_keep_their_order(connection):
    shipment = prediction_log.begin(connection, segment())
    shipment.add(rows(2))
    shipment.add(rows(0))
    shipment.add(rows(3, start=2))
    assert [row.position for row in prediction_log.rows_of(connection, "fraud")] == [0, 1, 2, 3, 4]
    assert [row.key for row in prediction_log.rows_of(connection, "fraud", limit=2)] == ["t-3", "t-4"]


def test_rows_are_counted_by_what_is_asked_for(connection):
    put(connection, "s1")
    put(connection, "s2", 5, version=4)
    put(connection, "s3", 2, model="iris", alias="Candidate")
    assert prediction_log.count(connection) == 10
    assert prediction_log.count(connection, model="fraud") == 8
    assert prediction_log.count(connection, model="fraud", version=4) == 5
    assert prediction_log.count(connection, alias="Candidate") == 2
    assert prediction_log.count(connection, model="none") == 0


def test_old_rows_are_forgotten_with_their_files(connection):
    put(connection)
    now = query.now()
    assert not prediction_log.has_older(connection, now - dt.timedelta(days=1))
    assert prediction_log.forget(connection, now - dt.timedelta(days=1)) == 0
    later = now + dt.timedelta(days=1)
    assert prediction_log.has_older(connection, later)
    assert prediction_log.forget(connection, later) == 3
    assert prediction_log.count(connection) == 0
    assert prediction_log.rows_of(connection, "fraud") == []


def test_twenty_thousand_rows_take_seconds(connection):
    shipment = prediction_log.begin(connection, segment())
    for start in range(0, 20_000, 5_000):
        shipment.add(rows(5_000, start=start))
    shipment.finish(requests=20_000, torn=7, first_at=AT, last_at=AT)
    assert prediction_log.count(connection) == 20_000


def test_rows_of_a_database_from_before_keep_their_values(store_settings, database):
    """They were one JSON object a row; some had none."""
    old = [{"amount": 1.5}, {"amount": 2.5}, None, {"amount": None}, {"channel": "web"}]
    with database.begin() as connection:
        shipment = prediction_log.begin(connection, segment())
        shipment.add(rows(5, features=[]))
        connection.execute(sa.text("DROP TABLE prediction_features"))
        connection.execute(sa.text("ALTER TABLE prediction_log ADD COLUMN features JSON"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0003'"))
        for position, values in enumerate(old):
            told = None if values is None else json.dumps(values)
            statement = sa.text("UPDATE prediction_log SET features = :told WHERE position = :position")
            connection.execute(statement, {"told": told, "position": position})
    with open_database(store_settings).read() as connection:
        assert [row.features for row in prediction_log.rows_of(connection, "fraud")] == old
        assert len(prediction_log.rows_of(connection, "fraud", limit=2)) == 2
