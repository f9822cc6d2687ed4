"""One holder at a time, on SQLite and on PostgreSQL; whoever holds later has the higher number."""

from __future__ import annotations

import threading

import pytest

from samovar.store import leases


def take(database, holder, seen=None):
    with database.begin() as connection:
        return leases.take(connection, "world", holder, 15.0, seen)


def look(database):
    with database.read() as connection:
        return leases.get(connection, "world")


def renew(database, lease):
    with database.begin() as connection:
        return leases.renew(connection, lease)


def test_the_first_takes_it_and_the_second_does_not(database):
    assert look(database) is None
    first = take(database, "first")
    assert take(database, "second") is None
    assert (look(database).holder, look(database).epoch) == ("first", first.epoch)


def test_a_lease_that_was_renewed_since_it_was_looked_at_cannot_be_taken(database):
    first = take(database, "first")
    seen = look(database)
    assert renew(database, first)
    assert take(database, "second", seen) is None
    assert look(database).holder == "first"


def test_a_take_over_has_a_higher_epoch_and_the_former_holder_hears_of_it(database):
    first = take(database, "first")
    second = take(database, "second", look(database))
    assert second.epoch > first.epoch
    assert not renew(database, first)
    assert renew(database, second)


def test_a_lease_that_was_given_back_keeps_its_number(database):
    """The next holder's is higher all the same."""
    first = take(database, "first")
    with database.begin() as connection:
        leases.release(connection, first)
    assert look(database).holder == ""
    assert not renew(database, first)
    assert take(database, "second", look(database)).epoch > first.epoch


def test_giving_back_what_was_lost_changes_nothing(database):
    first = take(database, "first")
    take(database, "second", look(database))
    with database.begin() as connection:
        leases.release(connection, first)
    assert look(database).holder == "second"


def test_a_database_that_was_lost_does_not_begin_with_old_numbers(database, monkeypatch):
    """An agent remembers the number; a lease of a new table must not be taken for an older one."""
    before = take(database, "first").epoch
    monkeypatch.setattr(leases.time, "time", lambda: before + 5.0)
    with database.begin() as connection:
        connection.execute(leases.leases.delete())
    assert take(database, "first").epoch > before


@pytest.mark.parametrize("again", [False, True])
def test_of_many_that_take_at_once_one_gets_it(database, again):
    if again:
        take(database, "former")
    seen = look(database)
    barrier, got = threading.Barrier(8), []

    def grab(number):
        barrier.wait()
        got.append(take(database, f"holder-{number}", seen))

    threads = [threading.Thread(target=grab, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [lease for lease in got if lease is not None]
    assert look(database).holder == winner.holder
