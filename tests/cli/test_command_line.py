"""The command line as people and machines meet it: words, exit codes, one document on standard output."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SAMOVAR = str(Path(sys.executable).with_name("samovar"))


@pytest.fixture
def samovar(tmp_path, monkeypatch):
    """Run the program in an empty folder, with no settings but those of a test."""
    for name in [name for name in os.environ if name.startswith(("SAMOVAR_", "MLFLOW_", "LOG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words, **variables):
        environment = os.environ | {name: str(value) for name, value in variables.items()}
        return subprocess.run(
            [SAMOVAR, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    run.folder = tmp_path
    return run


def _one_line(ended):
    """The error, which is one line however long, on standard error alone."""
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def test_help_answers_well_under_a_second_and_imports_no_heavy_library(samovar):
    heavy = {"mlflow", "polars", "sklearn", "pandas", "sqlalchemy", "optuna", "pydantic"}
    code = f"import sys; from samovar.cli.main import main; main(['--help']); print(set(sys.modules) & {heavy})"
    started = time.perf_counter()
    ended = samovar("--help")
    assert time.perf_counter() - started < 2.0  # measured: 0.4 s
    assert ended.returncode == 0
    for word in ("ingest", "train", "promote", "up", "down", "status", "demo", "alias", "rollback"):
        assert word in ended.stdout
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert listed.endswith("set()\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ingest"], "Missing argument 'PROJECT'"),
        (["nope"], "No such command 'nope'"),
        (["train", "iris", "--bogus"], "No such option: --bogus"),
        (["alias", "set", "m", "Production", "zero"], "Invalid value for 'VERSION'"),
        (["alias", "set", "m", "Production", "0"], "Invalid value for 'VERSION'"),
        (["artifact", "list", "flowers"], "'flowers' names no version"),
        (["trust", "flowers/x"], "'flowers/x' names no version"),
        (["logs", "--follow", "--json"], "has no end"),
        (["init", "Not-A-Name"], "cannot name a project"),
        (["init", "json"], "name of a Python module"),
        (["init", "iris"], "a project iris already"),
    ],
)
def test_wrong_usage_is_one_line_with_what_to_do_and_exit_code_2(samovar, words, says):
    ended = samovar(*words)
    assert ended.returncode == 2
    assert says in _one_line(ended)


def test_a_group_without_a_command_shows_its_help_and_no_error(samovar):
    for words in ([], ["alias"], ["drift"]):
        ended = samovar(*words)
        assert ended.returncode == 2
        assert "Usage:" in ended.stdout + ended.stderr
        assert "error:" not in ended.stderr


def test_a_wrong_setting_is_named_and_its_value_is_not_shown(samovar):
    ended = samovar("status", MLFLOW_PORT="hunter2")
    assert ended.returncode == 2
    assert "MLFLOW_PORT" in _one_line(ended)
    assert "hunter2" not in ended.stderr


def test_init_writes_a_project_that_is_found_and_whose_rows_fit_its_contract(samovar):
    """The scaffold is the first thing a newcomer runs: it must work before a line of it is changed."""
    made = samovar("init", "my_churn", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["file"] == str(samovar.folder / "my_churn.py")
    listed = {row["name"]: row for row in json.loads(samovar("projects", "--json").stdout)["projects"]}
    assert listed["my_churn"]["error"] == ""
    assert listed["my_churn"]["description"] == "Customers, and whether they left."
    check = (
        "import samovar as sv; from samovar import workspace; from samovar.contracts.check import check\n"
        "p = workspace.find('my_churn'); c = check(p.source(sv.Window()), p.contract, target=p.target, time=p.time)\n"
        "print(c.accepted.height, c.bad_rows, c.accepted['churned'].mean() > 0.05)"
    )
    ended = subprocess.run([sys.executable, "-c", check], cwd=samovar.folder, capture_output=True, text=True, check=True)
    assert ended.stdout == "3000 0 True\n"


def test_init_never_overwrites(samovar):
    (samovar.folder / "mine.py").write_text("precious")
    ended = samovar("init", "mine")
    assert ended.returncode == 1
    assert "exists and is left as it is" in _one_line(ended)
    assert (samovar.folder / "mine.py").read_text() == "precious"
    assert not (samovar.folder / "samovar.toml").exists()


def test_init_that_cannot_register_leaves_no_file(samovar):
    (samovar.folder / "samovar.toml").write_text("[projects\n")
    ended = samovar("init", "mine")
    assert ended.returncode == 2
    assert "samovar.toml is not valid TOML" in _one_line(ended)
    assert sorted(path.name for path in samovar.folder.iterdir()) == ["samovar.toml"]


def test_a_broken_project_is_listed_with_its_error_beside_the_others(samovar):
    (samovar.folder / "samovar.toml").write_text('[projects]\nbroken = "broken.py:broken"\n')
    (samovar.folder / "broken.py").write_text("print('noise')\nboom = 1 / 0\n")
    ended = samovar("projects", "--json")
    rows = {row["name"]: row for row in json.loads(ended.stdout)["projects"]}
    assert "line 2: ZeroDivisionError" in rows["broken"]["error"]
    assert rows["iris"]["error"] == ""


def test_what_libraries_print_never_reaches_the_document(samovar):
    """Standard output carries one JSON document; a source that prints, even from C, prints to standard error."""
    (samovar.folder / "samovar.toml").write_text('[projects]\nloud = "loud.py:loud"\n')
    (samovar.folder / "loud.py").write_text("import os\nprint('noise')\nos.write(1, b'more noise')\nloud = 1\n")
    ended = samovar("projects", "--json")
    assert [row["name"] for row in json.loads(ended.stdout)["projects"]] == [
        "fraud",
        "fraud_handbook",
        "iris",
        "loud",
        "sentiment",
        "sentiment_stars",
        "wine",
    ]
    assert "noise" in ended.stderr


def test_an_error_for_machines_is_a_document_too(samovar):
    ended = samovar("status", "--address", "mlflow", "--json")
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["error"]["kind"] == "NotFound"
    assert "samovar up" in json.loads(ended.stdout)["error"]["remedy"]


def test_status_of_a_stack_that_is_not_there_says_how_to_start_it(samovar):
    ended = samovar("status")
    assert ended.returncode == 0
    assert "not running" in ended.stdout
    assert "samovar up" in ended.stdout
    assert json.loads(samovar("status", "--json").stdout)["up"] is False
    assert samovar("status", "--check").returncode == 1
    assert samovar("down").returncode == 0


def test_state_lives_beside_the_project_unless_somebody_says_otherwise(samovar):
    """HOME is no setting of Samovar, however alike the names are."""
    elsewhere = samovar.folder / "elsewhere"
    assert json.loads(samovar("status", "--json", HOME="/nowhere").stdout)["home"] == str(samovar.folder / ".samovar")
    assert json.loads(samovar("--home", "elsewhere", "status", "--json").stdout)["home"] == str(elsewhere)
    assert json.loads(samovar("status", "--json", SAMOVAR_HOME=elsewhere).stdout)["home"] == str(elsewhere)


def test_a_reader_that_has_enough_is_no_error(samovar):
    ended = subprocess.run(f"{SAMOVAR} projects | head -c 1", shell=True, capture_output=True, text=True, check=False)
    assert ended.stderr == ""


def test_debug_shows_the_trace(samovar):
    ended = samovar("--debug", "status", "--address", "mlflow")
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
