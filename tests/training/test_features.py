"""Prepared rows on disk: the same model with and without them, shared by candidates, safe against kills, bounded."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from samovar.contracts.spec import ContractSpec, FieldSpec
from samovar.kinds import hist_gradient_boosting, logreg, mlp
from samovar.project import CandidateSpec
from samovar.training import builders, candidate
from samovar.training.features import Cached, Features
from samovar.training.featurestore import FeatureStore
from samovar.training.job import FeatureFolder, Job

NOTE = ContractSpec(name="Note", fields=(FieldSpec("note", "str", role="text"), FieldSpec("x", "float", nullable=True)))


def job(*specs, folder=None, rows=240, seed=3, shift=0.0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows)
    words = np.array(["awful", "great"])[(labels + (random.random(rows) < 0.25)) % 2]
    notes = np.array([f"{word} word{index % 40} thing{index % 7}" for index, word in enumerate(words)], dtype=object)
    x = random.normal(size=rows) + labels + shift
    train, held_out = slice(0, rows - 40), slice(rows - 40, rows)
    features = None if folder is None else FeatureFolder(str(folder), 50_000_000, "code")
    columns = [{"note": notes[part], "x": x[part]} for part in (train, held_out)]
    return Job(NOTE, specs, columns[0], labels[train], columns[1], (0, 1), 1, "average_precision", False, seed, features=features)


def train(a_job, spec):
    return candidate.Candidate(a_job, spec, lambda _progress: None).train()


def entries(folder):
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


SPECS = logreg(trials=3), hist_gradient_boosting(trials=7, max_iter=12), mlp(trials=1)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Each kind trained without the cache, with an empty one, and with one that holds everything."""
    folder = tmp_path_factory.mktemp("features")
    found = {}
    for spec in SPECS:
        without = train(job(), spec)
        empty = train(job(folder=folder), spec)
        known = entries(folder)
        found[spec.name] = without, empty, train(job(folder=folder), spec), known == entries(folder)
    return folder, found


class TestTheSame:
    def test_the_model_has_the_same_bytes_with_and_without_the_cache(self, both):
        for without, empty, full, _ in both[1].values():
            assert without.model == empty.model == full.model
            assert without.params == full.params
            assert np.array_equal(without.held_out, full.held_out)
            assert np.array_equal(without.out_of_fold.probabilities, full.out_of_fold.probabilities)

    def test_what_is_there_is_not_made_again(self, both):
        assert all(unchanged for *_, unchanged in both[1].values())

    def test_kinds_of_one_preparation_share_its_entries(self, both):
        folder, _ = both
        known = entries(folder)
        train(job(folder=folder), hist_gradient_boosting(trials=1, max_iter=5))
        assert entries(folder) == known

    def test_a_calibrated_model_is_whole(self, tmp_path):
        spec = CandidateSpec("hist_gradient_boosting", "sure", {"max_iter": 60, "learning_rate": 0.5, "min_samples_leaf": 2}, 0)
        without, cached = train(job(seed=5), spec), train(job(seed=5, folder=tmp_path / "f"), spec)
        assert cached.calibration == without.calibration == "sigmoid"
        assert without.model == cached.model


class TestKeys:
    def prepared(self, folder, spec=SPECS[0], **options):
        a_job = job(folder=folder, **options)
        rows = pd.DataFrame(dict(a_job.train))
        model = Cached(builders.build(spec, NOTE, {}, 1), Features(a_job)).fit(rows.iloc[:120], a_job.labels[:120])
        return model.prepared_

    def test_other_rows_parameters_or_code_are_other_entries(self, tmp_path):
        known = self.prepared(tmp_path).key
        assert self.prepared(tmp_path).key == known
        assert self.prepared(tmp_path, shift=1e-9).key != known
        assert self.prepared(tmp_path, spec=SPECS[1]).key != known
        a_job = job(folder=tmp_path)
        other = replace(a_job, features=replace(a_job.features, code="other"))
        rows = pd.DataFrame(dict(a_job.train)).iloc[:120]
        assert Features(other).fit(builders.build(SPECS[0], NOTE, {}, 1)[:-1], rows, a_job.labels[:120]).key != known

    def test_a_preparation_is_never_fitted_on_rows_it_is_judged_on(self, tmp_path):
        """A word that only the last rows have is in nobody's vocabulary who was fitted on the others."""
        a_job = job(folder=tmp_path)
        rows = pd.DataFrame(dict(a_job.train))
        rows.loc[120:, "note"] = "unseen unseen"
        model = Cached(builders.build(SPECS[0], NOTE, {}, 1), Features(a_job)).fit(rows.iloc[:120], a_job.labels[:120])
        vocabulary = model.prepared_.preparation[-1].named_transformers_["text_note"].vocabulary_
        assert "great" in vocabulary
        assert "unseen" not in vocabulary

    def test_a_preparation_that_nobody_can_describe_is_made_each_time(self, tmp_path):
        a_job = job(folder=tmp_path / "features")
        rows = pd.DataFrame(dict(a_job.train))
        features = Features(a_job)
        prepared = features.fit(Pipeline([("odd", FunctionTransformer(lambda frame: frame[["x"]] * 2))]), rows, a_job.labels)
        assert prepared.key is None
        assert np.array_equal(features.apply(prepared, rows), rows[["x"]] * 2)
        assert not (tmp_path / "features").exists()


class TestStore:
    @pytest.fixture
    def store(self, tmp_path):
        return FeatureStore(tmp_path, 1_000_000)

    def test_what_is_too_large_is_not_written_at_all(self, tmp_path):
        assert not FeatureStore(tmp_path / "kept", 1000).put("large", np.zeros(200))
        assert not (tmp_path / "kept").exists()

    def test_dense_and_sparse_come_back_as_they_were(self, store):
        dense = np.asfortranarray(np.arange(12.0).reshape(3, 4))
        thin = sparse.random(50, 30, 0.1, format="csr", random_state=1)
        for key, matrix in (("a" * 64, dense), ("b" * 64, thin), ("c" * 64, sparse.csr_array(thin))):
            assert store.put(key, matrix, {"fitted": key})
            found, companion = store.get(key)
            assert type(found) is type(matrix)
            assert found.dtype == matrix.dtype
            assert (found != matrix).sum() == 0
            assert pickle.loads(companion) == {"fitted": key}

    def test_work_in_place_does_not_change_what_is_kept(self, store):
        store.put("a" * 64, np.zeros((4, 4)))
        store.get("a" * 64)[0][:] = 7
        assert store.get("a" * 64)[0].sum() == 0

    def test_the_least_recently_used_makes_room(self, tmp_path):
        store = FeatureStore(tmp_path, 300_000)
        for moment, key in enumerate("abc"):
            store.put(key * 64, np.zeros(12_000))
            os.utime(tmp_path / (key * 64), (moment, moment))
        store.get("a" * 64)
        store.put("d" * 64, np.zeros(12_000))
        assert entries(tmp_path) == {"a" * 64, "d" * 64, "c" * 64}
        assert not store.put("e" * 64, np.zeros(40_000))
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".draft")]

    def test_a_damaged_entry_is_as_good_as_none(self, store, tmp_path):
        store.put("a" * 64, np.zeros(1000))
        path = tmp_path / ("a" * 64) / "dense.npy"
        path.write_bytes(path.read_bytes()[:-8] + b"\1" * 8)
        assert FeatureStore(tmp_path, 1_000_000).get("a" * 64) is None
        assert entries(tmp_path) == set()

    def test_an_entry_that_others_could_have_written_is_not_taken(self, store, tmp_path):
        store.put("a" * 64, np.zeros(1000))
        (tmp_path / ("a" * 64)).chmod(0o777)
        assert store.get("a" * 64) is None

    def test_a_kill_leaves_no_half_entry_and_what_it_leaves_is_removed(self, tmp_path):
        script = (
            "import os, signal, sys, numpy as np; from pathlib import Path; from samovar.training import featurestore as f\n"
            "f._sum = lambda path: os.kill(os.getpid(), signal.SIGKILL)\n"
            "f.FeatureStore(Path(sys.argv[1]), 10**6).put('a' * 64, np.zeros(1000))"
        )
        ended = subprocess.run([sys.executable, "-c", script, tmp_path], check=False)
        assert ended.returncode == -9
        assert [path for path in tmp_path.iterdir() if path.name.startswith(".draft")]
        store = FeatureStore(tmp_path, 1_000_000)
        assert store.get("a" * 64) is None
        assert store.put("b" * 64, np.zeros(10))
        assert entries(tmp_path) == {"b" * 64}
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".draft")]

    def test_two_processes_make_an_entry_once(self, tmp_path):
        script = (
            "import sys, numpy as np; from pathlib import Path; from samovar.training.featurestore import FeatureStore\n"
            "store = FeatureStore(Path(sys.argv[1]), 10**6)\n"
            "sys.stdin.readline()\n"
            "for number in range(20):\n"
            "    key = f'{number:064d}'\n"
            "    with store.lock(key):\n"
            "        if store.get(key) is None:\n"
            "            print(number, flush=True); store.put(key, np.zeros(1000))\n"
        )
        command = [sys.executable, "-c", script, tmp_path]
        both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        for one in both:
            one.stdin.write("\n")
            one.stdin.flush()
        made = [int(line) for one in both for line in one.communicate()[0].split()]
        assert sorted(made) == list(range(20))
