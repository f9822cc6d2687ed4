"""Steps that are done once, whatever is killed or called twice."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import signal
import subprocess
import sys
import threading
import types
from pathlib import Path

import polars as pl
import pytest

import samovar as sv
from samovar import settings as settings_module
from samovar.errors import Refused
from samovar.pipelines import identity, steps
from samovar.pipelines.context import open_context
from samovar.store import runs


@pytest.fixture
def ctx(tmp_path):
    with open_context(settings_module.load(home=tmp_path / "state", _env_file=None)) as context:
        yield context


class Row(sv.Contract):
    """A row."""

    x: float


def declare(source=lambda window: pl.DataFrame(), **changes):
    given = {"contract": Row, "target": "y", "metric": "accuracy", "gate": sv.Gate(minimum=0.5), "name": "tiny"}
    return sv.project(**{"candidates": [sv.kinds.logreg()], **given} | changes)(source)


# --- once ------------------------------------------------------------------------------------------------------------------


def test_a_step_that_is_done_is_not_done_again(ctx):
    calls = []
    work = lambda: {"n": len(calls) or calls.append(1) or 0}  # noqa: E731
    first, second = (steps.run_once(ctx, "train", "tiny", "k", work) for _ in range(2))
    assert (first.status, second.status) == ("done", "unchanged")
    assert first.result == second.result == {"n": 0}
    assert calls == [1]


def test_a_step_whose_product_is_gone_is_done_again(ctx):
    """Somebody deleted in MLflow what an earlier run made."""
    made = []
    work = lambda: {"n": made.append(1) or len(made)}  # noqa: E731
    runs_ = [
        steps.run_once(ctx, "train", "tiny", "k", work, still_there=lambda there=there: there) for there in (True, True, False)
    ]
    assert [(run.status, run.result["n"]) for run in runs_] == [("done", 1), ("unchanged", 1), ("done", 2)]
    assert steps.run_once(ctx, "train", "tiny", "k", work).result == {"n": 2}


def test_another_key_is_another_step(ctx):
    assert [steps.run_once(ctx, "train", "tiny", key, dict).status for key in ("a", "b")] == ["done", "done"]


def test_a_step_that_failed_says_why_and_may_be_run_again(ctx):
    def fail():
        raise Refused("The gate said no.", remedy="Train more.")

    with pytest.raises(Refused):
        steps.run_once(ctx, "promote", "tiny", "k", fail)
    with ctx.db.read() as connection:
        assert runs.get(connection, "k").error == "The gate said no. Train more."
    assert steps.run_once(ctx, "promote", "tiny", "k", dict).status == "done"


def test_of_a_foreign_error_only_its_type_is_stored(ctx):
    """Its text may hold rows or passwords."""

    def fail():
        raise ValueError("hunter2")

    with pytest.raises(ValueError, match="hunter2"):
        steps.run_once(ctx, "train", "tiny", "k", fail)
    with ctx.db.read() as connection:
        assert runs.get(connection, "k").error == "ValueError"


def test_two_at_once_do_the_work_once(ctx):
    inside, go_on, results = threading.Event(), threading.Event(), []

    def work():
        inside.set()
        go_on.wait(30)
        return {"by": "first"}

    first = threading.Thread(target=lambda: results.append(steps.run_once(ctx, "train", "tiny", "k", work)))
    second = threading.Thread(target=lambda: results.append(steps.run_once(ctx, "train", "tiny", "k", lambda: {"by": "second"})))
    first.start()
    assert inside.wait(30)
    second.start()
    second.join(0.2)
    assert second.is_alive()
    go_on.set()
    first.join()
    second.join()
    assert [(result.status, result.result) for result in results] == [("done", {"by": "first"}), ("unchanged", {"by": "first"})]


def test_a_killed_step_is_done_again(ctx):
    """Its process held the lock and had begun."""
    code = """
import os, signal, sys
from samovar import settings
from samovar.pipelines import steps
from samovar.pipelines.context import open_context
ctx = open_context(settings.load(home=sys.argv[1], _env_file=None))
steps.run_once(ctx, "train", "tiny", "k", lambda: os.kill(os.getpid(), signal.SIGKILL))
"""
    killed = subprocess.run([sys.executable, "-c", code, str(ctx.settings.home)], check=False)
    assert killed.returncode == -signal.SIGKILL
    again = steps.run_once(ctx, "train", "tiny", "k", lambda: {"version": 1})
    assert (again.status, again.result) == ("done", {"version": 1})


def test_ingest_needs_no_mlflow(tmp_path):
    """Opening the world neither reaches MLflow nor imports its client, which takes seconds."""
    code = (
        "import sys; from samovar import settings; from samovar.pipelines.context import open_context;"
        "open_context(settings.load(home=sys.argv[1], mlflow_tracking_uri='http://127.0.0.1:9', _env_file=None)).close();"
        "print('mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


# --- identity --------------------------------------------------------------------------------------------------------------


def test_a_key_is_of_all_five_parts():
    keys = {steps.step_key(*("x" if place == changed else "-" for place in range(5))) for changed in range(6)}
    assert len(keys) == 6
    assert steps.step_key("a", "bc", "", "", "") != steps.step_key("ab", "c", "", "", "")


def test_a_digest_is_of_content_not_of_order():
    assert steps.digest_of({"a": 1, "b": [2]}) == steps.digest_of({"b": [2], "a": 1})
    assert steps.digest_of({"a": 1}) != steps.digest_of({"a": 1.5})


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": "roc_auc"},
        {"candidates": [sv.kinds.logreg(C=0.1)]},
        {"candidates": [sv.kinds.logreg(trials=2)]},
        {"gate": sv.Gate(minimum=0.6)},
        {"holdout": 0.2},
        {"target": "z"},
        {"threshold": "max_f1", "positive": 1},
    ],
)
def test_another_declaration_is_another_identity(changes):
    settings = settings_module.load(_env_file=None)
    assert steps.settings_digest(declare(), settings) == steps.settings_digest(declare(), settings)
    assert steps.settings_digest(declare(**changes), settings) != steps.settings_digest(declare(), settings)


def test_what_only_serves_or_watches_is_no_part_of_the_identity():
    settings = settings_module.load(_env_file=None)
    other = declare(slo=sv.SLO(p95_ms=1), description="Another sentence.", drift=sv.Drift(psi=0.2))
    assert steps.settings_digest(other, settings) == steps.settings_digest(declare(), settings)


# --- code ------------------------------------------------------------------------------------------------------------------

PROJECT = """
import functools
import polars as pl
import samovar as sv
import helper_of_rows
from package_of_rows import inner

class Row(sv.Contract):
    x: float

def build(contract, **params):
    return None

@sv.project(contract=Row, target="y", metric="accuracy", gate=sv.Gate(minimum=0.5), candidates=[sv.kinds.custom("own", build)])
def tiny(window):
    return helper_of_rows.rows()
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A project file with a module and a package beside it; returns a function that loads it anew and gives its digest."""
    (tmp_path / "package_of_rows").mkdir()
    (tmp_path / "package_of_rows" / "__init__.py").write_text("")
    (tmp_path / "package_of_rows" / "inner.py").write_text("ONE = 1\n")
    (tmp_path / "helper_of_rows.py").write_text("def rows():\n    return None\n")
    (tmp_path / "tiny_project.py").write_text(PROJECT)
    monkeypatch.syspath_prepend(str(tmp_path))

    def digest():
        names = ("tiny_project", "helper_of_rows", "package_of_rows", "package_of_rows.inner")
        for name in names:
            sys.modules.pop(name, None)
        spec = importlib.util.spec_from_file_location("tiny_project", tmp_path / "tiny_project.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["tiny_project"] = module
        spec.loader.exec_module(module)
        found = steps.code_digest(module.tiny)
        for name in names:
            sys.modules.pop(name, None)
        return found

    return types.SimpleNamespace(folder=tmp_path, digest=digest)


def test_the_same_files_are_the_same_code(code):
    assert code.digest() == code.digest()


@pytest.mark.parametrize("name", ["tiny_project.py", "helper_of_rows.py", "package_of_rows/inner.py"])
def test_changing_a_file_that_the_project_uses_changes_its_code(code, name):
    before = code.digest()
    path = code.folder / name
    path.write_text(path.read_text() + "\nADDED = 1  # and the size differs, so that no cached bytecode is taken for it\n")
    assert code.digest() != before


def test_a_file_beside_it_that_nobody_uses_changes_nothing(code):
    before = code.digest()
    (code.folder / "unused.py").write_text("raise RuntimeError\n")
    assert code.digest() == before


@pytest.mark.parametrize("name", ["training/split.py", "encoders/minilm.py", "statistics.py", "texts.py", "transformers.py"])
def test_changing_what_decides_a_result_changes_the_code(tmp_path, monkeypatch, name):
    root = shutil.copytree(Path(sv.__file__).parent, tmp_path / "samovar", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sv, "__file__", str(root / "__init__.py"))
    before = identity._own_code.__wrapped__()
    (root / name).write_text((root / name).read_text() + "\n")
    assert identity._own_code.__wrapped__() != before


def test_a_source_typed_into_a_notebook_is_known_by_its_bytecode():
    def typed(text):
        space = {"__name__": "not_a_module"}
        exec(compile(text, "<cell>", "exec"), space)
        return steps.code_digest(declare(space["source"]))

    assert typed("def source(window):\n    return 1") == typed("def source(window):\n    return 1")
    assert typed("def source(window):\n    return 1") != typed("def source(window):\n    return 2")
    assert typed("source = lambda window: [i for i in range(3)]") != typed("source = lambda window: [i for i in range(4)]")


def test_a_partial_source_is_known_by_its_function(code):
    assert steps.code_digest(declare(functools.partial(pl.DataFrame))) == steps.code_digest(
        declare(functools.partial(pl.DataFrame))
    )
