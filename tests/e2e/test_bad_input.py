"""What is wrong is said in one clear line, with the right exit code, and leaves nothing half-written."""

from __future__ import annotations

import socket
import time

import pytest

pytestmark = pytest.mark.e2e

SHOP = '''"""A shop's orders: a project of one's own."""

from typing import Annotated, Literal

import polars as pl

import samovar as sv


class Order(sv.Contract):
    """One order."""

    order_id: sv.Key[str]
    amount: Annotated[float, sv.Range(gt=0)]
    items: Annotated[int, sv.Range(ge=1, le=99)]
    channel: Literal["web", "app"]


@sv.project(
    contract=Order,
    target="returned",
    metric="roc_auc",
    positive=True,
    candidates=[sv.kinds.logreg(trials=1)],
    gate=sv.Gate(minimum=0.6),
)
def shop(window):
    """Orders that come back."""
    rows = range(400)
    return pl.DataFrame({
        "order_id": [f"o{row}" for row in rows],
        "amount": [10.0 + row % 90 for row in rows],
        "items": [1 + row % 7 for row in rows],
        "channel": ["web" if row % 3 else "app" for row in rows],
        "returned": [row % 90 > 45 for row in rows],
    })
'''


def declare(home, text, name="shop"):
    """Put a project of one's own into the working folder."""
    (home.work / f"{name}.py").write_text(text)
    (home.work / "samovar.toml").write_text(f'[projects]\n{name} = "{name}.py:{name}"\n')


def closed_port():
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def settled(home):
    """All that a command could have half-written: rows (but the note that a step failed), snapshots, reports."""
    tables = {name: rows for name, rows in home.tables().items() if name != "pipeline_runs"}
    return tables, home.files("lake", "reports")


def rows_in(home):
    """Tables that hold any row."""
    return {name: rows for name, rows in home.tables().items() if rows and name != "alembic_version"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("train",),
        ("no-such-command",),
        ("ingest", "iris", "--no-such-option"),
        ("alias", "set", "iris", "Production"),
        ("alias", "set", "iris", "Production", "latest"),
        ("demo", "--project", "nosuch"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line_and_exit_code_2(home, arguments):
    """The command line itself is wrong."""
    home.refused(*arguments, code=2)


@pytest.mark.parametrize("command", ["ingest", "train", "promote", "infer", "monitor", "retrain"])
def test_an_unknown_project_is_named_and_the_known_ones_are_listed(home, command):
    """The line says which projects there are and how to start one."""
    line = home.refused(command, "nosuch", code=2)
    assert "nosuch" in line
    assert all(known in line for known in ("fraud", "iris", "wine"))
    assert rows_in(home) == {}


def test_a_wrong_setting_is_named_and_not_echoed(home):
    """The line names the variable."""
    line = home.refused("status", code=2, env={"MLFLOW_PORT": "five thousand"})
    assert "MLFLOW_PORT" in line
    assert "five thousand" not in line


@pytest.mark.parametrize("command", [("train", "iris"), ("promote", "iris"), ("alias", "list"), ("models",)], ids=" ".join)
def test_an_unreachable_mlflow_is_said_within_seconds(home, command):
    """A dead tracking server must not hang a command, and leaves nothing behind."""
    assert home.samovar("ingest", "iris").returncode == 0
    before = settled(home)
    began = time.monotonic()
    line = home.refused(*command, code=1, env={"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{closed_port()}"})
    assert time.monotonic() - began < 20
    assert "MLflow" in line
    assert settled(home) == before


def test_without_a_stack_a_step_says_how_to_get_mlflow(home):
    """No address is known at all."""
    assert home.samovar("ingest", "iris").returncode == 0
    assert "samovar up" in home.refused("train", "iris", code=1)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (("items: Annotated[int,", "items: Annotated[list[int],"), 2, ["shop.py", "items"]),
        (('channel: Literal["web", "app"]', 'channel: Literal["web", 7]'), 2, ["shop.py", "channel"]),
        (("candidates=[sv.kinds.logreg(trials=1)]", "candidates=[]"), 2, ["candidates"]),
        (('target="returned"', 'target="amount"'), 2, ["amount"]),
        (("import polars as pl", "import polars as pl, nosuchmodule"), 2, ["shop.py", "nosuchmodule"]),
        (("def shop(window):", "def shop(window:"), 2, ["shop.py", "SyntaxError"]),
        (("    rows = range(400)", '    raise ConnectionError("the shop is closed")'), 1, ["shop", "ConnectionError"]),
        (("    rows = range(400)", "    rows = range(0)"), 1, ["shop", "row"]),
        (('        "items": [1 + row % 7 for row in rows],\n', ""), 1, ["items"]),
        (('"returned": [row', '"came_back": [row'), 1, ["returned"]),
        (("[1 + row % 7 for", '["many" for'), 1, ["items"]),
        (("    return pl.DataFrame({", "    return dict({"), 1, ["shop"]),
    ],
    ids=[
        "contract of a type unknown",
        "contract with a mixed Literal",
        "no candidates",
        "target in the contract",
        "import that fails",
        "syntax error",
        "source that raises",
        "empty dataset",
        "missing column",
        "missing target",
        "wrong type",
        "source of no frame",
    ],
)
def test_a_broken_project_is_one_clear_line(home, change, code, words):
    """Declaration mistakes exit 2, data mistakes exit 1; the file or the field is named; nothing but rejected rows is kept."""
    text = SHOP.replace(*change)
    assert text != SHOP
    declare(home, text)
    line = home.refused("ingest", "shop", code=code)
    assert [word for word in words if word not in line] == []
    kept = rows_in(home).pop("quarantine", [])
    assert len(kept) == (400 if "many" in text else 0)
    assert [name for name in rows_in(home) if name not in ("quarantine", "pipeline_runs")] == []
    assert home.files("lake", "reports") == {}


def test_bad_data_leaves_what_was_there_as_it_was(home):
    """After a good ingest, a broken one changes neither rows nor snapshots."""
    declare(home, SHOP)
    assert home.samovar("ingest", "shop").returncode == 0
    before = settled(home)
    assert before[0]["datasets"]
    declare(home, SHOP.replace('        "items": [1 + row % 7 for row in rows],\n', ""))
    home.refused("ingest", "shop", code=1)
    assert settled(home) == before


def test_a_home_that_cannot_be_written_is_said(home):
    """A file stands where the state folder should be."""
    in_the_way = home.path / "file"
    in_the_way.write_text("")
    for command in (("up", "--detach"), ("ingest", "iris"), ("demo", "--project", "iris")):
        line = home.refused(*command, code=1, env={"SAMOVAR_HOME": str(in_the_way / "state")})
        assert str(in_the_way) in line
    assert not home.processes()


def test_a_taken_port_that_was_asked_for_is_said(home):
    """MLFLOW_PORT asks for one port; another program has it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        line = home.refused("up", "--detach", code=1, env={"MLFLOW_PORT": port})
    assert port in line
    assert "MLFLOW_PORT" in line
    assert not home.processes()


def test_a_taken_port_that_nobody_asked_for_is_no_matter(home):
    """The next free one is found and shown."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 5000))
            other.listen()
        except OSError:
            pass  # somebody has it: as good
        home.up()
        assert not home.address("mlflow").endswith(":5000")
        assert home.address("mlflow") in home.samovar("status").stdout
        assert home.samovar("down").returncode == 0


def test_down_and_status_without_a_stack_are_calm(home):
    """Nothing runs: both say so, and nothing is wrong."""
    for command in ("down", "status"):
        result = home.samovar(command)
        assert result.returncode == 0, result.stderr
        assert "Traceback" not in result.stdout + result.stderr


# --- on a running stack ----------------------------------------------------------------------------------------------------------


def test_a_second_up_is_refused_and_disturbs_nothing(stack):
    """The line says what to do; the stack that runs goes on."""
    before = {process.pid for process in stack.processes()}
    line = stack.refused("up", "--detach", code=1)
    assert "samovar down" in line
    assert {process.pid for process in stack.processes()} == before


@pytest.mark.parametrize(
    "command",
    [
        ("alias", "set", "nosuch", "Production", "1"),
        ("alias", "delete", "nosuch", "Production"),
        ("trust", "nosuch/1"),
        ("rollback", "iris"),
        ("artifact", "download", "nosuch/1", "MLmodel"),
    ],
    ids=" ".join,
)
def test_what_does_not_exist_is_named(stack, command):
    """A model, version or alias that the registry does not have."""
    before = stack.tables()["decisions"]
    line = stack.refused(*command, code=1)
    assert "nosuch" in line or "iris" in line
    assert stack.tables()["decisions"] == before


@pytest.fixture(scope="module")
def address(stack):
    """A served endpoint of a project of one's own, with a Literal and ranges in its contract."""
    declare(stack, SHOP)
    for step in ("ingest", "train", "promote"):
        result = stack.samovar(step, "shop")
        assert result.returncode == 0, result.stderr
    return stack.served("shop", 1)


ROW = {"order_id": "o-1", "amount": 12.5, "items": 2, "channel": "web"}
CANARY = "canary4711"


def test_a_good_request_is_answered(stack, address):
    """The twin of the bad ones."""
    answer = stack.http.post(f"{address}/predict", json=ROW)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_version"] == "v1"


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({name: value for name, value in ROW.items() if name != "amount"}, "amount"),
        (ROW | {"amount": CANARY}, "amount"),
        (ROW | {"items": 2.5}, "items"),
        (ROW | {"items": 471147114711}, "items"),
        (ROW | {"amount": None}, "amount"),
        (ROW | {"channel": CANARY}, "channel"),
        (ROW | {"order_id": 4711}, "order_id"),
        (ROW | {CANARY: 1}, ""),
    ],
    ids=[
        "missing",
        "text for a number",
        "float for an integer",
        "out of range",
        "null",
        "not in the Literal",
        "number for text",
        "unknown",
    ],
)
def test_a_bad_row_is_refused_with_the_field_and_without_an_echo(stack, address, row, name):
    """400, the contract's field as path, what was expected; never what was sent."""
    for path, body, where in (("predict", row, name), ("batch_predict", [ROW, row], f"[1].{name}" if name else "[1]")):
        answer = stack.http.post(f"{address}/{path}", json=body)
        assert answer.status_code == 400, answer.text
        assert where in answer.json().get("path", "")
        assert answer.json()["message"]
        assert "4711" not in answer.text
        assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", ["predict", "batch_predict", "invocations"])
def test_malformed_json_is_refused_without_an_echo(stack, address, path):
    """400 that says JSON."""
    answer = stack.http.post(f"{address}/{path}", content=f'{{"amount": {CANARY}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "JSON" in answer.json()["message"]
    assert "4711" not in answer.text


@pytest.mark.parametrize("path", ["predict", "batch_predict", "invocations"])
def test_another_content_type_is_refused(stack, address, path):
    """415, and what is understood."""
    answer = stack.http.post(f"{address}/{path}", content=CANARY, headers={"Content-Type": "application/x-canary4711"})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["message"]
    assert "4711" not in answer.text


def test_a_column_missing_from_invocations_is_named(stack, address):
    """MLflow's own protocol names the column too."""
    row = {name: value for name, value in ROW.items() if name not in ("amount", "order_id")}
    answer = stack.http.post(f"{address}/invocations", json={"dataframe_records": [row]})
    assert answer.status_code == 400
    assert "amount" in answer.text
    answer = stack.http.post(f"{address}/invocations", json={"dataframe_records": [row | {"amount": CANARY}]})
    assert answer.status_code == 400
    assert "amount" in answer.text
    assert "4711" not in answer.text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "nosuch", 404), ("GET", "predict", 405), ("POST", "ping", 405)])
def test_a_wrong_path_or_method_is_refused(stack, address, method, path, status):
    """404 and 405 as JSON, too."""
    answer = stack.http.request(method, f"{address}/{path}")
    assert answer.status_code == status
    assert answer.json()["error_code"]
