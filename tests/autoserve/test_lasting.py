"""What one alias's failures mean for the other aliases of its model."""

from __future__ import annotations

import pytest

from samovar.autoserve.lasting import STEADY_SECONDS, Lasting
from samovar.autoserve.plan import Key
from samovar.autoserve.protocol import EndpointState
from samovar.autoserve.retries import CRASHES, Retries
from samovar.autoserve.tags import Tags
from samovar.autoserve.wishes import Wish, read

HERE, THERE = Key("m", "Production"), Key("m", "Small")
REJECTED = "samovar.rejected.2"
CRASHED = "crashed: It crashed 3 times in a row."


class Host:
    """What lasts, with a registry in memory, endpoints that a test names, and a clock that it turns."""

    def __init__(self, registry, place=""):
        self.registry, self.now, self.states = registry, 0.0, {}
        self.retries = Retries(lambda: self.now)
        self.tags = Tags(registry, lambda: self.now)
        self.lasting = Lasting(self.retries, self.tags, lambda: self.now, place)

    def serves(self, key, version):
        self.states[key] = EndpointState(*key, 9000, serving=version, up=True)

    def crashes(self, key, version):
        for _ in range(CRASHES):
            self.retries.note(key, version, "It crashed 3 times in a row.", own=True, crashed=True)

    def round(self):
        self.now += STEADY_SECONDS + 1
        self.lasting.hear(self.states)
        self.lasting.review(read(self.registry.models()))
        self.tags.flush()


@pytest.fixture
def host(new_registry):
    host = Host(new_registry())
    host.registry.now = {HERE: 2, THERE: 2}
    return host


def writes(host):
    return host.registry.calls["set_model_tag"] + host.registry.calls["delete_model_tag"]


def test_what_crashes_at_one_alias_is_not_rejected_while_another_is_served_it_steadily(host):
    """Else one would write the tag and the other delete it in every round."""
    host.serves(HERE, 2)
    host.round()
    host.crashes(THERE, 2)
    host.round()
    before = writes(host)
    for _ in range(5):
        host.round()
    assert writes(host) == before
    assert REJECTED not in host.registry.tags["m"]


def test_it_is_rejected_when_nobody_is_served_it(host):
    host.serves(HERE, 1)
    host.crashes(THERE, 2)
    host.round()
    assert host.registry.tags["m"][REJECTED] == CRASHED


def test_another_model_s_version_of_the_same_number_says_nothing(host):
    host.serves(Key("n", "Production"), 2)
    host.round()
    host.crashes(THERE, 2)
    host.round()
    assert host.registry.tags["m"][REJECTED] == CRASHED


@pytest.mark.parametrize("rejected", [CRASHED, "failed: The model has no head."])
def test_a_host_with_nothing_in_memory_tries_what_served_the_alias_well_last(host, rejected):
    """Another alias may have been at fault, and there is nothing else to serve."""
    host.registry.tags["m"] = {"samovar.last_good.Production": "2", REJECTED: rejected}
    host.round()
    wished = read(host.registry.models())
    assert HERE not in {key for key, _ in host.retries.blocked() | host.lasting.barred(wished)}
    assert host.lasting.failure(HERE, wished[HERE]) is None
    assert THERE in {key for key, _ in host.retries.blocked() | host.lasting.barred(wished)}


def test_what_served_well_last_waits_for_a_person_while_another_version_answers(host):
    """It served well, then crashed again and again, and its forerunner took over: an attempt would cost callers their answers."""
    host.serves(HERE, 1)
    wish = Wish(2, last_good=2, rejected=CRASHED)
    host.lasting.hear(host.states)
    assert host.lasting.barred({HERE: wish}) == {(HERE, 2)}


def test_a_person_s_word_is_kept(host):
    wish = Wish(2, last_good=2, rejected="It discriminates.")
    assert host.lasting.barred({HERE: wish}) == {(HERE, 2)}


def leave(host, version, wish, after=0.0):
    """Let a version answer for some seconds, and the alias leave it for version 3."""
    host.serves(HERE, version)
    host.lasting.hear(host.states)
    host.now += after
    host.lasting.leave(HERE, wish, 3)
    return host.registry.tags["m"].get("samovar.last_good.Production")


def test_what_an_alias_leaves_is_written_down_before(host):
    """From the swap on only the agent's memory has it."""
    assert leave(host, 1, Wish(3)) == "1"


@pytest.mark.parametrize(("after", "expected"), [(1.0, None), (11.0, "2")])
def test_what_an_alias_leaves_at_once_is_not_written_over_a_version_that_is_better_known(host, after, expected):
    assert leave(host, 2, Wish(3, last_good=1), after) == expected


def test_a_version_that_crashes_is_not_written_down_as_good(host):
    host.states[HERE] = EndpointState(*HERE, 9000, serving=2, up=True, failed=2, crashed=True)
    host.lasting.hear(host.states)
    host.lasting.leave(HERE, Wish(3), 3)
    assert not writes(host)


def test_a_registry_that_takes_no_tags_holds_no_swap_up(host):
    host.registry.down = True
    assert leave(host, 1, Wish(3)) is None
    assert leave(host, 1, Wish(3)) is None
    assert writes(host) == 1, "it is left in peace for a while"


@pytest.fixture
def two(new_registry):
    """Two hosts with one registry; the version crashes at the first, and serves at the second."""
    registry = new_registry()
    registry.now = {HERE: 2}
    one, other = Host(registry, "red 1f"), Host(registry, "blue 2e")
    other.serves(HERE, 2)
    other.round()
    other.round()  # steady since the last one: it is the last good version
    one.serves(HERE, 1)
    one.crashes(HERE, 2)
    return one, other


def test_of_two_hosts_that_disagree_none_undoes_what_the_other_wrote(two):
    one, other = two
    one.round()
    assert one.registry.tags["m"][REJECTED] == f"{CRASHED} [at red 1f]"
    before = writes(one)
    for _ in range(5):
        other.round()
        one.round()
    assert writes(one) == before
    wished = read(one.registry.models())
    assert HERE in {key for key, _ in one.lasting.barred(wished)}
    assert other.lasting.failure(HERE, wished[HERE]) is None, "it serves there"


def test_without_a_place_two_hosts_undo_each_other(two):
    """The sabotage twin of the test above."""
    one, other = two
    one.lasting._place = other.lasting._place = ""
    one.round()
    before = writes(one)
    for _ in range(5):
        other.round()
        one.round()
    assert writes(one) > before


def test_the_host_that_rejected_a_version_takes_its_word_back(two):
    one, other = two
    one.round()
    one.retries.forgive(HERE, 2)
    one.serves(HERE, 2)
    for host in (one, one, other):
        host.round()
    assert REJECTED not in one.registry.tags["m"]
