"""Builds: the newest wish of each endpoint, each endpoint once at a time, whoever waited longest first."""

from __future__ import annotations

import threading

import pytest

from samovar.autoserve.builds import Builds
from samovar.autoserve.plan import Key

KEY, OTHER, THIRD = (Key(name, "Production") for name in ("m", "other", "third"))


class Workshop:
    """Builds that end when the test says so."""

    def __init__(self, threads, eventually):
        self.begun, self.dropped, self.eventually = [], [], eventually
        self.gates = {}
        self.builds = Builds(self.build, lambda: None, threads)

    def build(self, key, version):
        gate = self.gates[key, version] = threading.Event()
        self.begun.append((key, version))
        gate.wait(20)
        if not self.builds.wished(key, version):
            self.dropped.append((key, version))

    def until_begun(self, *pairs):
        self.eventually(lambda: set(pairs) <= set(self.begun), 10, f"{pairs} begun; {self.begun}")

    def end(self, key, version):
        self.gates[key, version].set()


@pytest.fixture
def workshop(eventually):
    made = []

    def make(threads):
        made.append(Workshop(threads, eventually))
        return made[-1]

    yield make
    for shop in made:
        shop.builds.clear()
        for gate in shop.gates.values():
            gate.set()


def test_an_alias_moved_fifty_times_is_built_twice(workshop):
    """The version that was under way at the first move, and the last one."""
    shop = workshop(2)
    for version in range(1, 51):
        shop.builds.submit(KEY, version)
        shop.until_begun((KEY, 1))
    shop.end(KEY, 1)
    shop.until_begun((KEY, 50))
    shop.end(KEY, 50)
    shop.eventually(lambda: not shop.builds.wishes())
    assert shop.begun == [(KEY, 1), (KEY, 50)]
    assert shop.dropped == [(KEY, 1)]


def test_two_threads_build_two_endpoints_but_never_two_versions_of_one(workshop):
    """Else the older version could be delivered last."""
    shop = workshop(2)
    shop.builds.submit(KEY, 1)
    shop.until_begun((KEY, 1))
    shop.builds.submit(KEY, 2)
    shop.builds.submit(OTHER, 1)
    shop.until_begun((OTHER, 1))
    assert (KEY, 2) not in shop.begun
    shop.end(KEY, 1)
    shop.until_begun((KEY, 2))


def test_an_endpoint_that_changes_its_mind_keeps_its_place(workshop):
    shop = workshop(1)
    shop.builds.submit(THIRD, 1)
    shop.until_begun((THIRD, 1))
    shop.builds.submit(KEY, 1)
    shop.builds.submit(OTHER, 1)
    shop.builds.submit(KEY, 2)
    shop.end(THIRD, 1)
    shop.until_begun((KEY, 2))
    shop.end(KEY, 2)
    shop.until_begun((OTHER, 1))
    assert shop.begun == [(THIRD, 1), (KEY, 2), (OTHER, 1)]


def test_what_was_cancelled_is_not_begun(workshop):
    shop = workshop(1)
    shop.builds.submit(THIRD, 1)
    shop.until_begun((THIRD, 1))
    shop.builds.submit(KEY, 1)
    shop.builds.submit(OTHER, 1)
    shop.builds.cancel(KEY)
    shop.end(THIRD, 1)
    shop.until_begun((OTHER, 1))
    assert (KEY, 1) not in shop.begun
    assert shop.builds.wishes() == {OTHER: 1}


def test_a_wish_that_is_repeated_while_it_is_built_is_one(workshop):
    shop = workshop(2)
    shop.builds.submit(KEY, 1)
    shop.until_begun((KEY, 1))
    shop.builds.submit(KEY, 1)
    shop.end(KEY, 1)
    shop.eventually(lambda: not shop.builds.wishes())
    assert shop.begun == [(KEY, 1)]
