"""Tiny packages in a folder, so that no test needs a package index."""

from __future__ import annotations

import zipfile

import pytest


def wheel(folder, name, version, code=None):
    """Write a wheel of one module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n" if code is None else code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, content in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(path, content)


class Packages:
    """A folder of wheels, which is all that uv may install from."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def add(self, name, version, code=None):
        wheel(self.folder, name, version, code)


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Two versions of one package, and room for more."""
    packages = Packages(tmp_path / "wheels")
    for version in ("1.0", "2.0"):
        packages.add("glaze", version)
    monkeypatch.setenv("UV_FIND_LINKS", str(packages.folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    return packages
