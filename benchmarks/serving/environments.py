"""An environment for each competitor, made once with uv from a pinned file, and cached until the file changes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.figures import ROOT

PINS = Path(__file__).with_name("envs")
CACHE = ROOT / "build/bench/envs"


def python(name: str) -> str:
    """Return the interpreter of an environment, which is made when it is not there.

    Args:
        name: a file of ``envs/`` without its suffix.
    """
    pins = PINS / f"{name}.txt"
    folder = CACHE / f"{name}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"
    if not (folder / "done").exists():
        print(f"making the environment {name} (once) ...", file=sys.stderr, flush=True)
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        if uv is None:
            raise SystemExit("uv is missing: pip install uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--requirement", str(pins)]
        subprocess.run(install, check=True, env={**os.environ, "VIRTUAL_ENV": str(folder)})
        (folder / "done").touch()
    return str(folder / "bin/python")


def versions(interpreter: str, *packages: str) -> dict[str, str]:
    """Return what is installed there, by package."""
    code = "import sys, json, importlib.metadata as m; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    asked = subprocess.run([interpreter, "-c", code, *packages], capture_output=True, check=True)
    found: dict[str, str] = json.loads(asked.stdout)
    return found
