"""A Lease object keeps what a row of the database keeps: one holder at a time, each with a higher number."""

from __future__ import annotations

import json

import kubernetes_validate
import pytest

from samovar.autoserve.lease import HeldLease
from samovar.autoserve.runtimes.kubernetes import lease as cluster_lease
from samovar.autoserve.runtimes.kubernetes.cluster import connect
from samovar.autoserve.runtimes.kubernetes.lease import ClusterPlace
from samovar.errors import StackUnavailable

NAME = "controller of a1b2"


@pytest.fixture
def place(fake):
    cluster = connect(fake.url, "models")
    yield ClusterPlace(cluster)
    cluster.close()


def test_it_is_read_as_it_was_taken_and_renewed(place, fake):
    assert place.get(NAME) is None
    taken = place.take(NAME, "a:1:2", 15.0, None)
    assert place.renew(taken)
    found = place.get(NAME)
    assert (found.holder, found.epoch, found.beat, found.seconds) == ("a:1:2", taken.epoch, 1, 15.0)
    (stored,) = [one for (kind, _), one in fake.objects.items() if kind == "Lease"]
    assert stored["spec"]["leaseDurationSeconds"] == 15
    said = {key: value for key, value in stored.items() if key != "status"}
    kubernetes_validate.validate(json.loads(json.dumps(said)), "1.34", strict=True)


def test_of_two_that_saw_the_same_one_gets_it(place):
    assert place.take(NAME, "a:1:2", 15.0, None) is not None
    assert place.take(NAME, "b:1:2", 15.0, None) is None
    seen = place.get(NAME)
    second = place.take(NAME, "b:1:2", 15.0, seen)
    assert second.epoch > seen.epoch
    assert place.take(NAME, "c:1:2", 15.0, seen) is None


def test_whoever_lost_it_cannot_renew_or_release_it(place):
    first = place.take(NAME, "a:1:2", 15.0, None)
    place.take(NAME, "b:1:2", 15.0, place.get(NAME))
    assert not place.renew(first)
    place.release(first)
    assert place.get(NAME).holder == "b:1:2"


def test_what_was_given_back_is_free(place):
    first = place.take(NAME, "a:1:2", 15.0, None)
    place.release(first)
    assert place.get(NAME).holder == ""
    assert place.take(NAME, "b:1:2", 15.0, place.get(NAME)).epoch > first.epoch


def test_two_controllers_of_a_namespace_take_turns(place):
    """The rules are those of the database's lease: the second acts when the first has been silent for its time."""
    now = [0.0]
    first, second = (HeldLease(place, NAME, 15.0, holder=f"host-{one}:1:2", clock=lambda: now[0]) for one in "ab")
    first.tick()
    second.tick()
    assert first.standing().epoch
    assert not second.standing().epoch
    now[0] += 12.5
    assert not first.standing().epoch  # it could not renew, and stops before anybody may take over
    now[0] += 3
    second.tick()
    assert second.standing().epoch
    first.tick()
    assert not first.standing().epoch


def test_a_cluster_that_is_away_is_said_so():
    with pytest.raises(StackUnavailable):
        ClusterPlace(connect("http://127.0.0.1:9", "models")).get(NAME)


def test_names_are_ones_that_kubernetes_takes():
    assert cluster_lease.object_name(NAME) == "samovar-controller-of-a1b2"
