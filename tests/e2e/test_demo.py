"""The demo plays the whole loop, and says so only when every check held."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.e2e

PROMISES = 15
"""Checks the black box makes of each project."""


def test_the_demo_closes_the_loop_for_both_projects_and_leaves_nothing_running(home):
    """`samovar demo` exits 0, ends with a table in which every line says yes, and takes its stack down."""
    told = home.samovar("demo", timeout=300)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Verified from outside" in told.stdout
    assert "The loop is closed." in told.stdout
    assert " NO " not in told.stdout
    assert told.stdout.count(" yes ") == 2 * PROMISES
    home.assert_nothing_left()


@pytest.fixture(scope="module")
def kept(new_home):
    """The demo of one project, told to a machine, with its stack left running."""
    home = new_home()
    told = home.samovar("demo", "--project", "iris", "--keep", "--json", timeout=300)
    assert told.returncode == 0, told.stdout + told.stderr
    return home, json.loads(told.stdout)


def test_json_lists_every_check_and_nothing_else(kept):
    """With --json the output is one document: passed, and each check of the project as held."""
    _, document = kept
    assert document["passed"] is True
    assert document["failed_acts"] == []
    assert len(document["checks"]) == PROMISES
    assert [check for check in document["checks"] if not check["held"]] == []
    assert {check["project"] for check in document["checks"]} == {"iris"}


def test_a_kept_demo_runs_until_it_is_stopped(kept):
    """--keep leaves the stack up; a second demo refuses to touch it and says how to stop it; `down` ends it."""
    home, _ = kept
    assert home.processes()
    assert "down" in home.refused("demo", "--project", "iris", code=1)
    ports = home.ports()
    stopped = home.samovar("--home", str(home.state / "demo"), "down")
    assert stopped.returncode == 0, stopped.stderr
    home.assert_nothing_left(ports)
