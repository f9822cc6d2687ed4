"""PSI follows its formula, and its noise is what samples without drift show."""

from __future__ import annotations

import math

import numpy as np
import pytest

from samovar.profiles.psi import excess, noise, psi


def test_psi_follows_the_formula():
    """Two bins worked out by hand, with half a row added to each."""
    p, q = (30.5 / 101, 70.5 / 101), (60.5 / 101, 40.5 / 101)
    by_hand = sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert psi((30, 70), (60, 40)) == pytest.approx(by_hand)


def test_equal_shares_have_no_psi():
    assert psi((100, 300), (100, 300)) == 0.0
    assert psi((100_000, 300_000), (1_000, 3_000)) == pytest.approx(0.0, abs=1e-5)


def test_bins_that_nobody_uses_do_not_count():
    """Empty bins (out of range, missing) change neither PSI nor its noise."""
    assert psi((0, 50, 50, 0), (0, 20, 80, 0)) == psi((50, 50), (20, 80))
    assert noise((0, 50, 50, 0), (0, 20, 80, 0)) == noise((50, 50), (20, 80))


def test_an_empty_side_has_no_psi():
    assert psi((10, 10), (0, 0)) == noise((10, 10), (0, 0)) == excess((0, 0), (3, 4)) == 0.0


def test_an_unseen_bin_stays_finite():
    assert math.isfinite(psi((100, 0), (0, 100)))


@pytest.mark.parametrize(("reference", "current"), [(105, 45), (1000, 100), (8000, 12_000)])
def test_noise_is_the_mean_without_drift(reference, current):
    """Over 400 pairs of samples from one distribution, mean PSI is within 15 % of the stated noise."""
    rng = np.random.default_rng(7)
    shares = np.full(10, 0.1)
    pairs = [(rng.multinomial(reference, shares), rng.multinomial(current, shares)) for _ in range(400)]
    assert np.mean([psi(r, c) for r, c in pairs]) == pytest.approx(np.mean([noise(r, c) for r, c in pairs]), rel=0.15)
