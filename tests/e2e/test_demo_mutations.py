"""The demo's black box is no decoration: with one mechanism broken, the demo must fail on the check that speaks of it.

The twin without a mutation is in `test_demo`: the same command, all checks held.
"""

from __future__ import annotations

import json
import sys

import pytest

pytestmark = pytest.mark.e2e

START = """
import sys
from samovar.cli.main import main
sys.argv = ["samovar", "demo", "--project", "iris", "--json"]
sys.exit(main())
"""

GATE_SKIPPED = """
from dataclasses import replace
from samovar.training import gate
honest = gate.decide_all
def decide_all(*args, **kwargs):
    return [replace(one, passed=True) for one in honest(*args, **kwargs)]
gate.decide_all = decide_all
"""

ALIAS_SWAPPED = """
import mlflow
from samovar import addresses
from samovar.demo import acts, run
honest = acts.rollback
def rollback(story):
    honest(story)
    for one in story.claims:
        client = mlflow.MlflowClient(addresses.tracking_uri(story.settings))
        client.set_registered_model_alias(one.project.model, one.project.alias, str(one.weak))
run.ACTS = tuple((title, rollback if act is honest else act) for title, act in run.ACTS)
"""

DRIFT_MISSED = """
from msgspec.structs import replace
from samovar.monitoring import drift
honest = drift.compare
def compare(*args, **kwargs):
    return replace(honest(*args, **kwargs), verdict="ok")
drift.compare = compare
"""


def play(home, mutation):
    """Play the demo for iris with a mutation applied first; return the exit code and the promises that did not hold."""
    told = home.run(sys.executable, "-c", mutation + START, timeout=300)
    assert told.stdout, told.stderr
    document = json.loads(told.stdout)
    assert len(document["checks"]) > 1, told.stdout + told.stderr
    return told.returncode, document, {check["promise"] for check in document["checks"] if not check["held"]}


def test_a_gate_that_lets_everything_pass_is_found_out(home):
    """The weak challenger is approved, so that its refusal is missing."""
    code, document, broken = play(home, GATE_SKIPPED)
    assert code == 1
    assert document["passed"] is False
    assert "a weaker challenger was refused by the gate" in broken


def test_an_alias_moved_behind_everybodys_back_is_found_out(home):
    """After the rollback the alias points elsewhere, by no decision of Samovar."""
    code, document, broken = play(home, ALIAS_SWAPPED)
    assert code == 1
    assert document["passed"] is False
    assert "after the rollback the alias points to the first champion" in broken


def test_drift_that_raises_no_alarm_is_found_out(home):
    """The judge measures the drift itself; a report that says ok is a broken promise, and nothing retrains."""
    code, document, broken = play(home, DRIFT_MISSED)
    assert code == 1
    assert document["passed"] is False
    assert "drift raised the alarm, the undrifted rows did not" in broken
    assert [title for title, _ in document["failed_acts"]] == ["Retrained without anybody's help", "Rollback"]
