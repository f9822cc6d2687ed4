"""Two controllers share a lease when they act on the same thing, and only then."""

from __future__ import annotations

import socket

import pytest

from samovar import settings as settings_module
from samovar.autoserve import place


@pytest.fixture
def at(tmp_path):
    """Settings of a host; hosts are folders here."""

    def make(host="one", **more):
        return settings_module.load(home=tmp_path / host, _env_file=None, **more)

    return make


def test_one_run_folder_is_one_world(at):
    assert place.world(at()) == place.world(at())


def test_two_hosts_of_one_name_and_one_path_are_two_worlds(at, tmp_path):
    """The second would stand by for ever while nobody serves there."""
    before = place.world(at())
    (tmp_path / "one").rename(tmp_path / "another machine")
    assert place.world(at()) != before


def test_containers_of_two_homes_on_one_engine_are_one_world(at):
    assert place.world(at("one", runtime="docker")) == place.world(at("two", runtime="docker"))


def test_a_socket_of_the_same_path_is_another_engine_on_another_machine(at, monkeypatch, tmp_path):
    here = place.world(at(runtime="docker"))
    (tmp_path / "machine-id").write_text("another")
    monkeypatch.setattr(place, "_MACHINE", tmp_path / "machine-id")
    assert place.world(at(runtime="docker")) != here


def test_an_engine_on_the_network_is_one_world_from_everywhere(at, monkeypatch, tmp_path):
    here = place.world(at(runtime="docker", docker_host="tcp://engine:2375"))
    monkeypatch.setattr(place, "_MACHINE", tmp_path / "none")
    assert place.world(at(runtime="docker", docker_host="tcp://engine:2375")) == here


def test_people_are_told_the_host(at):
    assert socket.gethostname() in place.short(at())
