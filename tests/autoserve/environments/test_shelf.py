"""Environments are made once, beside everything else, and only those go that nobody uses."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from samovar.autoserve.environments.maker import READY
from samovar.autoserve.environments.shelf import Shelf
from samovar.errors import ModelError, Preparing

CODE = b"flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n"


def files(*lines):
    return {"requirements.txt": "\n".join(lines).encode(), "MLmodel": CODE}


class Shelves:
    """A shelf, and what happens around it."""

    def __init__(self, folder, limit=10**9):
        self.used = set()
        self.done = 0
        self.folder = folder
        self.shelf = Shelf(folder, limit, 120.0, lambda: self.used, self.count)

    def count(self):
        self.done += 1

    def make(self, *lines, eventually):
        need = self.shelf.need(files(*lines))
        before = self.done
        with pytest.raises(Preparing):
            self.shelf.python(need)
        eventually(lambda: self.done > before, 120, "the environment")
        return need


@pytest.fixture
def shelves(tmp_path):
    return Shelves(tmp_path / "environments")


def said(python, code):
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_an_environment_has_the_model_s_libraries_and_behind_them_this_host_s(packages, shelves, eventually):
    """Asked for again it is there at once, also by another controller."""
    need = shelves.make("glaze==1.0", "mlflow==1.0", eventually=eventually)
    assert need.why == "glaze is not on this host"
    python = shelves.shelf.python(need)
    assert said(python, "import glaze; print(glaze.VERSION)") == "1.0"
    assert "samovar" in said(python, "import samovar.scoring.builder as b; print(b.__name__)")
    assert Shelves(shelves.folder).shelf.python(need) == python
    assert shelves.shelf.need(files("numpy")) is None


def test_two_versions_of_a_library_live_side_by_side(packages, shelves, eventually):
    pythons = [shelves.shelf.python(shelves.make(f"glaze=={number}", eventually=eventually)) for number in ("1.0", "2.0")]
    assert [said(python, "import glaze; print(glaze.VERSION)") for python in pythons] == ["1.0", "2.0"]


def test_what_cannot_be_installed_is_one_clear_sentence_and_tried_again_when_asked(packages, shelves, eventually):
    """A library that no index has, then has."""
    need = shelves.make("glaze==3.0", eventually=eventually)
    with pytest.raises(ModelError, match="environment cannot be built.*glaze") as failure:
        shelves.shelf.python(need)
    assert "\n" not in str(failure.value)
    packages.add("glaze", "3.0")
    with pytest.raises(Preparing):
        shelves.shelf.python(need)
    eventually(lambda: shelves.done == 2, 120, "the second attempt")
    assert said(shelves.shelf.python(need), "import glaze; print(glaze.VERSION)") == "3.0"


def test_a_library_that_breaks_samovar_is_noticed_before_anything_is_served(packages, shelves, eventually):
    """Here one that is called like a library that every worker imports."""
    packages.add("structlog", "99.0", "raise RuntimeError('this is not it')\n")
    need = shelves.make("structlog==99.0", eventually=eventually)
    with pytest.raises(ModelError, match="this is not it"):
        shelves.shelf.python(need)
    assert not (shelves.folder / need.name).exists()


def test_the_least_recently_used_make_room_but_never_one_in_use(packages, tmp_path, eventually):
    shelves = Shelves(tmp_path / "environments", limit=0)
    names = [shelves.make(f"glaze=={number}", eventually=eventually).name for number in ("1.0", "2.0")]
    assert all((shelves.folder / name / READY).exists() for name in names), "both are young"
    for name in names:
        os.utime(shelves.folder / name / READY, (time.time() - 7200,) * 2)
    (shelves.folder / ("0" * 32)).mkdir()  # a rest of a controller that was killed
    shelves.used = {names[0]}
    shelves.shelf._sweep()
    assert [folder.name for folder in shelves.folder.iterdir()] == [names[0]]


def test_a_half_made_environment_is_made_anew(packages, shelves, eventually):
    need = shelves.shelf.need(files("glaze==1.0"))
    (shelves.folder / need.name / "bin").mkdir(parents=True)
    (shelves.folder / need.name / "bin" / "python").touch()
    shelves.make("glaze==1.0", eventually=eventually)
    assert said(shelves.shelf.python(need), "import glaze; print(glaze.VERSION)") == "1.0"


def test_no_credential_of_the_registry_reaches_an_installation(packages, shelves, eventually, monkeypatch, tmp_path):
    """What a package does while it is checked, it does without them."""
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct-horse")
    spied = tmp_path / "spied"
    packages.add("httptools", "99.0", f"import os\nopen({str(spied)!r}, 'w').write(repr(dict(os.environ)))\nraise ImportError\n")
    need = shelves.make("httptools==99.0", eventually=eventually)
    with pytest.raises(ModelError):
        shelves.shelf.python(need)
    assert "PATH" in spied.read_text()
    assert "correct-horse" not in spied.read_text()
