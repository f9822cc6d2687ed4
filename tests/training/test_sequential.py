"""The A/B test may be looked at as often as one likes; what is statistical about it at size is in benchmarks/decisions.py."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.statistics import mixture_p, mixture_radius
from samovar.training.sequential import Sums, compare, of_shares


def test_looking_every_day_and_stopping_at_a_winner_is_seldom_wrong():
    """Two equal versions, 200 experiments of sixty looks; plain 95 % intervals call a winner in more than a quarter of them."""
    random = np.random.default_rng(6)
    ours, theirs = (random.binomial(100, 0.9, (200, 60)).cumsum(axis=1) for _ in range(2))
    looks = np.arange(100, 6001, 100)
    found = [
        [compare(of_shares(a, n), of_shares(b, n)) for a, b, n in zip(*both, looks.tolist(), strict=True)]
        for both in zip(ours.tolist(), theirs.tolist(), strict=True)
    ]
    called = np.mean([any(one.verdict in {"challenger", "champion"} for one in experiment) for experiment in found])
    assert called <= 0.08  # 5 % and two standard errors
    rates = (ours + theirs) / (2 * looks)
    plain = np.abs(ours - theirs) / looks > 1.96 * np.sqrt(2 * rates * (1 - rates) / looks)
    assert plain.any(axis=1).mean() > 0.25


@pytest.mark.parametrize(("hits", "verdict"), [(4700, "challenger"), (4300, "champion"), (4510, "undecided")])
def test_who_is_better_is_said_with_an_interval_that_holds_it(hits, verdict):
    found = compare(of_shares(hits, 5000), of_shares(4500, 5000))
    assert found.verdict == verdict
    assert found.low < found.difference < found.high
    assert (found.p < 0.05) == (verdict != "undecided")


def test_few_rows_or_hardly_any_errors_are_too_early():
    assert compare(of_shares(80, 90), of_shares(4500, 5000)).verdict == "too early"
    assert compare(of_shares(4995, 5000), of_shares(4500, 5000)).verdict == "too early"


def test_rows_of_one_entity_count_as_what_they_are():
    """Fifty rows of each of a hundred customers, all alike: as much is known as of a hundred rows."""
    alone = of_shares(90, 100)
    many = Sums(rows=5000, total=4500, squares=90 * 50.0**2, products=90 * 50.0 * 50, sizes=100 * 50.0**2, entities=100)
    assert many.variance == pytest.approx(alone.variance)


def test_the_interval_and_the_p_value_agree():
    radius = mixture_radius(3000.0, 250.0, 0.05)
    assert mixture_p(radius, 3000.0, 250.0) == pytest.approx(0.05)
    assert (
        compare(of_shares(4600, 5000), of_shares(4500, 5000), comparisons=3).low
        < compare(of_shares(4600, 5000), of_shares(4500, 5000)).low
    )


def test_a_margin_and_log_losses_are_judged_too():
    better = compare(of_shares(4700, 5000), of_shares(4500, 5000), margin=0.03)
    assert better.verdict == "undecided"
    logs = [Sums(5000, -mean * 5000, mean * mean * 5000 * 1.5, -mean * 5000, 5000, 5000) for mean in (0.2, 0.3)]
    assert compare(logs[0], logs[1], binary=False).verdict == "challenger"
