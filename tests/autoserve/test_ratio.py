"""Whether a split is as set: alarms that are right, at whichever look, however customers differ."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.autoserve.ratio import check, wilson

GROUPS = 2048


def rows_of(turn, entities, share, *, rows=20_000, lost=0.0, heavy=False):
    """Draw (answered, total) of each group: entities may be ``heavy`` or alike, a part of the challenger's rows is ``lost``."""
    arm, group = turn.random(entities) < share, turn.integers(0, GROUPS, entities)
    weights = turn.pareto(1.5, entities) + 1 if heavy else np.ones(entities)
    counts = turn.multinomial(rows, weights / weights.sum())
    mine = counts * arm - turn.binomial(counts * arm, lost)
    return np.bincount(group, mine, GROUPS).tolist(), np.bincount(group, counts, GROUPS).tolist()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("entities", [60, 2_000, 50_000])
def test_a_split_that_is_as_set_raises_no_alarm(share, entities):
    """A few busy customers are no broken experiment."""
    turn = np.random.default_rng(1)
    found = [check(*rows_of(turn, entities, share, heavy=True), share).verdict for _ in range(25)]
    assert "mismatch" not in found


def test_counting_rows_as_if_they_were_independent_would_raise_many():
    """The twin: without groups, heavy customers look like a fault."""
    turn = np.random.default_rng(1)
    alarms = 0
    for _ in range(25):
        mine, total = (sum(values) for values in rows_of(turn, 2_000, 0.5, heavy=True))
        alarms += (mine - 0.5 * total) ** 2 / (0.25 * total) > 10.83  # chi-square, p < 0.001
    assert alarms > 10


def test_a_challenger_that_loses_a_fifth_of_its_rows_is_noticed():
    """Crashes and deadlines that hit one side are what this is for."""
    turn = np.random.default_rng(2)
    found = check(*rows_of(turn, 50_000, 0.5, rows=150_000, lost=0.2), 0.5)
    assert found.verdict == "mismatch"
    assert found.p < 0.001


def test_nothing_is_said_of_a_handful_of_customers():
    """One of them decides."""
    answered, total = [1.0] * 20 + [0.0] * (GROUPS - 20), [1.0] * 20 + [0.0] * (GROUPS - 20)
    found = check(answered, total, 0.1)
    assert (found.verdict, found.p) == ("too early", None)


def test_several_comparisons_make_each_harder():
    """Bonferroni."""
    turn = np.random.default_rng(3)
    rows = rows_of(turn, 5_000, 0.5, lost=0.08)
    one, two = check(*rows, 0.5), check(*rows, 0.5, comparisons=2)
    assert one.p < 1.0
    assert two.p == pytest.approx(min(1.0, 2 * one.p))


def test_wilson_s_interval():
    """Against the textbook's figures, and at the ends."""
    assert wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(0, 50)
    assert low == 0.0
    assert high == pytest.approx(0.0713, abs=1e-4)
