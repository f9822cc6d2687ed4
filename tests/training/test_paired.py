"""Classical tests and block lengths against references that were computed by other means."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from samovar.training import blocks, paired
from samovar.training.outcomes import Outcome


def test_mcnemar_equals_the_binomial_tails():
    """Of 10 discordant rows 2 are the first's: exact 2 P(X <= 2) = 112 / 1024, the mid-p value is P(X = 2) = 45 / 1024 less."""
    first = np.array([True] * 2 + [False] * 8 + [True] * 5)
    second = np.array([False] * 2 + [True] * 8 + [True] * 5)
    found = paired.mcnemar(first, second)
    assert (found["only_challenger"], found["only_champion"]) == (2, 8)
    assert found["exact_p"] == pytest.approx(112 / 1024)
    assert found["mid_p"] == pytest.approx(67 / 1024)
    assert paired.mcnemar(first, first)["mid_p"] == 1.0


def test_delong_is_the_difference_of_the_areas_and_its_spread_is_that_of_fresh_samples():
    random = np.random.default_rng(8)
    differences, errors = [], []
    for _ in range(200):
        positive = random.random(300) < 0.3
        common = random.normal(size=300) + positive
        first, second = common + random.normal(0, 0.5, 300), np.round(common + random.normal(0, 1.0, 300), 1)  # with ties
        found = paired.delong(positive, first, second)
        assert found["difference"] == pytest.approx(roc_auc_score(positive, first) - roc_auc_score(positive, second))
        differences.append(found["difference"])
        errors.append(found["standard_error"])
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.12)
    assert found["p"] <= 1.0


def test_which_test_is_shown_follows_the_metric():
    truth = np.array([0, 1, 0, 1, 1])
    outcome = Outcome(truth, np.eye(2)[truth], positive=1)
    assert set(paired.supporting("f1_macro", outcome, outcome)) == {"mcnemar"}
    assert paired.supporting("roc_auc", outcome, outcome)["delong"]["p"] == 1.0
    assert paired.supporting("neg_log_loss", outcome, outcome) == {}


@pytest.mark.parametrize("rows", [500, 3000])
def test_blocks_grow_with_the_correlation(rows):
    """For an AR(1) series G / g(0) is 2 rho / (1 - rho^2), so that the rule has a closed form."""
    random = np.random.default_rng(3)
    noise = random.normal(size=rows)
    rho, series = 0.7, np.empty(rows)
    series[0] = noise[0]
    for at in range(1, rows):
        series[at] = rho * series[at - 1] + noise[at]
    ideal = (1.5 * (2 * rho / (1 - rho**2)) ** 2 * rows) ** (1 / 3)
    assert blocks.automatic(series) == pytest.approx(ideal, rel=0.5)
    assert blocks.automatic(noise) <= 4
    assert blocks.automatic(np.ones(rows)) == 1
