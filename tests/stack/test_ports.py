"""A port is found once, kept, demanded or refused; never shared."""

from __future__ import annotations

import socket

import pytest

from samovar import settings as settings_module
from samovar.errors import Conflict
from samovar.stack import ports


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


def test_a_demanded_port_that_is_taken_is_refused(tmp_path, monkeypatch, taken):
    """Nobody who asked for a port wants another one; the line names the variable."""
    settings = _settings(tmp_path, monkeypatch, MLFLOW_PORT=taken)
    with pytest.raises(Conflict, match=f"{taken} is taken.*MLFLOW_PORT"):
        ports.choose(settings)


def test_a_default_port_that_is_taken_gives_way_to_the_next_free_one(tmp_path, monkeypatch):
    """Port 5000 is taken on many laptops."""
    settings = _settings(tmp_path, monkeypatch)
    first = ports.choose(settings)["mlflow"]
    with socket.create_server(("127.0.0.1", first)):
        second = ports.choose(settings)["mlflow"]
    assert second > first


def test_ports_are_kept_for_life(tmp_path, monkeypatch):
    """Also when a lower one becomes free later."""
    settings = _settings(tmp_path, monkeypatch)
    first = ports.choose(settings)["mlflow"]
    with socket.create_server(("127.0.0.1", first)):
        chosen = ports.choose(settings)
        ports.keep(settings, chosen)
    assert ports.choose(settings) == chosen != {"mlflow": first}


def test_no_two_services_get_one_port(tmp_path, monkeypatch):
    """Not even when both search from the same one."""
    settings = _settings(tmp_path, monkeypatch)
    free = ports.choose(settings)["mlflow"]
    settings = _defaults(settings, mlflow_port=free, autoserve_port=free)
    chosen = ports.choose(settings)
    assert len(set(chosen.values())) == len(chosen)


def test_ports_of_endpoints_are_left_to_endpoints(tmp_path, monkeypatch, taken):
    """A service must not sit where an endpoint has its address for life."""
    settings = _defaults(_settings(tmp_path, monkeypatch), autoserve_port=taken, endpoint_port_base=taken)
    assert ports.choose(settings)["autoserve"] >= taken + 1000
