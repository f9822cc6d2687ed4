"""A port is found once, kept, demanded or refused; never shared."""

from __future__ import annotations

import contextlib
import socket

import pytest

from samovar import settings as settings_module
from samovar.errors import Conflict
from samovar.stack import ports


@pytest.fixture
def choose():
    """Chooses ports and gives the reservations back at once, as if the chooser had ended."""

    def chosen(settings):
        with contextlib.ExitStack() as held:
            return ports.choose(settings, held)

    return chosen


@pytest.fixture
def taken():
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _settings(tmp_path, monkeypatch, **fields):
    for name in ("MLFLOW_PORT", "SAMOVAR_AUTOSERVE_PORT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in fields.items():
        monkeypatch.setenv(name, str(value))
    return settings_module.load(home=tmp_path)


def _defaults(settings, **fields):
    """The settings as if these were the defaults, which demand nothing."""
    changed = settings.model_copy(update=fields)
    changed.model_fields_set.difference_update(fields)
    return changed


def test_a_demanded_port_that_is_taken_is_refused(tmp_path, monkeypatch, choose, taken):
    """Nobody who asked for a port wants another one; the line names the variable."""
    settings = _settings(tmp_path, monkeypatch, MLFLOW_PORT=taken)
    with pytest.raises(Conflict, match=f"{taken} is taken.*MLFLOW_PORT"):
        choose(settings)


def test_a_default_port_that_is_taken_gives_way_to_the_next_free_one(tmp_path, monkeypatch, choose):
    """Port 5000 is taken on many laptops."""
    settings = _settings(tmp_path, monkeypatch)
    first = choose(settings)["mlflow"]
    with socket.create_server(("127.0.0.1", first)):
        second = choose(settings)["mlflow"]
    assert second > first


def test_ports_are_kept_for_life(tmp_path, monkeypatch, choose):
    """Also when a lower one becomes free later."""
    settings = _settings(tmp_path, monkeypatch)
    first = choose(settings)["mlflow"]
    with socket.create_server(("127.0.0.1", first)):
        chosen = choose(settings)
        ports.keep(settings, chosen)
    assert choose(settings) == chosen != {"mlflow": first}


def test_no_two_services_get_one_port(tmp_path, monkeypatch, choose):
    """Not even when both search from the same one."""
    settings = _settings(tmp_path, monkeypatch)
    free = choose(settings)["mlflow"]
    settings = _defaults(settings, mlflow_port=free, autoserve_port=free)
    chosen = choose(settings)
    assert len(set(chosen.values())) == len(chosen)


def test_two_stacks_that_start_at_once_get_different_ports(tmp_path, monkeypatch, choose):
    """For seconds neither listens yet, and each port looks free to the other."""
    settings = _settings(tmp_path, monkeypatch)
    with contextlib.ExitStack() as held:
        first = ports.choose(settings, held)
        assert not set(first.values()) & set(choose(settings).values())


def test_ports_of_endpoints_are_left_to_endpoints(tmp_path, monkeypatch, choose, taken):
    """A service must not sit where an endpoint has its address for life."""
    settings = _defaults(_settings(tmp_path, monkeypatch), autoserve_port=taken, endpoint_port_base=taken)
    assert choose(settings)["autoserve"] >= taken + 1000
