"""The gate decides rightly: about alpha of all equals pass, clear winners pass, and every bar is a bar."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.project import Gate
from samovar.training.gate import Challenger, decide
from samovar.training.outcomes import Outcome

ATTEMPTS = 120


def model(truth, skill, random):
    """A model whose score separates the classes by ``skill`` standard deviations."""
    score = 1 / (1 + np.exp(-(random.normal(size=truth.size) + skill * truth - skill / 2)))
    return Outcome(truth, np.column_stack([1 - score, score]), positive=1)


def challenger(outcome, latency=1.0, size=1.0):
    return Challenger(outcome, latency, size)


def passed(metric, skill, champion_skill, *, attempts=ATTEMPTS, margin=0.0):
    random = np.random.default_rng(11)
    count = 0
    for _ in range(attempts):
        truth = (random.random(400) < 0.2).astype(int)
        pair = model(truth, skill, random), model(truth, champion_skill, random)
        count += decide(Gate(minimum=0.0, margin=margin), metric, challenger(pair[0]), pair[1], seed=5).passed
    return count / attempts


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "average_precision"])
def test_an_equal_challenger_passes_by_luck_about_as_seldom_as_the_confidence_says(metric):
    """One-sided error of a 95 % interval is 2.5 %; 120 attempts of it leave three standard errors."""
    assert passed(metric, 1.5, 1.5) <= 0.07


def test_a_clearly_better_challenger_nearly_always_passes():
    assert passed("roc_auc", 2.5, 1.0, attempts=30) >= 0.97


def test_a_clearly_worse_challenger_never_passes():
    assert passed("roc_auc", 1.0, 2.5, attempts=30) == 0.0


def test_a_margin_asks_for_more_than_better():
    assert passed("roc_auc", 2.5, 1.0, attempts=20, margin=0.4) == 0.0


@pytest.fixture
def good():
    random = np.random.default_rng(1)
    return model((random.random(500) < 0.3).astype(int), 3.0, random)


def test_without_a_champion_the_bars_alone_decide(good):
    assert decide(Gate(minimum=0.9), "roc_auc", challenger(good), None, seed=1).passed
    refused = decide(Gate(minimum=0.999), "roc_auc", challenger(good), None, seed=1)
    assert not refused.passed
    assert "minimum" in refused.reason


@pytest.mark.parametrize(
    ("gate", "latency", "size", "word"),
    [(Gate(0.1, max_latency_ms=5.0), 5.1, 1.0, "latency"), (Gate(0.1, max_size_mb=2.0), 1.0, 2.1, "MB")],
)
def test_a_slow_or_large_model_is_refused_and_the_reason_names_the_bar(good, gate, latency, size, word):
    verdict = decide(gate, "roc_auc", challenger(good, latency, size), None, seed=1)
    assert not verdict.passed
    assert word in verdict.reason
    assert decide(gate, "roc_auc", challenger(good), None, seed=1).passed


def test_the_minimum_holds_against_a_champion_too(good):
    coin = Outcome(good.truth, np.full((good.truth.size, 2), 0.5), positive=1)
    verdict = decide(Gate(minimum=0.999), "roc_auc", challenger(good), coin, seed=1)
    assert not verdict.passed
    assert verdict.evidence["gain"]["low"] > 0


def test_the_evidence_holds_every_figure_and_the_same_evidence_gives_the_same_verdict(good):
    coin = Outcome(good.truth, np.full((good.truth.size, 2), 0.5), positive=1)
    verdict = decide(Gate(minimum=0.5), "average_precision", challenger(good), coin, seed=1)
    assert verdict == decide(Gate(minimum=0.5), "average_precision", challenger(good), coin, seed=1)
    assert verdict.passed
    assert {"challenger", "champion", "gain", "minimum", "margin", "rows", "latency_ms", "size_mb"} <= set(verdict.evidence)
