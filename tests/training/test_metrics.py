"""Scores equal scikit-learn's, weights count rows, and intervals cover what they say they cover."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from samovar.training import bootstrap, metrics, threshold
from samovar.training.outcomes import Outcome, class_indices, from_labels


def binary(rows=400, seed=0, *, ties=False):
    random = np.random.default_rng(seed)
    score = random.random(rows)
    truth = (random.random(rows) < score**2).astype(int)
    score = np.round(score, 1) if ties else score
    return Outcome(truth, np.column_stack([1 - score, score]), positive=1)


def several(rows=300, classes=4, seed=0):
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, rows)
    probabilities = random.dirichlet(np.ones(classes), rows) + np.eye(classes)[truth] * random.random((rows, 1))
    return Outcome(truth, probabilities / probabilities.sum(axis=1, keepdims=True))


REFERENCE = {
    "accuracy": lambda o: reference.accuracy_score(o.truth, o.predicted),
    "f1_macro": lambda o: reference.f1_score(o.truth, o.predicted, average="macro"),
    "average_precision": lambda o: reference.average_precision_score(o.is_positive, o.score),
    "roc_auc": lambda o: (
        reference.roc_auc_score(o.is_positive, o.score)
        if o.positive is not None
        else reference.roc_auc_score(o.truth, o.probabilities, multi_class="ovr")
    ),
    "neg_log_loss": lambda o: -reference.log_loss(o.truth, o.probabilities),
    "brier": lambda o: (
        reference.brier_score_loss(o.is_positive, o.score)
        if o.positive is not None
        else ((o.probabilities - np.eye(o.probabilities.shape[1])[o.truth]) ** 2).sum(axis=1).mean()
    ),
}


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize(
    "outcome", [binary(), binary(ties=True), binary(rows=7, seed=3), several()], ids=["binary", "ties", "few", "four"]
)
def test_a_score_equals_scikit_learns(name, outcome):
    if name == "average_precision" and outcome.positive is None:
        assert name not in metrics.applicable(outcome)
        return
    assert metrics.value(name, outcome) == pytest.approx(REFERENCE[name](outcome), rel=1e-12)


@pytest.mark.parametrize("name", [*metrics.SCORES, "brier"])
@pytest.mark.parametrize("outcome", [binary(ties=True), several()], ids=["binary", "four"])
def test_a_weight_counts_a_row_as_often(name, outcome):
    """A resample by weights is the same as the rows themselves, repeated."""
    if name == "average_precision" and outcome.positive is None:
        return
    weights = np.random.default_rng(1).integers(0, 3, (2, outcome.truth.size)).astype(float)
    function = metrics.SCORES.get(name) or metrics.LOSSES[name]
    for found, row in zip(function(outcome, weights), weights, strict=True):
        again = np.repeat(np.arange(outcome.truth.size), row.astype(int))
        repeated = Outcome(outcome.truth[again], outcome.probabilities[again], outcome.positive)
        assert found == pytest.approx(metrics.value(name, repeated), rel=1e-12)


def test_a_resample_without_positives_is_nan_and_does_not_poison_the_interval():
    truth = np.r_[1, np.zeros(19, dtype=int)]
    outcome = Outcome(truth, np.column_stack([np.linspace(0.9, 0.1, 20), np.linspace(0.1, 0.9, 20)]), positive=1)
    assert np.isnan(metrics.average_precision(outcome, np.r_[0.0, np.ones(19)][None, :])[0])
    found = bootstrap.estimate("average_precision", outcome, seed=1)
    assert np.isfinite([found.low, found.high]).all()


class TestIntervals:
    def test_an_interval_covers_the_truth_as_often_as_it_says(self):
        """300 samples of an 80 % accurate model: about 95 % of the intervals hold 0.8."""
        random = np.random.default_rng(7)
        covered = 0
        for seed in range(300):
            right = random.random(200) < 0.8
            outcome = Outcome(np.where(right, 1, 0), np.tile([0.1, 0.9], (200, 1)), positive=1)
            found = bootstrap.estimate("accuracy", outcome, seed=seed, rounds=300)
            covered += found.low <= 0.8 <= found.high
        assert 0.90 <= covered / 300 <= 0.985

    def test_a_paired_difference_is_known_better_than_two_unpaired_ones(self):
        first = binary(rows=1000)
        nudged = np.clip(first.score + np.random.default_rng(2).normal(0, 0.02, 1000), 0, 1)
        second = Outcome(first.truth, np.column_stack([1 - nudged, nudged]), positive=1)
        paired = bootstrap.difference("average_precision", first, second, seed=1)
        alone = bootstrap.estimate("average_precision", first, seed=1)
        assert paired.high - paired.low < (alone.high - alone.low) / 2

    def test_the_same_seed_gives_the_same_interval_and_a_model_gains_nothing_over_itself(self):
        assert bootstrap.estimate("roc_auc", binary(), seed=5) == bootstrap.estimate("roc_auc", binary(), seed=5)
        assert bootstrap.difference("roc_auc", binary(), binary(), seed=5) == bootstrap.Estimate(0.0, 0.0, 0.0)

    def test_outcomes_of_different_rows_are_not_compared(self):
        with pytest.raises(ValueError, match="same rows"):
            bootstrap.difference("accuracy", binary(seed=1), binary(seed=2), seed=1)


class TestCalibrationError:
    def test_calibrated_probabilities_stay_under_chance_and_twisted_ones_do_not(self):
        random = np.random.default_rng(3)
        score = random.random(3000)
        truth = (random.random(3000) < score).astype(int)
        honest = Outcome(truth, np.column_stack([1 - score, score]), positive=1)
        twisted = Outcome(truth, np.column_stack([1 - score**3, score**3]), positive=1)
        assert metrics.value("ece", honest) < metrics.ece_by_chance(honest, seed=1)
        assert metrics.value("ece", twisted) > 3 * metrics.ece_by_chance(twisted, seed=1)

    def test_equal_probabilities_never_part_into_two_bins(self):
        bins = metrics.equal_mass_bins(np.r_[np.full(50, 0.2), np.full(50, 0.7)])
        assert len(set(bins[:50])) == len(set(bins[50:])) == 1
        assert bins[0] != bins[50]


class TestThreshold:
    @pytest.mark.parametrize("seed", range(5))
    def test_max_f1_finds_what_trying_every_threshold_finds(self, seed):
        outcome = binary(rows=120, seed=seed, ties=seed % 2 == 0)
        chosen = threshold.choose("max_f1", outcome)
        tried = max(reference.f1_score(outcome.truth, outcome.score >= limit) for limit in np.unique(outcome.score))
        assert reference.f1_score(outcome.truth, outcome.score >= chosen) == pytest.approx(tried)
        assert chosen not in outcome.score

    def test_half_is_a_half(self):
        assert threshold.choose("half", binary()) == 0.5

    def test_the_report_says_what_the_threshold_does(self):
        found = threshold.report(Outcome(np.array([1, 1, 0, 0]), np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.9, 0.1]]), 1))
        assert found == {"precision": 0.5, "recall": 0.5, "f1": 0.5}


class TestOutcomes:
    def test_the_positive_class_may_be_the_first(self):
        outcome = Outcome(np.array([0, 1]), np.array([[0.7, 0.3], [0.2, 0.8]]), positive=0, threshold=0.6)
        assert outcome.predicted.tolist() == [0, 1]
        assert metrics.value("average_precision", outcome) == 1.0

    def test_labels_alone_make_certain_probabilities(self):
        assert from_labels(["b", "?", "a"], ("a", "b")).tolist() == [[0, 1], [0, 0], [1, 0]]

    def test_an_unknown_label_is_a_data_error_that_does_not_repeat_it(self):
        with pytest.raises(Exception, match="does not know") as failure:
            class_indices(["secret"], ("a", "b"))
        assert "secret" not in str(failure.value)


def test_ordinal_scores_are_scikit_learns_and_resample_as_rows_do():
    random = np.random.default_rng(5)
    truth, probabilities = random.integers(0, 5, 400), random.dirichlet(np.ones(5), 400)
    probabilities[np.arange(400), truth] += 0.3
    outcome = Outcome(truth, probabilities / probabilities.sum(axis=1, keepdims=True), ordinal=True)
    said = outcome.predicted
    assert metrics.value("quadratic_kappa", outcome) == pytest.approx(reference.cohen_kappa_score(truth, said, weights="quadratic"))
    assert metrics.value("neg_mean_absolute_error", outcome) == pytest.approx(-np.abs(said - truth).mean())
    assert metrics.value("adjacent_accuracy", outcome) == pytest.approx((np.abs(said - truth) <= 1).mean())
    counts = random.integers(0, 3, 400)
    again = Outcome(np.repeat(truth, counts), np.repeat(outcome.probabilities, counts, axis=0))
    for name in metrics.ORDINAL:
        assert metrics.SCORES[name](outcome, counts[None].astype(float))[0] == pytest.approx(metrics.value(name, again))


def test_ordinal_scores_are_for_scales_only():
    truth, probabilities = np.array([0, 1, 2]), np.eye(3)
    assert metrics.ORDINAL.isdisjoint(metrics.applicable(Outcome(truth, probabilities)))
    assert set(metrics.applicable(Outcome(truth, probabilities, ordinal=True))) >= metrics.ORDINAL
