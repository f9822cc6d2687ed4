"""The gate decides rightly: about alpha of all equals pass, clear winners pass, and every bar is a bar."""

from __future__ import annotations

import numpy as np
import pytest

from samovar.errors import ProjectError
from samovar.project import Gate
from samovar.training.gate import Challenger, decide, decide_all
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


class TestBars:
    def test_every_bar_says_what_was_asked_what_was_reached_and_by_how_much(self, good):
        coin = Outcome(good.truth, np.full((good.truth.size, 2), 0.5), positive=1)
        gate = Gate(minimum=0.5, margin=0.1, max_latency="5ms", max_size_mb=3.0)
        bars = {bar["name"]: bar for bar in decide(gate, "roc_auc", challenger(good, 2.0, 4.0), coin, seed=1).evidence["bars"]}
        assert set(bars) == {"minimum", "latency", "size", "gain"}
        assert (bars["latency"]["passed"], bars["latency"]["by"], bars["latency"]["limit"]) == (True, 3.0, 5.0)
        assert (bars["size"]["passed"], bars["size"]["by"]) == (False, -1.0)
        assert bars["gain"]["by"] == pytest.approx(bars["gain"]["low"] - 0.1)

    @pytest.mark.parametrize(("text", "milliseconds"), [("5ms", 5.0), ("0.5s", 500.0), ("800us", 0.8)])
    def test_a_latency_may_be_given_with_its_unit(self, text, milliseconds):
        assert Gate(0.1, max_latency=text).max_latency_ms == pytest.approx(milliseconds)

    @pytest.mark.parametrize(
        "bars", [{"max_latency": "5"}, {"max_latency": "5ms", "max_latency_ms": 5.0}, {"confidence": 95.0}, {"slice_margin": -0.1}]
    )
    def test_bars_that_make_no_sense_are_refused_when_they_are_declared(self, bars):
        with pytest.raises(ProjectError):
            Gate(0.1, **bars)


def labels(truth, right):
    """A model that is right on these rows."""
    said = np.where(right, truth, 1 - truth)
    return Outcome(truth, np.eye(2)[said], positive=1)


class TestSlices:
    """The challenger wins 30 rows of 1000 on the whole, and loses where the slice is."""

    @pytest.fixture
    def pair(self):
        truth = np.tile([0, 1], 500)
        champion = np.arange(1000) >= 100
        better = np.ones(1000, dtype=bool)
        better[900:960] = False
        return labels(truth, better), labels(truth, champion)

    def test_a_slice_that_pays_for_the_whole_refuses(self, pair):
        rows = np.arange(1000)
        slices = {"plan=old": rows < 900, "plan=new": rows >= 850}
        assert decide(Gate(0.5), "accuracy", challenger(pair[0]), pair[1], seed=1, slices=slices).passed  # no margin, no bar
        verdict = decide(Gate(0.5, slice_margin=0.02), "accuracy", challenger(pair[0]), pair[1], seed=1, slices=slices)
        assert not verdict.passed
        assert "plan=new" in verdict.reason
        assert [row["standing"] for row in verdict.evidence["slices"]] == ["not worse", "may be worse"]

    def test_few_rows_refuse_only_what_is_proven_worse(self, pair):
        rows = np.arange(1000)
        gate = Gate(0.5, slice_margin=0.02)
        unclear = {"tiny": (rows >= 955) & (rows < 975)}  # five lost of twenty
        lost = {"tiny": (rows >= 930) & (rows < 960)}  # all of thirty
        assert decide(gate, "accuracy", challenger(pair[0]), pair[1], seed=1, slices=unclear).passed is False
        assert decide(gate, "accuracy", challenger(pair[0]), pair[1], seed=1, slices={"tiny": rows == 955}).passed is False
        assert "proven to be worse" in decide(gate, "accuracy", challenger(pair[0]), pair[1], seed=1, slices=lost).reason
        assert decide(gate, "accuracy", challenger(pair[0]), pair[1], seed=1, slices={"tiny": (rows >= 958) & (rows < 978)}).passed

    def test_a_slice_where_the_metric_means_nothing_is_listed_and_not_judged(self, pair):
        one_class = {"ones": pair[0].truth == 1}
        verdict = decide(Gate(0.1, slice_margin=0.02), "roc_auc", challenger(pair[0]), pair[1], seed=1, slices=one_class)
        assert verdict.evidence["slices"] == [{"slice": "ones", "rows": 500, "standing": "not defined"}]


def test_the_more_challengers_at_once_the_more_each_has_to_prove(good):
    """One in forty equal challengers passes by luck alone; ten at once may together pass no more often."""
    random = np.random.default_rng(4)
    passed = 0
    for _ in range(30):
        truth = (random.random(300) < 0.4).astype(int)
        champion = model(truth, 1.0, random)
        rivals = [challenger(model(truth, 1.0, random)) for _ in range(8)]
        passed += any(one.passed for one in decide_all(Gate(0.0), "accuracy", rivals, champion, seed=5))
    assert passed <= 3  # uncorrected, six are expected
    coin = Outcome(good.truth, np.full((good.truth.size, 2), 0.5), positive=1)
    verdicts = decide_all(Gate(0.1), "roc_auc", [challenger(coin), challenger(good)], coin, seed=1)
    assert [one.passed for one in verdicts] == [False, True]
    assert verdicts[1].evidence["gain_level"] == pytest.approx(0.0125)


def test_rows_that_fail_together_widen_the_interval(good):
    """The same rows in the order of time: an outage of a day is one event, not fifty."""
    random = np.random.default_rng(2)
    truth = np.tile([0, 1], 600)
    bad_days = np.repeat(random.random(24) < 0.3, 50)
    ours, theirs = labels(truth, ~bad_days), labels(truth, ~np.repeat(random.random(24) < 0.4, 50))
    alone = decide(Gate(0.0), "accuracy", challenger(ours), theirs, seed=1).evidence
    together = decide(Gate(0.0), "accuracy", challenger(ours), theirs, seed=1, ordered=True).evidence
    assert together["resampling"]["block"] >= 30
    assert together["gain"]["high"] - together["gain"]["low"] > 3 * (alone["gain"]["high"] - alone["gain"]["low"])
