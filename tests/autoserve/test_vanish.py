"""Deleted aliases end their endpoints; an accident does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from samovar.autoserve.plan import Key
from samovar.autoserve.vanish import AGREEING, Vanishing

NOTHING = frozenset()


def fleet(size):
    return frozenset(Key(f"m{number}", "Production") for number in range(size))


def test_one_listing_that_misses_an_alias_ends_nothing():
    """It could have been read in the middle of a change."""
    vanishing, running = Vanishing(), fleet(10)
    gone = frozenset(list(running)[:1])
    assert vanishing.observe(running - gone, running) == NOTHING
    assert vanishing.observe(running, running) == NOTHING
    assert vanishing.observe(running - gone, running) == NOTHING
    assert vanishing.observe(running - gone, running) == gone


def test_the_only_alias_can_be_deleted():
    vanishing, running = Vanishing(), fleet(1)
    vanishing.observe(NOTHING, running)
    assert vanishing.observe(NOTHING, running) == running


def test_a_registry_that_lost_everything_ends_nothing_until_a_person_confirms():
    """A wrong address must not empty a fleet, however long it stays wrong."""
    vanishing, running = Vanishing(), fleet(2)
    for _ in range(10):
        assert vanishing.observe(NOTHING, running) == NOTHING
    assert vanishing.held == running
    assert vanishing.confirm() == running
    assert vanishing.observe(NOTHING, running) == running
    assert vanishing.held == NOTHING


def test_more_than_a_fifth_at_once_is_held():
    vanishing, running = Vanishing(), fleet(10)
    gone = frozenset(sorted(running)[:3])
    for _ in range(5):
        assert vanishing.observe(running - gone, running) == NOTHING
    assert vanishing.held == gone


def test_held_endpoints_are_released_when_their_aliases_are_back():
    """And a later, single deletion works as ever."""
    vanishing, running = Vanishing(), fleet(4)
    for _ in range(3):
        vanishing.observe(NOTHING, running)
    assert vanishing.observe(running, running) == NOTHING
    assert vanishing.held == NOTHING
    gone = frozenset(sorted(running)[:1])
    vanishing.observe(running - gone, running)
    assert vanishing.observe(running - gone, running) == gone


def test_a_confirmation_is_for_what_was_held_then():
    """Not for the next accident."""
    vanishing, running = Vanishing(), fleet(4)
    for _ in range(3):
        vanishing.observe(NOTHING, running)
    vanishing.confirm()
    vanishing.observe(running, running)
    for _ in range(3):
        assert vanishing.observe(NOTHING, running) == NOTHING


@given(st.lists(st.frozensets(st.sampled_from(sorted(fleet(6)))), min_size=1, max_size=20))
def test_what_ends_was_missed_by_the_last_listings_and_is_never_everything(listings):
    vanishing, running = Vanishing(), fleet(6)
    for number, listed in enumerate(listings):
        ended = vanishing.observe(listed, running)
        recent = listings[max(0, number - AGREEING + 1) : number + 1]
        assert not any(ended & seen for seen in recent)
        assert not ended or number + 1 >= AGREEING
        assert ended != running
