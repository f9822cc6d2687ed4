"""What is told of a judged candidate: curves, parts, what it looks at, what it got wrong, and nothing that must not be shown."""

from __future__ import annotations

import json
import posixpath
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import auc, average_precision_score, precision_score, roc_auc_score

from samovar.contracts.spec import ContractSpec, FieldSpec
from samovar.kinds import logreg
from samovar.training import bootstrap, builders, curves, importance, metrics, mistakes, tokens
from samovar.training.evaluation import evaluate, wilson
from samovar.training.outcomes import Outcome


def binary(rows=2000, seed=0, threshold=0.4):
    random = np.random.default_rng(seed)
    score = random.random(rows).round(2)  # ties
    truth = (random.random(rows) < score**2).astype(int)
    return Outcome(truth, np.column_stack([1 - score, score]), 1, threshold)


CONTRACT = ContractSpec(
    "Row",
    (
        FieldSpec("key", "str", role="key", log="hash"),
        FieldSpec("useful", "float"),
        FieldSpec("useless", "float", log="drop"),
        FieldSpec("words", "str", role="text"),
        FieldSpec("at", "datetime"),
    ),
)


def rows(count=400, seed=1):
    random = np.random.default_rng(seed)
    useful = random.normal(size=count)
    words = random.choice(["fine tea", "stale tea", "tea"], count)
    label = ((useful + np.where(words == "stale tea", 1.5, 0)) > 0.7).astype(int)
    frame = pl.DataFrame({"key": [f"k{at}" for at in range(count)], "useful": useful, "useless": random.normal(size=count)})
    return frame.with_columns(words=pl.Series(words), at=pl.lit("2024-01-01").str.to_datetime()), label


@pytest.fixture(scope="module")
def fitted():
    frame, label = rows()
    table = pd.DataFrame(frame.drop("key").to_dict(as_series=False))
    model = builders.build(logreg(trials=0), CONTRACT, {}, seed=1).fit(table, label)
    return model, frame, table, label


class TestCurves:
    def test_they_are_those_of_scikit_learn_and_thin(self):
        outcome = binary()
        found = curves.curves(outcome, ("no", "yes"))["yes"]
        roc, precise = found["roc"], found["precision_recall"]
        assert len(roc["true_positive_rate"]) <= 125
        area = auc(roc["false_positive_rate"], roc["true_positive_rate"])
        assert area == pytest.approx(roc_auc_score(outcome.truth, outcome.score), abs=2e-3)
        steps = np.diff(np.r_[0, precise["recall"]]) @ precise["precision"]
        assert steps == pytest.approx(average_precision_score(outcome.truth, outcome.score), abs=5e-3)

    def test_each_class_against_the_rest_and_none_for_a_class_without_rows(self):
        outcome = Outcome(np.array([0, 1, 0, 1]), np.full((4, 3), 1 / 3))
        assert list(curves.curves(outcome, ("a", "b", "c"))) == ["a", "b"]


class TestDocument:
    def test_the_projects_metric_is_in_it_whatever_the_classes_are(self):
        found = evaluate(binary(200), metric="quadratic_kappa", classes=(0, 1), calibration="none", seed=1, baseline=None)
        assert found.document["metrics"]["quadratic_kappa"]["value"] == pytest.approx(metrics.value("quadratic_kappa", binary(200)))

    def test_a_weak_part_is_named_with_its_interval(self):
        """Rows of the second half are guessed."""
        random = np.random.default_rng(0)
        truth = random.integers(0, 2, 600)
        score = np.where(np.arange(600) < 300, 0.2 + 0.6 * truth, random.random(600))
        outcome = Outcome(truth, np.column_stack([1 - score, score]), 1)
        halves = {"half": {"first": np.arange(600) < 300, "second": np.arange(600) >= 300}}
        found = evaluate(outcome, metric="accuracy", classes=(0, 1), calibration="none", seed=1, baseline=None, slices=halves)
        first, second = found.document["slices"]["half"]
        assert (first["value"], first["weaker"], second["weaker"]) == (1.0, False, True)
        assert second["low"] < second["value"] < second["high"] < 0.75
        assert found.figures()["slice/half/second"] == second["value"]

    def test_a_part_without_a_positive_row_has_no_average_precision(self):
        """And the document stays JSON, which knows no NaN."""
        outcome = binary()
        parts = {"sort": {"bad": outcome.truth == 0, "good": outcome.truth == 1}}
        found = evaluate(
            outcome, metric="average_precision", classes=(0, 1), calibration="none", seed=1, baseline=None, slices=parts
        )
        assert found.document["slices"]["sort"][0]["value"] is None
        json.dumps(found.document, allow_nan=False)

    def test_a_level_of_any_name_is_a_metric_that_mlflow_accepts(self):
        """As MLflow checks it: word characters and few others, and a path that is its own shortest form."""
        outcome = binary(rows=40)
        names = ["", "..", "a//b", "чай", "x" * 500, "\0", "/etc"]
        parts = {"where": {name: np.ones(40, bool) for name in names}}
        found = evaluate(outcome, metric="accuracy", classes=(0, 1), calibration="none", seed=1, baseline=None, slices=parts)
        logged = [name for name in found.figures() if name.startswith("slice/")]
        assert len(logged) == len(names)
        for name in logged:
            assert re.fullmatch(r"[/\w.\- :]*", name)
            assert posixpath.normpath(name) == name
            assert len(name) <= 250

    def test_precision_at_the_threshold_has_an_interval_and_is_scikit_learns(self):
        outcome = binary()
        found = evaluate(outcome, metric="accuracy", classes=(0, 1), calibration="none", seed=1, baseline=None)
        precision = found.document["threshold"]["intervals"]["precision"]
        assert precision["value"] == pytest.approx(precision_score(outcome.truth, outcome.predicted), abs=1e-6)
        assert precision["low"] < precision["value"] < precision["high"]
        assert found.document["threshold"]["precision"] == precision["value"]

    def test_an_interval_of_a_share_is_open_at_the_ends(self):
        """Wilson's own formula at 0 and 10 of 10 rows: z^2 / (n + z^2)."""
        assert wilson(0, 10) == (pytest.approx(0.0), pytest.approx(0.27753, abs=1e-4))
        assert wilson(10, 10)[0] == pytest.approx(0.72247, abs=1e-4)


class TestImportance:
    def test_what_the_model_needs_is_first_and_noise_is_not_over_zero(self, fitted):
        model, _, table, label = fitted
        outcome = Outcome(label, model.predict_proba(table), 1)
        chosen = importance.choose(label, CONTRACT, seed=1)
        asked = importance.ask(model, table.iloc[chosen], CONTRACT, seed=1)
        found = importance.importances(outcome, chosen, asked, "accuracy", seed=1)
        assert [one["field"] for one in found] == ["useful", "words", "useless"]  # and no raw time
        assert found[0]["low"] > 0.1
        assert found[1]["low"] > 0.02
        assert found[2]["low"] <= 0 <= found[2]["high"]

    def test_rare_rows_are_asked_about_and_weighed_as_they_occur(self):
        truth = np.r_[np.ones(30, int), np.zeros(20_000, int)]
        chosen = importance.choose(truth, ContractSpec("Row", (FieldSpec("x", "float"),)), seed=1)
        assert (truth[chosen] == 1).sum() == 30
        assert chosen.size == 1000
        score = np.where(truth == 1, 0.5, np.random.default_rng(0).random(truth.size))
        whole = Outcome(truth, np.column_stack([1 - score, score]), 1)
        part = Outcome(truth[chosen], whole.probabilities[chosen], 1)
        weights = np.where(part.truth == 1, 1.0, 20_000 / 970)
        weighed = bootstrap.weighted("average_precision", part, weights, seed=1, rounds=1).value
        assert weighed == pytest.approx(metrics.value("average_precision", whole), rel=0.15)


class TestTokens:
    def test_words_that_speak_for_a_class(self, fitted):
        model, _, table, label = fitted
        found = tokens.top(model, CONTRACT)
        assert found["words"]["1"][0][0] == "stale"
        assert found["words"]["0"][0][0] != "stale"
        folds = [(np.arange(200), np.arange(200, 400)), (np.arange(200, 400), np.arange(200))]
        wrapped = CalibratedClassifierCV(model, method="sigmoid", cv=folds, ensemble=False).fit(table, label)
        assert tokens.top(wrapped, CONTRACT)["words"]["1"][0][0] == "stale"

    def test_words_of_texts_that_were_joined_are_told_where_all_of_them_may_be_kept(self):
        fields = [FieldSpec(name, "str", role="text", nullable=True) for name in ("body", "title")]
        table = pd.DataFrame({"body": ["a stale tea", "a fine tea"] * 20, "title": [None, "tea"] * 20})
        model = builders.build(logreg(), ContractSpec("Row", tuple(fields)), {}, seed=1).fit(table, [1, 0] * 20)
        found = tokens.top(model, ContractSpec("Row", tuple(fields)))
        assert "stale" in [token for token, _ in found["body+title"]["1"]]
        hidden = ContractSpec("Row", (fields[0], FieldSpec("title", "str", role="text", log="drop")))
        assert set(tokens.top(model, hidden)) == {"body"}

    def test_no_words_of_a_field_that_is_not_to_be_kept(self, fitted):
        hidden = ContractSpec("Row", tuple(FieldSpec(one.name, one.dtype, one.role, log="drop") for one in CONTRACT.fields))
        assert tokens.top(fitted[0], hidden) == {}


class TestMistakes:
    def test_the_surest_are_first_and_hidden_fields_stay_hidden(self, fitted):
        model, frame, table, label = fitted
        flipped = np.where(np.arange(400) % 7 == 0, 1 - label, label)
        outcome = Outcome(flipped, model.predict_proba(table), 1)
        found = mistakes.worst(outcome, frame, CONTRACT, ("no", "yes"), lambda value: str(value).encode())
        sure = [one["probability"] for one in found]
        assert sure == sorted(sure, reverse=True)
        assert all(one["true"] != one["predicted"] for one in found)
        assert "useless" not in found[0]["row"]
        assert bytes.fromhex(found[0]["row"]["key"]).startswith(b"k")
        assert len(found) == 20

    def test_a_long_text_is_cut(self, fitted):
        _, frame, *_ = fitted
        outcome = Outcome(np.zeros(1, int), np.array([[0.1, 0.9]]), 1)
        long = frame.head(1).with_columns(words=pl.lit("x" * 10_000))
        (only,) = mistakes.worst(outcome, long, CONTRACT, (0, 1), lambda _: None)
        assert len(only["row"]["words"]) == 401
