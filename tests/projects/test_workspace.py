"""Projects are found by file, module and package, and a broken one says where it is broken."""

import subprocess
import sys

import pytest

from samovar import workspace
from samovar.errors import ProjectError, SettingsError

SOURCE = """
import samovar as sv
from helper import SIZE

class Row(sv.Contract):
    x: float

@sv.project(contract=Row, target="y", metric="accuracy", candidates=[sv.kinds.logreg()], gate=sv.Gate(minimum=SIZE))
def {name}(window):
    '''Rows of {name}.'''
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A workspace with one project, entered; what Python imported from it is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(workspace, "_loaded", {})
    before = set(sys.modules)
    (tmp_path / "helper.py").write_text("SIZE = 0.5\n")
    (tmp_path / "churny.py").write_text(SOURCE.format(name="churny"))
    (tmp_path / "samovar.toml").write_text('# mine\n[projects]\nchurny = "churny.py:churny"  # the first\n')
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_file_is_found_from_a_folder_below_and_imports_its_neighbours(folder, monkeypatch):
    (folder / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(folder / "deep" / "er")
    project = workspace.find("churny")
    assert (project.name, project.description, project.gate.minimum) == ("churny", "Rows of churny.", 0.5)
    assert workspace.find("churny") is project


def test_its_functions_can_be_imported_by_name_in_the_processes_that_train(folder):
    assert workspace.find("churny").source.__module__ == "churny"
    assert sys.modules["churny"].__file__ == str(folder / "churny.py")


def test_the_reference_projects_are_there_without_any_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert set(workspace.projects()) == {"fraud", "fraud_handbook", "iris", "sentiment", "sentiment_stars", "wine"}


def test_the_users_file_wins_over_an_installed_package(folder):
    (folder / "samovar.toml").write_text('[projects]\niris = "mine.py:iris"\n')
    (folder / "mine.py").write_text(SOURCE.format(name="iris"))
    assert workspace.find("iris").description == "Rows of iris."


def test_pyproject_and_modules_work_too(folder):
    (folder / "samovar.toml").unlink()
    (folder / "kiosk").mkdir()
    (folder / "kiosk" / "__init__.py").touch()
    (folder / "kiosk" / "models.py").write_text(SOURCE.format(name="sales"))
    (folder / "pyproject.toml").write_text('[tool.samovar.projects]\nsales = "kiosk.models:sales"\n')
    assert workspace.find("sales").name == "sales"


def test_an_unknown_project_is_answered_with_the_known_ones(folder):
    with pytest.raises(
        ProjectError,
        match=r"no project 'chrn'; known are churny, fraud, .*, wine\..*samovar init chrn",
    ):
        workspace.find("chrn")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\nboom = 1 / 0\n", r"broken\.py line 2: ZeroDivisionError: division by zero\."),
        ("def f(:\n", r"broken\.py line 1: SyntaxError: "),
        ("import no_such_module_here\n", r"broken\.py line 1: ModuleNotFoundError: No module named 'no_such_module_here'\."),
        ("raise SystemExit(3)\n", r"broken\.py line 1: SystemExit: 3\."),
        ("import samovar as sv\n\nclass Row(sv.Contract):\n    x: list\n", r"broken\.py line 3: ContractError: Row\.x has a type"),
        ("raise ValueError('first\\nsecond')\n", r"line 1: ValueError: first\."),
        ("broken = 3\n", r"broken\.py:broken is no project\."),
        (SOURCE.format(name="other") + "broken = other\n", "calls itself other, but is listed as broken"),
    ],
)
def test_a_broken_file_is_one_line_with_file_line_and_error(folder, text, says):
    (folder / "broken.py").write_text(text)
    (folder / "samovar.toml").write_text('[projects]\nbroken = "broken.py:broken"\nchurny = "churny.py:churny"\n')
    with pytest.raises(ProjectError, match=says) as failure:
        workspace.find("broken")
    assert "\n" not in str(failure.value)
    assert workspace.find("churny").name == "churny", "a broken project harms no other"


def test_a_broken_file_works_once_it_is_mended(folder):
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "samovar.toml").write_text('[projects]\nbroken = "broken.py:broken"\n')
    with pytest.raises(ProjectError):
        workspace.find("broken")
    (folder / "broken.py").write_text(SOURCE.format(name="broken") + "# mended\n")
    assert workspace.find("broken").name == "broken"


def test_a_file_that_is_not_there_is_said_by_its_path(folder):
    (folder / "samovar.toml").write_text('[projects]\ngone = "gone.py:gone"\n')
    with pytest.raises(ProjectError, match=r"there is no file .*gone\.py"):
        workspace.find("gone")


def test_a_file_that_would_hide_a_python_module_is_refused(folder):
    (folder / "json.py").write_text(SOURCE.format(name="json"))
    (folder / "samovar.toml").write_text('[projects]\njson = "json.py:json"\n')
    with pytest.raises(ProjectError, match="name of another Python module"):
        workspace.find("json")


@pytest.mark.parametrize("text", ["[projects\n", "[projects]\nchurny = 3\n", "projects = 3\n", "[projects.churny]\nfile = 'x'\n"])
def test_a_settings_file_that_says_something_else_is_a_settings_error(folder, text):
    (folder / "samovar.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"samovar\.toml"):
        workspace.entries()


def test_adding_a_project_keeps_what_is_in_the_file(folder):
    (folder / "sub").mkdir()
    assert workspace.add("sales", "sales.py:sales", folder / "sub") == folder / "samovar.toml"
    text = (folder / "samovar.toml").read_text()
    assert text.startswith('# mine\n[projects]\nchurny = "churny.py:churny"  # the first\n')
    assert workspace.entries()["sales"].target == "sub/sales.py:sales"
    with pytest.raises(ProjectError, match="lists sales already"):
        workspace.add("sales", "other.py:sales", folder)
    assert [path.name for path in folder.glob(".samovar.toml*")] == [], "no half file is left"


def test_listing_projects_imports_none_of_them(folder):
    code = (
        "import sys; from samovar import workspace; workspace.entries(); print({'churny', 'polars', 'sklearn'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
