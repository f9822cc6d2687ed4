"""The fraud project keeps what its page promises: better than a straight line on its own held-out period, and calibrated."""

from __future__ import annotations

import pytest

from samovar.contracts.check import check
from samovar.kinds import hist_gradient_boosting, logreg
from samovar.project import Window
from samovar.projects.fraud import fraud
from samovar.training import table, threshold
from samovar.training.evaluation import evaluate
from samovar.training.fanout import train_each
from samovar.training.job import Job
from samovar.training.outcomes import Outcome, class_indices
from samovar.training.split import split


@pytest.fixture(scope="module")
def document():
    """The evaluation of one gradient boosting, compared with a plain logistic regression."""
    rows = check(fraud.source(Window()).collect(), fraud.contract, target=fraud.target, time=fraud.time).accepted
    parts = split(rows, fraud, seed=1)
    truth = class_indices(parts.held_out[fraud.target].to_list(), (0, 1))
    job = Job(
        contract=fraud.contract,
        specs=(logreg(trials=0), hist_gradient_boosting(trials=1)),
        train=table.columns(parts.train, fraud.contract),
        labels=table.as_labels(parts.train[fraud.target]),
        held_out=table.columns(parts.held_out, fraud.contract),
        classes=(0, 1),
        positive=1,
        metric=fraud.metric,
        timed=True,
        seed=1,
    )
    found = {one.name: one for one in train_each(job, 2)}
    outcomes = {name: Outcome(truth, one.held_out, 1, threshold.choose("max_f1", one.out_of_fold)) for name, one in found.items()}
    best = found["hist_gradient_boosting"]
    return best, evaluate(
        outcomes[best.name],
        metric=fraud.metric,
        classes=(0, 1),
        calibration=best.calibration,
        seed=1,
        baseline=outcomes["logreg"],
    ).document


def test_it_beats_a_logistic_regression_on_the_same_held_out_rows(document):
    gain = document[1]["baseline"]["gain"]
    assert gain["low"] > 0.1
    assert gain["low"] < gain["value"] < gain["high"]


def test_its_probabilities_are_as_calibrated_as_chance_lets_anyone_see(document):
    calibration = document[1]["calibration"]
    assert calibration["losses"]["ece"]["value"] < 1.5 * calibration["ece_by_chance"]
    assert calibration["losses"]["brier"]["high"] < 0.03


def test_out_of_fold_figures_foretell_the_held_out_period(document):
    best, found = document
    assert best.selection == pytest.approx(found["metrics"]["average_precision"]["value"], abs=0.12)


def test_its_threshold_catches_most_fraud_without_drowning_people_in_alarms(document):
    found = document[1]["threshold"]
    assert found["recall"] > 0.5
    assert found["precision"] > 0.4
