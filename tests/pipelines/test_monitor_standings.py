"""Stored predictions and labels become scores that mean what the project's metric means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, f1_score

from samovar.pipelines import standings
from samovar.store.datasets import Dataset
from samovar.store.predictions import Prediction
from samovar.training import bootstrap
from samovar.training.metrics import value


def said(labels, chances=None, version=1):
    chances = [None] * len(labels) if chances is None else chances
    return [
        Prediction(
            project="p",
            model="m",
            version=version,
            role="champion",
            dataset="d",
            row_index=row,
            prediction=str(label),
            probability=chance,
        )
        for row, (label, chance) in enumerate(zip(labels, chances, strict=True))
    ]


def labelled(labels):
    return pl.DataFrame({"late": labels})


def one(project, labels, answers):
    (outcome,) = standings.outcomes(project, labelled(labels), [answers], np.arange(len(labels)))
    return outcome


def test_binary_scores_come_from_the_stored_probabilities(shop):
    """Average precision equals scikit-learn's, and the predicted labels are those that were stored."""
    rng = np.random.default_rng(1)
    truth, chance = rng.integers(0, 2, 60), rng.random(60).round(2)
    stored = (chance >= 0.3).astype(int)
    outcome = one(replace(shop, metric="average_precision"), truth, said(stored, chance.tolist()))
    assert value("average_precision", outcome) == pytest.approx(average_precision_score(truth, chance))
    assert outcome.predicted.tolist() == stored.tolist()


def test_the_positive_class_may_be_the_first(shop):
    """Probabilities are of the declared positive class, which sorts first here."""
    truth, chance = ["bad", "good", "bad"], [0.9, 0.2, 0.8]
    outcome = one(replace(shop, positive="bad", metric="roc_auc"), truth, said(["bad", "good", "bad"], chance))
    assert (outcome.positive, value("roc_auc", outcome), value("accuracy", outcome)) == (0, 1.0, 1.0)


def test_many_classes_are_scored_by_their_labels(shop):
    """With more than two classes only the label is stored: F1 can be had, log loss cannot and gives way to accuracy."""
    truth, stored = ["a", "b", "c", "a"], ["a", "c", "c", "a"]
    outcome = one(replace(shop, positive=None, metric="f1_macro"), truth, said(stored, [0.9, 0.8, 0.7, 0.6]))
    assert value("f1_macro", outcome) == pytest.approx(f1_score(truth, stored, average="macro"))
    assert standings.metric_of(replace(shop, metric="f1_macro"), outcome) == "f1_macro"
    assert standings.metric_of(replace(shop, metric="neg_log_loss"), outcome) == "accuracy"


def test_labels_of_one_class_give_way_to_accuracy(shop):
    """Without a positive row the area under the curve is not defined; a report then says how often the model was right."""
    project = replace(shop, metric="average_precision")
    outcome = one(project, [0, 0, 0], said([0, 1, 0], [0.1, 0.9, 0.2]))
    assert standings.metric_of(project, outcome) == "accuracy"
    assert value("accuracy", outcome) == pytest.approx(2 / 3)


def test_versions_that_name_different_classes_can_be_paired(shop):
    """One version said a class that neither the labels nor the other version know."""
    project = replace(shop, positive=None, metric="accuracy")
    first, second = said(["a", "b", "b"]), said(["a", "z", "b"], version=2)
    judged = standings.outcomes(project, labelled(["a", "b", "b"]), [first, second], np.arange(3))
    assert bootstrap.difference("accuracy", judged[1], judged[0], seed=1).value == pytest.approx(-1 / 3)


def test_rows_that_a_version_learned_from_do_not_count(shop):
    """On a version's own dataset only the held-out rows are scored; on any other dataset all are."""
    frame = shop.source(None)

    class Version:
        tags = {"samovar.dataset": "d" * 64}  # noqa: RUF012 - stands for a registry version

    data = Dataset(project="shop", digest="d" * 64, contract="", url="", rows=frame.height)
    own = standings.unlearned(shop, data, frame, [Version], 1)
    assert 0.2 * frame.height < own.size < 0.35 * frame.height
    other = standings.unlearned(shop, replace(data, digest="e" * 64), frame, [Version], 1)
    assert other.size == frame.height
