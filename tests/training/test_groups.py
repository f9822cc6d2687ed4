"""No group is on both sides: of the held-out rows, or of an inner fold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.training import groups

CODES = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.tuples(*[st.integers(-1, 9)] * width), min_size=2, max_size=60).map(np.array)
)


def straddles(codes, one, other):
    """Whether a group occurs among both rows."""
    return any((set(column[one]) & set(column[other])) - {-1} for column in codes.T)


@given(codes=CODES, data=st.data())
@settings(deadline=None)
def test_a_parted_split_shares_no_group(codes, data):
    held_out = np.array(data.draw(st.lists(st.booleans(), min_size=len(codes), max_size=len(codes))))
    dropped = groups.parted(codes, held_out)
    assert not straddles(codes, held_out & ~dropped, ~held_out & ~dropped)
    alone = [row for row in range(len(codes)) if (codes[row] == -1).all()]
    assert not dropped[alone].any()


@given(codes=CODES, data=st.data())
@settings(deadline=None)
def test_training_rows_apart_from_a_fold_share_no_group_with_it(codes, data):
    fold = np.array(data.draw(st.lists(st.booleans(), min_size=len(codes), max_size=len(codes))))
    train = groups.apart(codes, np.flatnonzero(~fold), np.flatnonzero(fold))
    assert not straddles(codes, train, np.flatnonzero(fold))


@given(codes=CODES)
@settings(deadline=None)
def test_components_part_all_groups_and_connect_nothing_else(codes):
    found = groups.components(codes)
    for one in range(len(codes)):
        for other in range(one):
            if ((codes[one] == codes[other]) & (codes[one] >= 0)).any():
                assert found[one] == found[other]
    assert not straddles(codes, found == found[0], found != found[0])
    assert all(np.sum(found == found[row]) == 1 for row in range(len(codes)) if (codes[row] == -1).all())


def test_one_great_block_is_parted_by_the_column_with_the_most_groups():
    reviewers, products = np.arange(40) // 2, np.arange(40) % 3
    ids, whole = groups.blocks(np.column_stack([reviewers, products]))
    assert not whole
    assert len(set(ids)) == 20


def test_the_smaller_share_of_a_straddling_group_goes():
    codes = np.array([[0], [0], [0], [1], [0], [2]])
    held_out = np.array([False, False, False, False, True, True])
    assert groups.parted(codes, held_out).tolist() == [False, False, False, False, True, False]


@pytest.mark.parametrize("width", [1, 2])
def test_rows_without_groups_are_blocks_of_their_own(width):
    ids, whole = groups.blocks(np.full((9, width), -1))
    assert whole
    assert len(set(ids)) == 9
