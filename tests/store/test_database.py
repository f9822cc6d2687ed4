"""One suite for the database, run on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from samovar.errors import Conflict, StoreUnavailable
from samovar.store import events, schema
from samovar.store.database import open_database, translated
from samovar.store.migrations import HEAD
from samovar.store.tables import metadata

OPEN = """
import sys
from samovar import settings
from samovar.store.database import open_database
home, url = sys.argv[1:3]
settings_ = settings.load(home=home, database_url=url or None, postgres_password="correct-horse", _env_file=None)
"""


def program(store_settings, code, *arguments):
    """Start another process that knows the same database."""
    command = [sys.executable, "-c", OPEN + code, str(store_settings.home), store_settings.database_url or "", *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def count_events(database):
    with database.read() as connection:
        return len(events.list_(connection, limit=10_000))


# --- tables ----------------------------------------------------------------------------------------------------------------


def test_migrations_make_exactly_the_declared_tables(connection):
    assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_newest_migration_is_the_one_that_opening_looks_for():
    """`HEAD` is written by hand, so that Alembic need not be imported to read it."""
    config = Config()
    config.set_main_option("script_location", "samovar.store:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_opening_again_keeps_the_rows(store_settings, database):
    with database.begin() as connection:
        events.add(connection, "served")
    assert count_events(open_database(store_settings)) == 1


def test_processes_that_open_at_once_migrate_once(store_settings):
    started = [program(store_settings, "open_database(settings_)") for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0)] * 3
    assert count_events(open_database(store_settings)) == 0


@pytest.mark.parametrize("statement", [2, 7, 14])
def test_a_migration_killed_half_way_leaves_nothing_half_made(store_settings, statement):
    """Killed at the n-th statement that makes something; opened again, the database is whole."""
    code = """
import os, signal
import sqlalchemy as sa
left = [int(sys.argv[3])]
@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def _(connection, cursor, text, *_):
    left[0] -= "CREATE" in text.upper()
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
open_database(settings_)
"""
    process = program(store_settings, code, statement)
    assert (process.communicate()[1], process.returncode) == ("", -signal.SIGKILL)
    with open_database(store_settings).begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_of_a_newer_samovar_is_left_alone(store_settings, database):
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="newer Samovar"):
        open_database(store_settings)
    with database.read() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_database_that_is_up_to_date_opens_without_alembic(store_settings, database):
    process = program(store_settings, "open_database(settings_); print('alembic' in sys.modules)")
    assert process.communicate()[0].strip() == "False"
    assert schema.revision(database._engine) == HEAD


# --- transactions ----------------------------------------------------------------------------------------------------------


def test_an_error_takes_everything_back(database):
    def work():
        with database.begin() as connection:
            events.add(connection, "served")
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert count_events(database) == 0


def test_a_reader_does_not_wait_for_a_writer(database):
    with database.begin() as writer:
        events.add(writer, "served")
        assert count_events(database) == 0
    assert count_events(database) == 1


def test_writers_at_once_lose_nothing(database):
    def write():
        for _ in range(10):
            with database.begin() as connection:
                before = len(events.list_(connection, limit=1000))
                events.add(connection, f"after {before}")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_events(database) == 40


def test_times_come_back_in_utc(connection):
    berlin = dt.timezone(dt.timedelta(hours=2))
    at = dt.datetime(2026, 7, 1, 14, 0, 0, 123456, tzinfo=berlin)
    connection.execute(metadata.tables["events"].insert().values(at=at, kind="x", detail={}))
    found = events.list_(connection)[0].at
    assert found == at
    assert found.tzinfo is dt.UTC


def test_a_time_without_a_zone_is_refused(connection):
    with pytest.raises(sa.exc.StatementError, match="time zone"):
        connection.execute(metadata.tables["events"].insert().values(at=dt.datetime(2026, 7, 1), kind="x", detail={}))  # noqa: DTZ001


# --- locks -----------------------------------------------------------------------------------------------------------------

HOLD = """
import os, signal
database = open_database(settings_)
with database.lock("train"):
    child = os.fork() if "fork" in sys.argv else -1
    if child:
        print("held", child, flush=True)
    signal.pause()
"""


def test_a_lock_is_held_by_one_and_others_wait(database):
    order = []

    def second():
        with database.lock("train"):
            order.append("second")

    with database.lock("train"):
        thread = threading.Thread(target=second)
        thread.start()
        with database.lock("another"):
            order.append("first")
        thread.join(0.2)
        order.append("still first")
    thread.join()
    assert order == ["first", "still first", "second"]


def test_waiting_for_a_lock_ends_with_a_clear_error(database):
    with database.lock("train iris"), pytest.raises(Conflict, match="at train iris"), database.lock("train iris", wait_seconds=0.1):
        pytest.fail("two hold one lock")


def test_the_death_of_its_holder_frees_a_lock(store_settings, database):
    process = program(store_settings, HOLD)
    assert process.stdout.readline().startswith("held")
    with pytest.raises(Conflict), database.lock("train", wait_seconds=0.1):
        pytest.fail("two hold one lock")
    process.kill()
    process.communicate()
    with database.lock("train", wait_seconds=10):
        pass


@pytest.mark.parametrize("store_settings", ["postgresql"], indirect=True)
def test_a_lock_whose_connection_was_cut_is_a_store_that_cannot_be_used(database):
    """Whoever held it may no longer be alone: it must hear so, and not as an error of the driver."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'samovar' AND pid <> pg_backend_pid()"

    def hold_and_be_cut():
        with database.lock("train"), database.read() as connection:
            assert connection.scalar(sa.text(others))

    with pytest.raises(StoreUnavailable, match="cannot be used"):
        hold_and_be_cut()
    with database.lock("train", wait_seconds=5):
        pass


def test_a_forked_child_does_not_keep_the_lock_of_its_killed_parent(store_settings, database):
    """Training forks; its orphans must not hold up whoever trains again."""
    process = program(store_settings, HOLD, "fork")
    child = int(process.stdout.readline().removeprefix("held "))
    process.kill()
    process.wait()
    try:
        with database.lock("train", wait_seconds=10):
            os.kill(child, 0)  # it lives
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()


# --- failures --------------------------------------------------------------------------------------------------------------


def test_mistakes_of_ours_are_not_taken_for_an_unreachable_database(database):
    with pytest.raises(sa.exc.IntegrityError), database.begin() as connection:
        connection.execute(metadata.tables["events"].insert().values(kind=None, detail={}))
    with pytest.raises(StoreUnavailable), database.begin() as connection:
        raise sa.exc.OperationalError("SELECT 1", {}, Exception("the server went away"))


@pytest.mark.parametrize(
    "error",
    [
        sa.exc.InternalError("UPDATE", {}, Exception("cannot execute UPDATE in a read-only transaction")),
        sa.exc.InterfaceError("UPDATE", {}, Exception("connection already closed")),
        sa.exc.TimeoutError("QueuePool limit of size 5 overflow 10 reached"),
    ],
)
def test_whatever_the_database_may_get_over_is_a_store_that_cannot_be_used(error):
    with pytest.raises(StoreUnavailable, match=r"read-only|already closed|QueuePool limit"), translated("here"):
        raise error


@pytest.mark.parametrize("store_settings", ["postgresql"], indirect=True)
def test_a_server_that_only_reads_is_left_for_one_that_writes(store_settings, postgres):
    """After a failover the old server still answers: its connections must not be kept as good ones."""
    database, name = open_database(store_settings), store_settings.database_url.rpartition("/")[2]

    def set_reader(how):
        connection = postgres.connect()
        connection.autocommit = True
        connection.cursor().execute(f"ALTER DATABASE {name} {how}")
        connection.close()

    def write():
        with database.begin() as connection:
            events.add(connection, "served")

    set_reader("SET default_transaction_read_only = on")
    database.close()
    with pytest.raises(StoreUnavailable, match="read-only"):
        write()
    set_reader("RESET default_transaction_read_only")
    write()
    assert count_events(database) == 1
    database.close()
