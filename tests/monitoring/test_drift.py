"""Drift alarms are rare without drift and certain with it, on forty rows as on ten thousand."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import polars as pl
import pytest

import samovar as sv
from samovar.monitoring.drift import DriftReport, compare
from samovar.monitoring.significance import homogeneity
from samovar.profiles import profile
from samovar.statistics import holm


class Row(sv.Contract):
    amount: float
    balance: float | None
    hour: int
    plan: Literal["basic", "plus", "pro"]


POLICY = sv.Drift()


def rows(rng: np.random.Generator, n: int, *, shift: float = 0.0, missing: float = 0.1) -> pl.DataFrame:
    balance = rng.normal(1000, 300, n)
    return pl.DataFrame(
        {
            "amount": rng.lognormal(3 + shift, 1, n),
            "balance": pl.Series(np.where(rng.random(n) < missing, np.nan, balance)).fill_nan(None),
            "hour": rng.integers(0, 24, n),
            "plan": rng.choice(["basic", "plus", "pro"], n, p=[0.7, 0.25, 0.05]),
        }
    )


def report(reference: pl.DataFrame, current: pl.DataFrame, policy: sv.Drift = POLICY) -> DriftReport:
    built = profile.build(reference, Row.spec)
    return compare(built, profile.count(built, current), policy)


@pytest.mark.parametrize(("reference", "current"), [(105, 45), (105, 150), (300, 60), (1000, 200), (4000, 4000)])
def test_false_alarms_are_rarer_than_alpha(reference, current):
    """Of 300 comparisons without drift at alpha = .01, at most 8 alarm (more has a chance under 1 in 100 at the stated rate)."""
    rng = np.random.default_rng(11)
    alarms = sum(report(rows(rng, reference), rows(rng, current)).verdict == "alarm" for _ in range(300))
    assert alarms <= 8


@pytest.mark.parametrize(("reference", "current", "shift"), [(105, 45, 2.0), (105, 150, 1.0), (1000, 200, 0.6), (8000, 4000, 0.4)])
def test_real_shifts_alarm(reference, current, shift):
    """A shift by the stated number of standard deviations is found in at least 29 of 30 batches, and in the right feature."""
    rng = np.random.default_rng(13)
    found = 0
    for _ in range(30):
        result = report(rows(rng, reference), rows(rng, current, shift=shift))
        found += result.verdict == "alarm" and result.worst.name == "amount" and result.worst.shifted
    assert found >= 29


def test_plain_psi_would_have_cried_wolf():
    """On 45 rows PSI alone is over its threshold without any drift: what the noise and the test are for."""
    rng = np.random.default_rng(17)
    results = [report(rows(rng, 105), rows(rng, 45)) for _ in range(50)]
    assert sum(result.features[0].psi > POLICY.psi for result in results) > 45
    assert sum(result.verdict == "alarm" for result in results) <= 2


def test_significant_trifles_do_not_alarm():
    """With 40,000 rows a shift of 0.08 standard deviations is significant, but too small to matter."""
    rng = np.random.default_rng(19)
    result = report(rows(rng, 40_000), rows(rng, 40_000, shift=0.08))
    amount = next(entry for entry in result.features if entry.name == "amount")
    assert amount.p_corrected < POLICY.alpha
    assert amount.effect < POLICY.psi
    assert result.verdict == "ok"


def test_few_rows_never_alarm():
    """Under the policy's least rows the verdict says so, whatever the rows are."""
    rng = np.random.default_rng(23)
    result = report(rows(rng, 500), rows(rng, POLICY.min_rows - 1, shift=9))
    assert result.verdict == "too_few_rows"
    assert not result.shifted


def test_missing_values_are_drift():
    """A feed that loses a column's values alarms, though the values that are left look as ever."""
    rng = np.random.default_rng(29)
    result = report(rows(rng, 1000), rows(rng, 400, missing=0.5))
    assert [entry.name for entry in result.shifted] == ["balance"]
    assert result.worst.missing_reference == pytest.approx(0.1, abs=0.04)
    assert result.worst.missing_current == pytest.approx(0.5, abs=0.08)


def test_unseen_values_are_drift():
    """Values outside of the reference's range, or of an unknown category, are counted and alarm."""
    rng = np.random.default_rng(31)
    odd = rows(rng, 400).with_columns(amount=pl.col("amount") + 1e6)
    worst = report(rows(rng, 1000), odd).worst
    assert (worst.name, worst.unseen, worst.shifted) == ("amount", 1.0, True)


def test_a_category_swap_is_drift():
    rng = np.random.default_rng(37)
    swapped = rows(rng, 400).with_columns(plan=pl.col("plan").replace({"basic": "pro", "pro": "basic"}))
    worst = report(rows(rng, 1000), swapped).worst
    assert (worst.name, worst.top_reference, worst.top_current) == ("plan", "basic", "pro")


def test_shifted_answers_are_shown_and_alarm_nobody():
    """The model's answers are compared like a feature, but only features decide: learned rows get surer answers than new ones."""
    rng = np.random.default_rng(41)
    reference, current = rows(rng, 500), rows(rng, 300)
    built = profile.build(reference, Row.spec, pl.Series(rng.choice(["no", "yes"], 500, p=[0.9, 0.1])))
    same = profile.count(built, current, pl.Series(rng.choice(["no", "yes"], 300, p=[0.9, 0.1])))
    moved = profile.count(built, current, pl.Series(rng.choice(["no", "yes"], 300, p=[0.5, 0.5])))
    assert not compare(built, same, POLICY).prediction.shifted
    result = compare(built, moved, POLICY)
    assert (result.verdict, result.prediction.shifted) == ("ok", True)


def test_a_report_survives_json():
    rng = np.random.default_rng(43)
    result = report(rows(rng, 200), rows(rng, 0))
    assert msgspec.json.decode(msgspec.json.encode(result), type=DriftReport) == result


def test_holm_matches_its_definition():
    """Worked example: sorted p-values times 4, 3, 2, 1, made monotone and capped at one."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_homogeneity_matches_the_textbook():
    """A 2 x 3 table computed by hand; rare bins are pooled before the test."""
    result = homogeneity((30, 50, 20), (20, 30, 50))
    assert (result.statistic, result.degrees) == pytest.approx((2 + 5 + 90 / 7, 2))
    assert homogeneity((100, 100, 2, 2, 2), (100, 100, 2, 2, 2)).degrees == 2
    assert homogeneity((5,), (9,)).p_value == 1.0
