"""Studies in a storage: neither a kill nor company loses or repeats a trial; on each kind of database."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time

import optuna
import pytest

from samovar import settings as settings_module
from samovar.errors import SettingsError
from samovar.store import urls

PASSWORD = "correct-horse"

WORKER = """
import json, sys, time
from samovar.kinds import hist_gradient_boosting
from samovar.training.search import search
log, storage, trials, seconds = sys.argv[1:]

def judge(params, reached):
    begun = time.monotonic()
    with open(log, "a") as file:
        file.write(json.dumps(params, sort_keys=True) + "\\n")
    while time.monotonic() < begun + float(seconds):
        pass
    return {"metric": params.get("learning_rate", 0.5)}

found = search(hist_gradient_boosting(trials=int(trials)), judge, seed=1, storage=storage, study="one")
print(json.dumps([found.chosen, len(found.trials)]))
"""


def worker(log, storage, trials=8, seconds=0.02):
    command = [sys.executable, "-c", WORKER, log, storage, str(trials), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finished(storage):
    try:
        study = optuna.load_study(study_name="one", storage=storage)
    except Exception:  # noqa: BLE001 - the tables are not all there yet
        return {}
    return {one.number: one.user_attrs["params"] for one in study.trials if one.state.is_finished() and one.values}


class TestShared:
    @pytest.fixture(params=["sqlite", "postgresql"])
    def storage(self, request, tmp_path):
        if request.param == "sqlite":
            return f"sqlite:///{tmp_path}/optuna.db"
        url = request.getfixturevalue("postgres").create_database()
        return url.replace("postgresql://samovar@", f"postgresql+psycopg2://samovar:{PASSWORD}@")

    def test_killed_at_a_random_time_it_goes_on_and_loses_and_repeats_nothing(self, storage, tmp_path):
        log = tmp_path / "log"
        first = worker(log, storage)
        moment = random.Random()
        while not finished(storage):
            assert first.poll() is None
            time.sleep(0.05)
        time.sleep(moment.uniform(0, 0.15))
        first.kill()
        first.communicate()
        before = finished(storage)
        second = worker(log, storage)
        chosen, count = json.loads(second.communicate()[0])
        after = finished(storage)
        assert second.returncode == 0
        assert count == len(after) == 8
        assert before.items() <= after.items()
        assert len({json.dumps(params, sort_keys=True) for params in after.values()}) == 8
        assert len(log.read_text().splitlines()) <= 9  # the one that was killed is done again
        assert after[chosen].get("learning_rate", 0.5) == max(params.get("learning_rate", 0.5) for params in after.values())

    def test_two_processes_do_the_budget_together(self, storage, tmp_path):
        log = tmp_path / "log"
        both = [worker(log, storage, trials=10, seconds=0.1) for _ in range(2)]
        answers = [json.loads(one.communicate()[0]) for one in both]
        assert answers[0] == answers[1]
        assert answers[0][1] == 10
        assert len(log.read_text().splitlines()) == 10
        assert len({json.dumps(params, sort_keys=True) for params in finished(storage).values()}) == 10


class TestUrl:
    def test_it_is_completed_as_the_app_databases_is(self):
        settings = settings_module.load(optuna_storage="postgresql://db/optuna", postgres_password="hush", _env_file=None)
        assert urls.study_url(settings) == "postgresql+psycopg2://samovar:hush@db/optuna"
        assert urls.study_url(settings_module.load(optuna_storage="sqlite:////tmp/o.db", _env_file=None)) == "sqlite:////tmp/o.db"
        assert urls.study_url(settings_module.load(_env_file=None)) is None

    @pytest.mark.parametrize("wrong", ["no url", "sqlite://", "mysql://db/optuna"])
    def test_what_is_no_such_database_is_refused(self, wrong):
        with pytest.raises(SettingsError, match="OPTUNA_STORAGE"):
            urls.study_url(settings_module.load(optuna_storage=wrong, _env_file=None))
