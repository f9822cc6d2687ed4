"""Candidates in their own processes: what is built, that it is safe to load, the same every time, and that one fails alone."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io

from samovar.contracts.spec import ContractSpec, FieldSpec
from samovar.kinds import custom, hist_gradient_boosting, logreg, mlp, nb_logreg, random_forest
from samovar.project import CandidateSpec
from samovar.scoring import trust
from samovar.training import builders, calibration, canonical, table
from samovar.training.fanout import ready, train_each
from samovar.training.job import Failed, Job, Trained
from samovar.training.outcomes import Outcome

CONTRACT = ContractSpec(
    name="Row",
    fields=(
        FieldSpec("key", "str", role="key"),
        FieldSpec("number", "float", nullable=True),
        FieldSpec("count", "int"),
        FieldSpec("maybe", "int", nullable=True),
        FieldSpec("flag", "bool"),
        FieldSpec("perhaps", "bool", nullable=True),
        FieldSpec("place", "str"),
        FieldSpec("grade", "int", choices=(1, 2, 3)),
        FieldSpec("at", "datetime"),
    ),
)


def frame(rows=240, seed=0):
    random = np.random.default_rng(seed)
    number = random.normal(size=rows)
    return pl.DataFrame(
        {
            "key": [f"k{index}" for index in range(rows)],
            "number": pl.Series(number).set(pl.Series(random.random(rows) < 0.1), None),
            "count": random.integers(0, 9, rows),
            "maybe": pl.Series(random.integers(0, 9, rows)).set(pl.Series(random.random(rows) < 0.2), None),
            "flag": random.random(rows) < 0.5,
            "perhaps": pl.Series(random.random(rows) < 0.5).set(pl.Series(random.random(rows) < 0.2), None),
            "place": random.choice(["north", "south", "east"], rows),
            "grade": random.integers(1, 4, rows),
            "at": pl.datetime_range(
                pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 1) + pl.duration(hours=rows - 1), "1h", eager=True
            ),
            "label": (number + random.normal(0, 0.5, rows) > 0.4).astype(int),
        }
    )


def job(*specs, rows=240, seed=3, data=None, timed=False):
    data = frame(rows) if data is None else data
    columns = table.columns(data, CONTRACT)
    labels = table.as_labels(data["label"])
    held_out = table.columns(frame(30, seed=9), CONTRACT)
    return Job(CONTRACT, specs, columns, labels, held_out, (0, 1), 1, "average_precision", timed, seed)


def train(a_job, at_once=2, report=None):
    return {one.name: one for one in train_each(a_job, at_once, report)}


@pytest.fixture(scope="module")
def trained():
    """One candidate of every kind, trained once."""
    forest, boosting = random_forest(trials=1, n_estimators=10), hist_gradient_boosting(trials=1, max_iter=20)
    return train(job(logreg(trials=2), forest, boosting, mlp(trials=1)))


class TestBuiltIn:
    def test_every_kind_trains_on_every_type_of_field(self, trained):
        assert set(trained) == {"logreg", "random_forest", "hist_gradient_boosting", "mlp"}
        for one in trained.values():
            assert isinstance(one, Trained), one
            assert one.held_out.shape == (30, 2)
            assert np.allclose(one.held_out.sum(axis=1), 1)
            assert one.selection > 0.6

    def test_every_kind_is_made_of_types_that_run_no_code(self, trained):
        for one in trained.values():
            assert trust.untrusted(one.model) == []

    def test_a_loaded_model_answers_as_the_trained_one_did(self, trained):
        rows = pd.DataFrame(table.columns(frame(30, seed=9), CONTRACT))
        for one in trained.values():
            model = skops.io.loads(one.model, trusted=one.types)
            assert np.allclose(model.predict_proba(rows), one.held_out, atol=1e-12)

    def test_missing_values_and_unknown_categories_are_answered(self, trained):
        odd = frame(4).with_columns(number=None, maybe=None, perhaps=None, place=pl.lit("nowhere"))
        columns = table.columns(odd.cast({"number": pl.Float64, "maybe": pl.Int64, "perhaps": pl.Boolean}), CONTRACT)
        for one in trained.values():
            assert np.isfinite(skops.io.loads(one.model, trusted=one.types).predict_proba(pd.DataFrame(columns))).all()

    def test_the_parameters_in_use_are_reported_even_when_they_are_the_defaults(self, trained):
        assert trained["hist_gradient_boosting"].params["learning_rate"] == 0.1
        assert trained["logreg"].params["C"] > 0

    def test_the_model_needs_what_it_needs(self, trained):
        assert set(trained["logreg"].requirements) == {"numpy", "pandas", "scikit-learn", "skops"}


def test_text_becomes_a_feature():
    contract = ContractSpec(name="Note", fields=(FieldSpec("note", "str", role="text"), FieldSpec("x", "float")))
    words = [f"{'good' if index % 2 else 'bad'} word{index % 40} thing{index % 7}" for index in range(80)]
    rows = pd.DataFrame({"note": words, "x": np.zeros(80)})
    for spec in (logreg(), logreg(pieces=True), nb_logreg(), hist_gradient_boosting()):
        model = builders.build(spec, contract, spec.params, seed=1).fit(rows, [index % 2 for index in range(80)])
        assert model.score(rows, [index % 2 for index in range(80)]) > 0.95
        assert trust.untrusted(canonical.dumps(model)) == []


def test_what_a_word_means_in_a_title_is_known_of_it_in_a_body():
    """Of all texts together and of each apart: the joined text is what brings the word over."""
    fields = (FieldSpec("body", "str", role="text"), FieldSpec("title", "str", role="text", nullable=True))
    rows = pd.DataFrame({"body": [f"page {row % 40}" for row in range(80)], "title": ["bad", "good"] * 40})
    asked = pd.DataFrame({"body": ["good", "bad"], "title": [None, None]})
    for spec, known in ((logreg(), True), (logreg(pieces=True), True), (nb_logreg(), False)):
        model = builders.build(spec, ContractSpec("Letter", fields), spec.params, seed=1).fit(rows, [0, 1] * 40)
        chance = model.predict_proba(asked)[:, 1]
        assert (chance[0] - chance[1] > 0.2) == known
        assert trust.untrusted(canonical.dumps(model)) == []


class TestSameAgain:
    def test_the_same_job_gives_the_same_bytes_and_figures(self):
        """Another process, another hash seed, other addresses, another order: the model file has the same digest."""
        specs = logreg(trials=2), hist_gradient_boosting(trials=2, max_iter=10), mlp(trials=1)
        first, second = train(job(*specs), at_once=1), train(job(*specs), at_once=3)
        for name, one in first.items():
            assert one.model == second[name].model
            assert one.params == second[name].params
            assert np.array_equal(one.out_of_fold.probabilities, second[name].out_of_fold.probabilities)

    def test_another_seed_gives_another_model(self, trained):
        assert train(job(mlp(trials=1), seed=4))["mlp"].model != trained["mlp"].model


class TestTime:
    def test_with_time_out_of_fold_figures_do_not_see_the_other_half_of_an_episode(self):
        """Labels are noise but for episodes: runs of like rows. Shuffled folds believe they can foretell them."""
        random = np.random.default_rng(5)
        episodes = pl.Series(np.repeat(random.normal(size=60), 8))
        labels = pl.Series(np.repeat(random.permutation([0, 1] * 30), 8))
        data = frame(480).with_columns(number=episodes, label=labels)
        forest = random_forest(trials=0, n_estimators=30, max_features=1.0, min_samples_leaf=1, max_samples=0.9)
        shuffled, timed = (train(job(forest, data=data, timed=one))["random_forest"].selection for one in (False, True))
        assert shuffled > 0.9
        assert timed < 0.65


class TestFailures:
    def test_a_candidate_fails_alone_and_says_why(self):
        found = train(
            job(logreg(trials=1), CandidateSpec("logreg", "broken", {"C": -1.0}, 1), CandidateSpec("magic", "magic", trials=1))
        )
        assert isinstance(found["logreg"], Trained)
        assert isinstance(found["broken"], Failed)
        assert "'C' parameter" in found["broken"].reason
        assert "unknown" in found["magic"].reason

    def test_a_killed_candidate_is_reported_and_the_others_go_on(self):
        found = train(job(custom("doomed", _suicide, trials=1), logreg(trials=1)))
        assert "SIGKILL" in found["doomed"].reason
        assert isinstance(found["logreg"], Trained)

    def test_a_builder_that_prints_disturbs_nothing(self):
        found = train(job(custom("loud", _loud, trials=1)))
        assert isinstance(found["loud"], Trained)

    def test_a_model_that_skops_cannot_store_says_so(self):
        found = train(job(custom("local", _unstorable, trials=1)))
        assert "stored by skops" in found["local"].reason

    def test_when_the_caller_is_killed_no_process_stays(self, tmp_path):
        script = tmp_path / "caller.py"
        script.write_text(
            textwrap.dedent(f"""
            import importlib.util, sys
            spec = importlib.util.spec_from_file_location("these_tests", {__file__!r})
            module = importlib.util.module_from_spec(spec)
            sys.modules["these_tests"] = module
            spec.loader.exec_module(module)
            def told(*_):
                print("training", flush=True)
            module.train(module.job(module.mlp(trials=500), module.random_forest(trials=500)), report=told)
            """)
        )
        caller = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE)
        assert caller.stdout.readline() == b"training\n"
        descendants = _descendants(caller.pid)
        assert len(descendants) == 4
        os.kill(caller.pid, signal.SIGKILL)
        caller.wait()
        caller.stdout.close()
        deadline = time.monotonic() + 10
        while left := [pid for pid in descendants if _lives(pid)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.02)


class TestReady:
    """Whoever trains several times loads the libraries once."""

    def test_jobs_inside_share_one_process(self):
        others = set(_descendants(os.getpid()))
        with ready():
            (first,) = set(_descendants(os.getpid())) - others
            assert isinstance(train(job(logreg(trials=1)))["logreg"], Trained)
            assert set(_descendants(os.getpid())) - others == {first}
            assert isinstance(train(job(logreg(trials=1), seed=5))["logreg"], Trained)
            assert set(_descendants(os.getpid())) - others == {first}
        assert set(_descendants(os.getpid())) <= others

    def test_one_that_was_killed_is_not_needed(self):
        others = set(_descendants(os.getpid()))
        with ready():
            (first,) = set(_descendants(os.getpid())) - others
            os.kill(first, signal.SIGKILL)
            os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
            assert isinstance(train(job(logreg(trials=1)))["logreg"], Trained)

    def test_a_caller_that_stops_listening_ends_the_work(self):
        others = set(_descendants(os.getpid()))
        with ready():
            for one in train_each(job(logreg(trials=1), mlp(trials=500)), 1):
                assert one.name == "logreg"
                break
            deadline = time.monotonic() + 10
            while left := set(_descendants(os.getpid())) - others:
                assert time.monotonic() < deadline, left
                time.sleep(0.02)


class TestCustom:
    def test_a_builder_from_a_project_file_that_nobody_can_import_arrives(self, tmp_path):
        path = tmp_path / "churn_project.py"
        path.write_text(
            textwrap.dedent("""
            from sklearn.compose import make_column_transformer
            from sklearn.linear_model import LogisticRegression
            from sklearn.pipeline import make_pipeline

            def build(contract, C=1.0):
                return make_pipeline(make_column_transformer(("passthrough", ["count"])), LogisticRegression(C=C))
            """)
        )
        spec = importlib.util.spec_from_file_location("churn_project", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["churn_project"] = module
        spec.loader.exec_module(module)
        try:
            found = train(job(custom("mine", module.build, space={"C": ("log", 0.1, 10.0)}, trials=3)))
        finally:
            del sys.modules["churn_project"]
        assert isinstance(found["mine"], Trained), found
        assert 0.1 <= found["mine"].params.get("C", 1.0) <= 10


class TestProgress:
    def test_each_candidate_goes_up_to_its_end(self):
        told = []
        train(job(logreg(trials=3), mlp(trials=1)), report=lambda *step: told.append(step))
        steps = [(done, total) for name, done, total, _ in told if name == "logreg"]
        assert steps == sorted(steps)
        assert steps[-1] == (5, 5)
        assert [best for name, _, _, best in told if name == "mlp"][-1] > 0.5


class TestCalibration:
    def outcome(self, twist):
        random = np.random.default_rng(5)
        true = random.beta(0.5, 3, size=3000)
        said = true**twist / (true**twist + (1 - true) ** twist)
        return Outcome((random.random(3000) < true).astype(int), np.column_stack([1 - said, said]), positive=1)

    def folds(self):
        rows = np.arange(3000)
        return [(rows[rows % 3 != one], rows[rows % 3 == one]) for one in range(3)]

    @pytest.mark.parametrize("wanted", ["auto", "sigmoid", "isotonic"])
    def test_overconfident_probabilities_are_mended(self, wanted):
        from samovar.training.metrics import ece_by_chance, value

        raw = self.outcome(twist=3.0)
        mended, method = calibration.mended(raw, logreg_like(), self.folds(), wanted)
        assert method == ("isotonic" if wanted == "isotonic" else "sigmoid")
        assert value("ece", mended) < ece_by_chance(mended, seed=1) < value("ece", raw)

    def test_honest_probabilities_are_left_alone_or_hardly_changed(self):
        raw = self.outcome(twist=1.0)
        mended, _ = calibration.mended(raw, logreg_like(), self.folds())
        assert np.abs(mended.score - raw.score).mean() < 0.01
        assert calibration.mended(raw, logreg_like(), self.folds(), "none") == (raw, None)

    def test_one_that_was_asked_for_is_made(self):
        one = train(job(hist_gradient_boosting(trials=0, max_iter=10, calibration="isotonic")))["hist_gradient_boosting"]
        assert one.calibration == "isotonic"
        assert trust.untrusted(one.model) == []
        model = skops.io.loads(one.model, trusted=one.types)
        assert model.calibrated_classifiers_[0].method == "isotonic"


def logreg_like():
    return builders.build(logreg(), CONTRACT, {}, seed=1)


def _suicide(_contract):
    os.kill(os.getpid(), signal.SIGKILL)


def _loud(contract):
    sys.stdout.write("look at me " * 1000)
    os.write(1, b"raw noise")
    return builders.build(logreg(), contract, {}, 1)


def _unstorable(contract):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    return make_pipeline(FunctionTransformer(lambda rows: rows), *builders.build(logreg(), contract, {}, 1))


def _descendants(pid):
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *_descendants(child)]
    return found


def _lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
