"""API keys from the command line: seen once, listed by name, taken back."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

SAMOVAR = str(Path(sys.executable).with_name("samovar"))


@pytest.fixture
def keys(tmp_path):
    """Run `samovar keys` on an empty home."""

    def run(*words):
        command = [SAMOVAR, "keys", *words, "--json"]
        return subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"SAMOVAR_HOME": "home"}, capture_output=True, text=True, check=False
        )

    return run


def test_a_key_is_printed_once_and_only_its_hash_is_kept(keys, tmp_path):
    key = json.loads(keys("add", "shop").stdout)["key"]
    path = tmp_path / "home" / "api-keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key not in path.read_text()
    listed = keys("list").stdout
    assert key not in listed
    assert [row["name"] for row in json.loads(listed)["keys"]] == ["shop"]


def test_a_name_has_one_key_and_an_unknown_one_none(keys):
    """Each refusal is one line and an exit code."""
    assert json.loads(keys("list").stdout) == {"asked_for": False, "keys": []}
    assert keys("remove", "shop").returncode == 1
    assert keys("add", "shop").returncode == 0
    assert keys("add", "shop").returncode == 1
    assert keys("remove", "shop").returncode == 0
    assert json.loads(keys("list").stdout) == {"asked_for": True, "keys": []}
