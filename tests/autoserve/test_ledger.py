"""An alias keeps its port for life."""

from __future__ import annotations

import socket

import pytest

from samovar.autoserve.agent.ledger import Ledger
from samovar.autoserve.plan import Key
from samovar.errors import Conflict, SettingsError

ONE, OTHER = Key("a", "Production"), Key("b", "Production")


@pytest.fixture
def base():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_ports_survive_the_agent(tmp_path, base):
    """Also in another order of starting."""
    ports = {}
    ledger = Ledger(tmp_path / "ports.json", base)
    for key in (ONE, OTHER):
        ports[key], listener = ledger.bind(key)
        listener.close()
    ledger = Ledger(tmp_path / "ports.json", base)
    for key in (OTHER, ONE):
        port, listener = ledger.bind(key)
        listener.close()
        assert port == ports[key]
    assert ports[ONE] != ports[OTHER]


def test_a_new_alias_avoids_a_port_that_another_program_holds(tmp_path, base):
    with socket.create_server(("127.0.0.1", base)):
        port, listener = Ledger(tmp_path / "ports.json", base).bind(ONE)
        listener.close()
    assert port > base


def test_a_known_alias_does_not_move_when_its_port_is_taken(tmp_path, base):
    """A changed address would be found out by clients one by one; the taken port is said aloud."""
    ledger = Ledger(tmp_path / "ports.json", base)
    port, listener = ledger.bind(ONE)
    listener.close()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(Conflict, match=str(port)):
        ledger.bind(ONE)


def test_listening_sockets_send_small_answers_at_once(tmp_path, base):
    _, listener = Ledger(tmp_path / "ports.json", base).bind(ONE)
    with listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_damaged_ledger_is_reported_not_overwritten(tmp_path, base):
    path = tmp_path / "ports.json"
    path.write_text("{")
    with pytest.raises(SettingsError, match="port ledger"):
        Ledger(path, base)
    assert path.read_text() == "{"
