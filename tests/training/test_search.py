"""The search: its budget, what ends a trial early, and which trial is taken."""

from __future__ import annotations

import time

import pytest

from samovar.errors import ModelError, ProjectError, StoreUnavailable
from samovar.kinds import hist_gradient_boosting, logreg
from samovar.project import Search
from samovar.training import choice
from samovar.training.choice import Trial
from samovar.training.search import search

ALL = ("metric", "latency", "size")


def judging(function):
    return lambda params, _reached: {"metric": function(params)}


class TestBudget:
    def test_it_begins_with_the_defaults_and_never_ends_below_them(self):
        tried = []
        found = search(hist_gradient_boosting(trials=3), judging(lambda params: tried.append(dict(params)) or -len(tried)), seed=1)
        assert (found.params, found.chosen) == ({}, 0)
        assert tried[0] == {}
        assert len(tried) == 3

    def test_a_fixed_parameter_is_not_searched(self):
        assert search(logreg(C=7.0), judging(lambda _params: pytest.fail("nothing to search")), seed=1).params == {"C": 7.0}

    def test_the_projects_number_of_trials_goes_before_the_kinds(self):
        found = search(logreg(trials=2), judging(lambda _params: 0.5), seed=1, plan=Search(trials=4))
        assert len(found.trials) == 4

    def test_time_that_is_up_ends_it_after_a_trial(self):
        found = search(logreg(trials=50), judging(lambda _params: time.sleep(0.002) or 0.5), seed=1, plan=Search(minutes=1e-5))
        assert len(found.trials) == 1

    def test_a_poor_trial_ends_early_and_counts(self):
        def judge(params, reached):
            judged.append(params)
            reached(1, -float(len(judged)))
            return {"metric": -float(len(judged))} | dict.fromkeys(plan.objectives[1:], 1.0)

        for objectives in (("metric",), ALL):
            judged, plan = [], Search(objectives=objectives, trials=14, tolerance=0.0)
            found = search(hist_gradient_boosting(), judge, seed=1, plan=plan)
            assert len(found.trials) == len(judged) == 14
            assert [one.number for one in found.trials if one.pruned] == list(range(5, 14))
            assert found.chosen == 0

    def test_a_trial_without_a_figure_counts_and_is_never_taken(self):
        values = iter([float("nan"), 0.5, float("nan")])
        found = search(logreg(trials=3), judging(lambda _params: next(values)), seed=1)
        assert (len(found.trials), found.chosen) == (3, 1)

    def test_a_search_without_any_figure_ends(self):
        with pytest.raises(ModelError, match="no trial"):
            search(logreg(trials=2), judging(lambda _params: float("nan")), seed=1)

    @pytest.mark.parametrize(
        "wrong", [{"objectives": ("latency",)}, {"objectives": ("metric", "beauty")}, {"trials": 0}, {"minutes": -1.0}]
    )
    def test_a_plan_that_makes_no_sense_is_refused(self, wrong):
        with pytest.raises(ProjectError):
            Search(**wrong)


class TestChoice:
    TRIALS = (
        Trial(0, {}, metric=0.90, error=0.01, latency_us=40.0, size_bytes=4e6),
        Trial(1, {}, metric=0.895, error=0.01, latency_us=10.0, size_bytes=2e6),
        Trial(2, {}, metric=0.893, error=0.01, latency_us=11.0, size_bytes=1e6),
        Trial(3, {}, metric=0.80, error=0.01, latency_us=1.0, size_bytes=1e5),
        Trial(4, {}, metric=0.79, error=0.01, latency_us=2.0, size_bytes=1e6),
        Trial(5, {}, pruned=True),
    )

    def test_the_front_holds_what_nothing_beats(self):
        assert [one.number for one in choice.front(self.TRIALS, ALL)] == [0, 1, 2, 3]
        assert [one.number for one in choice.front(self.TRIALS, ("metric",))] == [0]

    def test_of_those_as_good_as_the_best_the_cheapest_is_taken_and_noise_is_no_difference(self):
        chosen, reason = choice.choose(self.TRIALS, Search(objectives=ALL))
        assert chosen.number == 2
        assert "0.8930" in reason
        assert "one standard error" in reason
        assert "11.0 us a row, 1.00 MB instead of 40.0 us a row, 4.00 MB" in reason

    def test_a_stated_tolerance_goes_before_the_error(self):
        assert choice.choose(self.TRIALS, Search(objectives=ALL, tolerance=0.0))[0].number == 0
        assert choice.choose(self.TRIALS, Search(objectives=ALL, tolerance=0.2))[0].number == 3

    def test_the_metric_alone_takes_the_best(self):
        assert choice.choose(self.TRIALS, Search())[0].number == 0


def test_a_storage_that_cannot_be_used_is_one_line_without_its_password():
    with pytest.raises(StoreUnavailable, match="OPTUNA_STORAGE") as caught:
        search(logreg(), judging(lambda _params: 0.0), seed=1, storage="postgresql://me:hush@127.0.0.1:9/none", study="one")
    assert "hush" not in str(caught.value)
