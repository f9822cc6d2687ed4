"""A set of parameters judged: what it costs is the compiled scorer's time, and a stop on the way changes nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from samovar.contracts.spec import ContractSpec, FieldSpec
from samovar.kinds import custom, hist_gradient_boosting, logreg, random_forest
from samovar.project import Search
from samovar.training import builders, cost
from samovar.training.calibration import calibrated
from samovar.training.job import Job
from samovar.training.judge import RUNG, Judge

CONTRACT = ContractSpec(name="Row", fields=(FieldSpec("x", "float", nullable=True), FieldSpec("place", "str", choices=("a", "b"))))


def job(spec, rows=300, **plan):
    random = np.random.default_rng(1)
    x = random.normal(size=rows)
    labels = (x + random.normal(0, 0.7, rows) > 0).astype(int)
    columns = {"x": np.where(random.random(rows) < 0.1, np.nan, x), "place": random.choice(["a", "b"], rows).astype(object)}
    return Job(CONTRACT, (spec,), columns, labels, columns, (0, 1), 1, "roc_auc", False, 1, search=Search(**plan))


def judge(spec, folds=2, *, rungs=False, **plan):
    a_job = job(spec, **plan)
    rows = np.arange(300)
    parts = [(rows[rows % folds != one], rows[rows % folds == one]) for one in range(folds)]
    frame = pd.DataFrame(dict(a_job.train))
    return Judge(
        a_job, lambda params: builders.build(spec, CONTRACT, params, 1), rows=frame, truth=a_job.labels, folds=parts, rungs=rungs
    )


@pytest.mark.parametrize("spec", [hist_gradient_boosting(max_iter=20), random_forest(n_estimators=12)], ids=lambda spec: spec.kind)
def test_a_stop_at_a_quarter_changes_nothing_about_what_comes_of_it(spec):
    reached = []
    stepped = judge(spec, rungs=True)(dict(spec.params), lambda *step: reached.append(step))
    assert stepped == judge(spec)(dict(spec.params), lambda *_step: None)
    assert [step for step, _ in reached] == [RUNG, 1]
    assert 0.5 < reached[0][1] < 1


def test_costs_are_measured_where_they_are_asked_for():
    assert judge(logreg())({}, lambda *_step: None).keys() == {"metric"}
    found = judge(logreg(), objectives=("metric", "latency", "size"))({}, lambda *_step: None)
    assert 0 < found["error"] < 0.1
    assert 0 < found["latency"] < 1000
    assert found["size"] > 500
    assert "error" not in judge(logreg(), objectives=("metric", "size"), tolerance=0.01)({}, lambda *_step: None)


class TestCost:
    def fitted(self, spec):
        a_job = job(spec)
        rows = pd.DataFrame(dict(a_job.train))
        return builders.build(spec, CONTRACT, spec.params, 1).fit(rows, a_job.labels), rows

    def test_a_model_that_compiles_is_measured_compiled(self):
        small, large = (
            cost.measure(*_swapped(self.fitted(random_forest(n_estimators=number, min_samples_leaf=1)))) for number in (2, 60)
        )
        assert small.compiled
        assert large.compiled
        assert small.size_bytes * 5 < large.size_bytes
        assert 0 < small.latency_us < 1000

    @pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
    def test_a_calibrated_one_compiles(self, method):
        a_job = job(logreg())
        rows = pd.DataFrame(dict(a_job.train))
        folds = [(np.arange(150), np.arange(150, 300)), (np.arange(150, 300), np.arange(150))]
        model = calibrated(builders.build(logreg(), CONTRACT, {}, 1), folds, method).fit(rows, a_job.labels)
        assert cost.measure(model, CONTRACT, rows).compiled

    def test_one_that_does_not_compile_is_measured_as_it_is(self):
        estimator, rows = self.fitted(custom("odd", _odd))
        measured = cost.measure(estimator, CONTRACT, rows)
        assert not measured.compiled
        assert measured.latency_us > 50


def _swapped(pair):
    estimator, rows = pair
    return estimator, CONTRACT, rows


def _odd(_contract):
    from sklearn.compose import make_column_transformer
    from sklearn.gaussian_process import GaussianProcessClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(make_column_transformer((SimpleImputer(), ["x"])), GaussianProcessClassifier(optimizer=None))
