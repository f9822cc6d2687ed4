"""Of several controllers one acts: no two at once by any clock, and always one again."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar import settings as settings_module
from samovar.autoserve import lease as lease_module
from samovar.autoserve.lease import DatabasePlace, HeldLease, boot_seconds, keep
from samovar.errors import StoreUnavailable
from samovar.store import claimants, leases
from samovar.store.database import open_database

SECONDS = 15.0


class Far:
    """A database that other hosts use too, and that can be away."""

    def __init__(self, real):
        self.real, self.away, self.local = real, False, False
        self.writes = 0

    def __call__(self):
        return self

    @contextlib.contextmanager
    def begin(self):
        if self.away:
            raise StoreUnavailable("The database is away.")
        self.writes += 1
        with self.real.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self):
        if self.away:
            raise StoreUnavailable("The database is away.")
        with self.real.read() as connection:
            yield connection


class Hosts:
    """Controllers of several hosts, each with its clock, and a database far from all of them."""

    def __init__(self, real):
        self.database = Far(real)
        self.now = 0.0
        self.leases = []

    def controller(self, *, rate=1.0, offset=0.0, **options):
        number = len(self.leases)
        clock = lambda: offset + self.now * rate  # noqa: E731 - one clock a host
        made = HeldLease(DatabasePlace(self.database), "world", SECONDS, holder=f"host-{number}:1:2", clock=clock, **options)
        self.leases.append(made)
        return made

    def acting(self):
        return [number for number, lease in enumerate(self.leases) if not lease.standing().reason]


@pytest.fixture
def database(tmp_path):
    opened = open_database(settings_module.load(home=tmp_path / "state", _env_file=None))
    yield opened
    opened.close()


@pytest.fixture
def hosts(database):
    return Hosts(database)


def test_the_first_acts_and_the_second_stands_by_and_says_why(hosts):
    first, second = hosts.controller(), hosts.controller()
    assert "not asked" in first.standing().reason
    first.tick()
    second.tick()
    assert hosts.acting() == [0]
    assert "host-0:1:2 holds the lease" in second.standing().reason


def test_a_holder_that_renews_keeps_it_for_ever(hosts):
    first, second = hosts.controller(), hosts.controller()
    for _ in range(50):
        hosts.now += first.tick()
        second.tick()
        assert hosts.acting() == [0]


def test_a_holder_that_is_silent_is_replaced_after_the_leases_time(hosts):
    first, second = hosts.controller(), hosts.controller()
    epoch = (first.tick(), first.standing().epoch)[1]
    second.tick()
    hosts.now += SECONDS - 0.1
    second.tick()
    assert hosts.acting() == []
    hosts.now += 0.2
    second.tick()
    assert hosts.acting() == [1]
    assert second.standing().epoch > epoch
    first.tick()
    assert "took over" in first.standing().reason
    first.tick()
    assert "host-1:1:2 holds" in first.standing().reason


def test_a_holder_that_cannot_renew_stops_before_another_may_begin(hosts):
    """The database is away for it alone, or for all: it counts on its own clock."""
    first = hosts.controller()
    first.tick()
    hosts.database.away = True
    hosts.now += SECONDS * lease_module.SAFE - 0.1
    first.tick()
    assert hosts.acting() == [0]
    hosts.now += 0.2
    first.tick()
    assert "The database is away" in first.standing().reason
    hosts.database.away = False
    first.tick()
    assert hosts.acting() == [0], "nobody took it meanwhile"


def test_whatever_goes_wrong_the_keeper_goes_on(hosts, monkeypatch):
    """A bug, or an error that no driver had before: the thread that keeps the lease says so and tries again."""
    first, stop, calls = hosts.controller(), threading.Event(), []

    def renew(*_):
        calls.append(1)
        raise ZeroDivisionError("a bug")

    first.tick()
    monkeypatch.setattr(leases, "renew", renew)
    monkeypatch.setattr(stop, "wait", lambda _: len(calls) == 3)
    keep(first, stop, lambda: None)
    assert len(calls) == 3
    hosts.now += SECONDS
    assert "ZeroDivisionError: a bug" in first.standing().reason


def test_on_one_host_a_locked_database_stops_nobody(hosts):
    """Whoever would take over needs the same lock; the agent refuses the older number in the last gap."""
    first, second = hosts.controller(), hosts.controller()
    hosts.database.local = True
    first.tick()
    second.tick()
    hosts.database.away = True
    for _ in range(20):
        hosts.now += SECONDS
        first.tick()
        second.tick()
        assert hosts.acting() == [0]


def test_a_dead_holder_of_this_host_is_replaced_at_once(hosts, monkeypatch):
    """A controller that was killed costs no lease's time: its successor sees that it is dead."""
    first, second = hosts.controller(), hosts.controller()
    first.tick()
    monkeypatch.setattr(claimants, "alive", lambda holder: False if holder == "host-0:1:2" else None)
    second.tick()
    assert not second.standing().reason


def test_hosts_of_one_name_do_not_take_the_lease_from_each_other(hosts, monkeypatch):
    """Two machines called `localhost`: the pid of the one is nobody's, or another's, on the other."""
    names = []
    for boot in ("aaaaaaaa", "bbbbbbbb"):
        monkeypatch.setattr(claimants, "_boot", lambda boot=boot: boot)
        names.append(claimants.myself())
    first, second = (HeldLease(DatabasePlace(hosts.database), "world", SECONDS, holder=f"{name}0") for name in names)
    first.tick()
    for _ in range(3):
        second.tick()
        assert not first.standing().reason
        assert "holds the lease" in second.standing().reason


def test_a_controller_that_ends_leaves_the_lease_free(hosts):
    first, second = hosts.controller(), hosts.controller()
    first.tick()
    second.tick()
    first.release()
    second.tick()
    assert hosts.acting() == [1]
    first.release()
    second.tick()
    assert hosts.acting() == [1]


def test_a_refused_controller_stands_by_until_somebody_else_has_led(hosts):
    """Two databases for one agent: they do not take it from each other in turns."""
    first, second = hosts.controller(), hosts.controller()
    first.tick()
    first.refused(first.standing().epoch)
    for _ in range(5):
        hosts.now += 1
        first.tick()
        assert "one database" in first.standing().reason
    second.tick()
    hosts.now += SECONDS + 1
    second.tick()
    assert hosts.acting() == [1]
    second.release()
    first.tick()
    assert hosts.acting() == [0]


def test_an_order_of_an_earlier_holding_does_not_cost_the_present_one(hosts):
    """A builder that was on its way when the lease changed hands and back is refused; whoever leads now is not."""
    first, second = hosts.controller(), hosts.controller()
    first.tick()
    early = first.standing().epoch
    first.release()
    second.tick()
    second.release()
    first.tick()
    first.refused(early)
    assert hosts.acting() == [0]
    first.refused(first.standing().epoch)
    assert hosts.acting() == []


def test_a_steady_holder_writes_its_renewals_and_one_that_waits_writes_nothing(hosts):
    first, second = hosts.controller(), hosts.controller()
    first.tick()
    before = hosts.database.writes
    for _ in range(10):
        first.tick()
    assert hosts.database.writes - before == 10
    for _ in range(10):
        second.tick()
    assert hosts.database.writes - before == 10


def test_the_clock_is_one_that_nobody_sets():
    ticks = [boot_seconds() for _ in range(100)]
    assert all(later >= earlier for earlier, later in itertools.pairwise(ticks))


moments = st.lists(
    st.tuples(st.sampled_from(["tick 0", "tick 1", "tick 2", "away", "back", "release 0"]), st.floats(0, 12)), max_size=60
)


@settings(max_examples=60, deadline=None)
@given(moments, st.lists(st.tuples(st.floats(0.9, 1.1), st.floats(-1e6, 1e6)), min_size=3, max_size=3))
def test_never_do_two_act_at_once_whatever_their_clocks_say(happenings, clocks):
    """Clocks that are days apart and run a tenth faster or slower, pauses, a database that comes and goes."""
    _never_two(happenings, clocks)


def test_the_same_trial_finds_two_when_a_holder_does_not_watch_its_clock(monkeypatch):
    """The sabotage: a holder that acts until it hears that it lost."""
    monkeypatch.setattr(lease_module, "SAFE", 1e9)
    with pytest.raises(AssertionError):
        _never_two([("tick 0", 0.0), ("tick 1", 10.0), ("tick 1", 10.0), ("tick 1", 0.0)], [(1.0, 0.0)] * 3)


class Memory:
    """The leases' table in memory, by the rules of `samovar.store.leases`: the real one's tests hold it to them."""

    begin = read = staticmethod(contextlib.nullcontext)

    def __init__(self):
        self.row = None

    def get(self, _connection, _name):
        return self.row

    def take(self, _connection, name, holder, seconds, seen):
        if self.row != seen:
            return None
        self.row = leases.Lease(name, holder, (seen.epoch if seen else 0) + 1, 0, seconds, None)
        return self.row

    def renew(self, _connection, lease):
        return self._change(lease, beat=self.row.beat + 1)

    def release(self, _connection, lease):
        self._change(lease, holder="")

    def _change(self, lease, **values):
        held = (self.row.holder, self.row.epoch) == (lease.holder, lease.epoch)
        if held:
            self.row = dataclasses.replace(self.row, **values)
        return held


def _never_two(happenings, clocks):
    with pytest.MonkeyPatch.context() as patch:
        table = Memory()
        for name in ("get", "take", "renew", "release"):
            patch.setattr(leases, name, getattr(table, name))
        hosts = Hosts(table)
        for rate, offset in clocks:
            hosts.controller(rate=rate, offset=offset)
        epochs = []
        for what, pause in happenings:
            if what in {"away", "back"}:
                hosts.database.away = what == "away"
            else:
                lease = hosts.leases[int(what[-1])]
                lease.tick() if what.startswith("tick") else lease.release()
            for step in (0.0, pause):
                hosts.now += step
                assert len(hosts.acting()) <= 1
                epochs += [hosts.leases[number].standing().epoch for number in hosts.acting()]
        assert epochs == sorted(epochs)
