"""Where the database is: what each kind of URL and each failure means."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from samovar import settings as settings_module
from samovar.errors import SettingsError, StoreUnavailable
from samovar.store import events, urls
from samovar.store.database import open_database

PASSWORD = "correct-horse"  # of the suite's server, see conftest


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in ("SAMOVAR_DATABASE_URL", "POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE", "POSTGRES_USER"):
        monkeypatch.delenv(name, raising=False)


def load(tmp_path, **given):
    return settings_module.load(home=tmp_path / "state", _env_file=None, **given)


# --- SQLite ----------------------------------------------------------------------------------------------------------------


def test_the_sqlite_file_is_for_its_owner_alone(tmp_path):
    """Its side files too: they hold the same rows."""
    os.umask(0o022)
    database = open_database(load(tmp_path))
    with database.begin() as connection:
        events.add(connection, "served")
        files = [path for path in (tmp_path / "state").iterdir() if path.name.startswith("app.db")]
        assert len(files) == 3
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_sqlite_url_names_the_file(tmp_path):
    open_database(load(tmp_path, database_url=f"sqlite:///{tmp_path}/elsewhere/rows.db"))
    assert (tmp_path / "elsewhere" / "rows.db").is_file()


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailable, match=r"cannot be written .* Make the folder writable") as caught:
        open_database(load(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_one_clear_line(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "app.db").write_bytes(b"not a database " * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        open_database(load(tmp_path))


# --- what is refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/d", "nonsense hunter2", "sqlite://", "postgresql+asyncpg://u:hunter2@h/d"])
def test_a_wrong_url_is_refused_without_showing_it(tmp_path, url):
    with pytest.raises(SettingsError, match="SAMOVAR_DATABASE_URL") as caught:
        open_database(load(tmp_path, database_url=url))
    assert "hunter2" not in str(caught.value)


# --- PostgreSQL ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_usual_postgresql_url_reaches_the_server(tmp_path, postgres, scheme):
    url = postgres.create_database().replace("postgresql://samovar@", f"{scheme}://samovar:{PASSWORD}@")
    with open_database(load(tmp_path, database_url=url)).begin() as connection:
        assert connection.dialect.name == "postgresql"


def test_user_and_password_come_from_their_own_settings(tmp_path, postgres, monkeypatch):
    """The password from a file, as container secrets are given."""
    (tmp_path / "secret").write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("POSTGRES_PASSWORD_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("POSTGRES_USER", "samovar")
    url = postgres.create_database().replace("samovar@", "")
    with open_database(load(tmp_path, database_url=url)).begin() as connection:
        events.add(connection, "served")


def test_a_password_in_the_url_wins(tmp_path):
    settings = load(tmp_path, database_url="postgres://ada:one@h/d", postgres_password="two")
    url = urls.database_url(settings)
    assert (url.username, url.password, url.port) == ("ada", "one", None)


def test_a_wrong_password_is_one_clear_line_that_does_not_show_it(tmp_path, postgres):
    url = postgres.create_database().replace("samovar@", "samovar:hunter2@")
    with pytest.raises(StoreUnavailable, match="authentication failed") as caught:
        open_database(load(tmp_path, database_url=url))
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_that_is_not_there_is_one_clear_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(StoreUnavailable, match=f"PostgreSQL d at 127.0.0.1:{port}") as caught:
        open_database(load(tmp_path, database_url=f"postgresql://samovar:hunter2@127.0.0.1:{port}/d"))
    assert "hunter2" not in str(caught.value)


def test_a_server_that_ended_our_sessions_costs_nobody_an_error(tmp_path, postgres):
    """As after its restart."""
    database = open_database(load(tmp_path, database_url=postgres.create_database(), postgres_password=PASSWORD))
    with database.begin() as connection:
        events.add(connection, "served")
    administrator = postgres.connect()
    with administrator.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'samovar'")
    administrator.close()
    with database.begin() as connection:
        assert len(events.list_(connection)) == 1
