"""What a round of the controller asks and writes: counted, since a count says the same on every machine."""

from __future__ import annotations

import collections
import contextlib
import threading

import pytest

from samovar import settings as settings_module
from samovar.autoserve.controller import Controller
from samovar.autoserve.journal import Journal
from samovar.autoserve.lasting import STEADY_SECONDS
from samovar.autoserve.plan import Key
from samovar.autoserve.protocol import EndpointState
from samovar.autoserve.tags import AT_ONCE
from samovar.registry.client import Registry
from samovar.scoring.plan import FORMAT
from samovar.store import decisions
from samovar.store.database import open_database


class CountedDatabase:
    """The real one, and how often it was asked."""

    def __init__(self, settings):
        self.real = open_database(settings)
        self.calls = collections.Counter()

    def __getattr__(self, name):
        return getattr(self.real, name)

    @contextlib.contextmanager
    def begin(self):
        self.calls["write"] += 1
        with self.real.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self):
        self.calls["read"] += 1
        with self.real.read() as connection:
            yield connection


class Runtime:
    """Serves at once what is brought."""

    epoch = 0

    def __init__(self):
        self.states = {}
        self.calls = collections.Counter()

    def endpoints(self):
        self.calls["endpoints"] += 1
        return dict(self.states)

    def bring(self, key, version, *, wished, again):
        self.calls["bring"] += 1
        if wished():
            self.states[key] = EndpointState(*key, 8100, serving=version, label=f"v{version}", up=True, pid=1, format=FORMAT)

    def tune(self, *_):
        self.calls["tune"] += 1

    def cancel(self, *_):
        self.calls["cancel"] += 1

    def stop(self, key):
        self.calls["stop"] += 1
        del self.states[key]


class Fleet:
    def __init__(self, registry, tmp_path, eventually):
        self.registry, self.runtime, self.eventually = registry, Runtime(), eventually
        self.now = 0.0
        self.database = CountedDatabase(settings_module.load(home=tmp_path / "state", _env_file=None))
        self.start()

    def start(self):
        journal = Journal(lambda: self.database, self.registry.current)
        self.controller = Controller(self.registry, self.runtime, journal, clock=lambda: self.now)

    def settle(self):
        self.controller.step()
        self.eventually(lambda: not self.controller._builds.wishes(), 60)
        self.controller.step()

    def counted(self):
        for counter in (self.registry.calls, self.runtime.calls, self.database.calls):
            counter.clear()
        self.controller.step()
        return dict(self.registry.calls), dict(self.runtime.calls), dict(self.database.calls)


@pytest.fixture
def fleet(new_registry, tmp_path, eventually):
    made = Fleet(new_registry(), tmp_path, eventually)
    yield made
    made.database.close()


def many(count, version=1):
    return {Key(f"m{number}", "Production"): version for number in range(count)}


def test_an_unchanged_round_lists_both_sides_once_and_writes_nothing(fleet):
    fleet.registry.now = many(200)
    fleet.settle()
    assert fleet.counted() == ({"models": 1}, {"endpoints": 1}, {})


def test_the_first_round_of_a_large_fleet_asks_the_database_a_few_times(fleet):
    """Not for each alias: ten thousand of them would hold the first builds up for minutes."""
    fleet.registry.now = many(1000)
    registry, _, database = fleet.counted()
    assert registry == {"models": 1}
    assert database == {"read": 1, "write": 2}, "the moves made elsewhere, and their events"
    fleet.settle()
    with fleet.database.real.read() as connection:
        assert len(decisions.standings(connection, {key.model for key in fleet.registry.now})) == 1000


def test_a_controller_that_comes_back_asks_a_few_times_too(fleet):
    fleet.registry.now = many(300)
    fleet.settle()
    fleet.start()
    assert fleet.counted() == ({"models": 1}, {"endpoints": 1}, {"read": 1})


def test_one_moved_alias_is_asked_about_alone(fleet):
    fleet.registry.now = many(300)
    fleet.settle()
    fleet.registry.now |= {Key("m7", "Production"): 2}
    _, _, database = fleet.counted()
    fleet.eventually(lambda: not fleet.controller._builds.wishes())
    assert database == {"read": 1, "write": 2}
    assert fleet.runtime.calls["bring"] == 1


def test_what_is_built_is_looked_at_soon_although_another_build_goes_on(fleet):
    """Not at the next poll, which may be minutes away."""
    fleet.registry.now, bring, end = many(2), fleet.runtime.bring, threading.Event()

    def slow(key, version, **how):
        if key.model == "m1":
            end.wait(60)
        bring(key, version, **how)

    fleet.runtime.bring = slow
    fleet.controller.step()
    try:
        assert fleet.controller.wake.wait(10)
        assert [key.model for key in fleet.controller._builds.wishes()] == ["m1"]
    finally:
        end.set()
        fleet.eventually(lambda: not fleet.controller._builds.wishes())


def test_tags_are_written_a_few_a_round_and_once(fleet):
    fleet.registry.now = many(3 * AT_ONCE)
    fleet.settle()
    fleet.now = STEADY_SECONDS + 1
    for _ in range(3):
        assert fleet.counted()[0] == {"models": 1, "set_model_tag": AT_ONCE}
    assert fleet.counted()[0] == {"models": 1}


def test_ten_thousand_aliases_are_listed_in_pages(monkeypatch):
    """As many models a page as MLflow gives; a listing that breaks off is none."""
    models = [{"name": f"m{n}", "aliases": [{"alias": "Production", "version": "1"}]} for n in range(10_000)]
    asked = []

    def get(_path, *, max_results, page_token):
        asked.append(page_token)
        start = int(page_token or 0)
        rest = str(start + max_results) if start + max_results < len(models) else ""
        return {"registered_models": models[start : start + max_results], "next_page_token": rest}

    registry = Registry("http://127.0.0.1:1")
    monkeypatch.setattr(registry.rest, "get", get)
    assert len(registry.aliases()) == 10_000
    assert len(asked) == 10
