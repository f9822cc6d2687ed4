"""The loop by its commands, against a real MLflow server: what a person types, and what a machine reads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SAMOVAR = str(Path(sys.executable).with_name("samovar"))


pytestmark = pytest.mark.timeout(300)  # each command is a process of its own, on a machine that may be busy


@pytest.fixture(scope="module")
def samovar(tmp_path_factory, mlflow_server):
    """Run a command in a workspace of this module's own; returns its document."""
    folder = tmp_path_factory.mktemp("workspace")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SAMOVAR_", "MLFLOW_"))}
    environment["MLFLOW_TRACKING_URI"] = mlflow_server

    def run(*words, code=0, person=False, **variables):
        words = words if person else (*words, "--json")
        ended = subprocess.run(
            [SAMOVAR, *words], cwd=folder, env=environment | variables, capture_output=True, text=True, timeout=200, check=False
        )
        assert ended.returncode == code, ended.stderr
        return ended.stdout if person else json.loads(ended.stdout)

    run.folder = folder
    return run


@pytest.fixture(scope="module")
def trained(samovar):
    """Document of the training of a scaffolded project, of which not a line was changed."""
    samovar("init", "tour")
    ingested = samovar("ingest", "tour")
    assert (ingested["status"], ingested["rows"], ingested["rejected"]) == ("done", 3000, 0)
    part = samovar("train", "tour", "--kind", "logreg")
    assert {"run_id", "value", "interval", "selection", "training"} <= part.keys()
    assert samovar("select", "tour", SELECTED_MODEL_KINDS="hist_gradient_boosting", code=1)["error"]["kind"] == "NotFound"
    return samovar("select", "tour")


def test_a_scaffold_goes_through_the_loop_before_a_line_of_it_is_changed(samovar, trained):
    assert (trained["version"], trained["kind"]) == (1, "logreg")
    promoted = samovar("promote", "tour", "--require")
    assert (promoted["verdict"], promoted["applied"]) == ("approved", True)
    assert {row["alias"]: row["version"] for row in samovar("alias", "list", "tour")["aliases"]} == {
        "Candidate": 1,
        "Production": 1,
    }
    refused = samovar("rollback", "tour", code=1)["error"]
    assert refused["kind"] == "Refused"
    assert "no earlier version" in refused["message"]


def test_a_step_done_before_says_so_to_people_and_machines(samovar):
    assert samovar("ingest", "wine")["status"] == "done"
    assert samovar("ingest", "wine")["status"] == "unchanged"
    assert "178 rows accepted, 0 in quarantine (unchanged" in samovar("ingest", "wine", person=True)


def test_artifacts_and_aliases_are_handled_by_hand(samovar, trained):
    (samovar.folder / "note.txt").write_text("by hand")
    assert samovar("artifact", "upload", "tour/1", "note.txt", "--to", "notes")["written"] == ["notes/note.txt"]
    listed = samovar("artifact", "list", "tour@Candidate")["artifacts"]
    assert {"notes/note.txt", "model/data_contract/input_schema.json"} <= set(listed)
    samovar("artifact", "download", "tour/1", "notes", "--to", "back")
    assert (samovar.folder / "back" / "notes" / "note.txt").read_text() == "by hand"

    samovar("alias", "set", "tour", "Shadow", "1")
    assert "tour@Shadow is gone" in samovar("alias", "delete", "tour", "Shadow", person=True)
    assert samovar("alias", "set", "tour", "Shadow", "7", code=1)["error"]["kind"] == "NotFound"
    assert samovar("trust", "tour/1")["status"] == "done"
    kinds = [event["kind"] for event in samovar("events", "--model", "tour")["events"]]
    assert kinds.count("trust") == 1
    assert {"set", "delete"} <= set(kinds), "aliases set and deleted by hand are decisions"


def test_what_answers_for_a_version_is_explained(samovar, trained):
    said = samovar("compile", "tour/1")
    assert said["engine"] == "compiled"
    assert {"native_row_us", "row_us", "nodes", "steps"} <= said["explanation"].keys()
    assert said["explanation"]["steps"][0] == "Pipeline"
    told = samovar("compile", "tour@Candidate", "--explain", person=True)
    assert "tour version 1: compiled." in told
    assert "Microseconds a row" in told
    off = samovar("compile", "tour/1", SAMOVAR_COMPILE="off")
    assert (off["engine"], off["explanation"]["nodes"]) == ("sklearn", [])
    assert samovar("compile", "tour/7", code=1)["error"]["kind"] == "NotFound"


def test_mlflow_that_cannot_be_reached_is_one_clear_error(samovar):
    """Found out before minutes of training, and after no long wait."""
    samovar("ingest", "iris")
    for words in (("train", "iris"), ("models",), ("alias", "set", "m", "Production", "1")):
        error = samovar(*words, code=1, MLFLOW_TRACKING_URI="http://127.0.0.1:9")["error"]
        assert error["kind"] == "RegistryUnavailable"
        assert error["remedy"]
