"""The house itself: what is committed, what an import costs, what the settings refuse."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from samovar import settings
from samovar.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent


def test_lock_holds_hashes_and_no_address():
    """The same commit installs the same files behind any mirror."""
    lock = (ROOT / "requirements/lock.txt").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--index" not in lock
    pins = re.findall(r"^[a-z0-9].*==", lock, flags=re.MULTILINE)
    assert len(pins) > 50
    assert lock.count("--hash=sha256:") >= len(pins)


LIGHT = ["samovar", "samovar.project", "samovar.contracts.declare", "samovar.serving.server", "samovar.cli.main"]


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_import_nothing_heavy(module):
    """A declaration, the hot path and `samovar --help` do not pay for the libraries of other parts."""
    code = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout))
    assert loaded.isdisjoint({"mlflow", "pandas", "sklearn", "sqlalchemy", "optuna", "fastapi", "polars", "matplotlib"})


def test_public_names_exist():
    """Whatever `import samovar as sv` promises can be had."""
    import samovar as sv

    for name in sv.__all__:
        assert getattr(sv, name) is not None


def test_a_wrong_setting_names_the_variable_and_not_the_value(monkeypatch):
    monkeypatch.setenv("MLFLOW_PORT", "hunter2")
    with pytest.raises(SettingsError) as caught:
        settings.load()
    assert "MLFLOW_PORT" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_secret_is_read_from_its_file_and_never_shown(monkeypatch, tmp_path):
    file = tmp_path / "password"
    file.write_text("s3cret-word\n", encoding="utf-8")
    monkeypatch.setenv("POSTGRES_PASSWORD_FILE", str(file))
    loaded = settings.load()
    assert loaded.postgres_password is not None
    assert loaded.postgres_password.get_secret_value() == "s3cret-word"
    assert "s3cret-word" not in repr(loaded)


def test_a_missing_secret_file_is_an_error(monkeypatch, tmp_path):
    """An empty password in place of a lost file would fail somewhere far away."""
    monkeypatch.setenv("POSTGRES_PASSWORD_FILE", str(tmp_path / "gone"))
    with pytest.raises(SettingsError, match="POSTGRES_PASSWORD_FILE"):
        settings.load()


def test_published_figures_hold_generous_floors():
    """What `make accept` measured last still supports what the README says."""
    floors = json.loads((ROOT / "docs/figures/floors.json").read_text(encoding="utf-8"))
    for name, limits in floors.items():
        measured = json.loads((ROOT / f"docs/figures/{name}.json").read_text(encoding="utf-8"))["measured"]
        for figure, (low, high) in limits.items():
            assert low <= measured[figure] <= high, f"{name}.{figure}"
