"""Who answers whom: always the same, as many as wished, independent between models, and moved no more than needed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.serving.traffic.assignment import GROUPS, SLOTS, Assignment

ENTITIES = [f"customer-{number}".encode() for number in range(20_000)]


def answered(shares, model="m"):
    assign = Assignment(model, shares)
    return {entity: assign(entity)[0] for entity in ENTITIES}


@given(st.binary(max_size=40), st.integers(0, 100))
def test_an_entity_always_goes_to_the_same_version(entity, percent):
    """Whoever asks, whenever, in whichever process."""
    assert Assignment("m", [("B", percent)])(entity) == Assignment("m", [("B", percent)])(entity)


def test_shares_are_as_large_as_they_say():
    """Within four standard deviations of chance."""
    for percent in (1, 10, 50):
        share = sum(arm == 1 for arm in answered([("B", percent)]).values()) / len(ENTITIES)
        expected = percent / 100
        assert abs(share - expected) < 4 * (expected * (1 - expected) / len(ENTITIES)) ** 0.5
    assert set(answered([("B", 100)]).values()) == {1}
    assert set(answered([("B", 0)]).values()) == {0}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100), st.integers(0, 100))
def test_a_larger_share_is_the_smaller_one_and_some_more(one, other):
    """From 10 to 20 percent, the first 10 percent stay where they are."""
    small, large = sorted((one, other))
    slots = [Assignment("m", [("B", percent)])._slots for percent in (small, large)]
    assert all(after == 1 for before, after in zip(*slots, strict=True) if before == 1)
    assert sum(slots[1]) == large * SLOTS // 100


def test_several_shares_are_exact_together():
    """Nobody's share is eaten by another's."""
    slots = Assignment("m", [("A", 50), ("B", 30), ("C", 20)])._slots
    assert [slots.count(number) for number in range(4)] == [0, 5000, 3000, 2000]


def test_two_models_are_split_independently():
    """Who is in the challenger's tenth of one model is in that of another as often as anybody."""
    one, other = answered([("B", 10)]), answered([("B", 10)], "another")
    both = sum(one[entity] and other[entity] for entity in ENTITIES) / sum(one.values())
    assert 0.06 < both < 0.14


def test_groups_know_nothing_of_the_split():
    """Else their counts could not tell chance from a fault."""
    assign = Assignment("m", [("B", 50)])
    groups = [0] * GROUPS
    for entity in ENTITIES:
        arm, group = assign(entity)
        groups[group] += 2 * arm - 1
    assert sum(value > 0 for value in groups) > GROUPS / 3
    assert sum(value < 0 for value in groups) > GROUPS / 3
