"""Makes an environment with uv: the model's libraries first, and behind them what this host has.

It is a folder like any virtual environment, named by its content. A file at its end says that it is finished; without it the
folder is a rest of something that was killed.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import samovar
from samovar.autoserve.agent.environment import worker_environment
from samovar.errors import ModelError

if TYPE_CHECKING:
    from samovar.autoserve.environments.requirements import Requirements

READY = "samovar-ready"
"""File of a finished environment; its time is when the environment was last asked for."""

_HOST = "zz_samovar_host.pth"  # read after what is installed, and so searched after it
_CHECK = "import samovar.autoserve.agent.zygote, samovar.scoring.builder, samovar.scoring.engine, samovar.serving.server"
_TOLD = 300  # characters of uv's last words


def python_of(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / "bin" / "python"


def host_paths() -> tuple[str, ...]:
    """Return where this host's own packages are, Samovar first, which may be installed from a source tree."""
    paths = [str(Path(samovar.__file__).parent.parent), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return tuple(dict.fromkeys([*paths, *(path for path in site.getsitepackages() if Path(path).is_dir())]))


def find_uv() -> str | None:
    """Return the uv beside our interpreter, or on the path; None when there is none."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def make(folder: Path, asked: Requirements, uv: str, seconds: float) -> None:
    """Make an environment in ``folder``, in place of a rest that is there.

    Args:
        folder: where; made.
        asked: what the model needs.
        uv: path of the program.
        seconds: longest time of each of its steps.

    Raises:
        ModelError: it cannot be made; the message has uv's last words.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        _run([uv, "venv", "--no-project", "--no-config", "--python", sys.executable, str(folder)], seconds)
        (folder / "requirements.txt").write_text("\n".join((*_constrained(folder, asked), "")), encoding="utf-8")
        install = [uv, "pip", "install", "--python", str(python_of(folder)), "--compile-bytecode"]
        _run([*_gently(), *install, "--requirement", str(folder / "requirements.txt")], seconds)
        packages = next((folder / "lib").glob("python*/site-packages"))
        (packages / _HOST).write_text("\n".join((*host_paths(), "")), encoding="utf-8")
        _run([str(python_of(folder)), "-P", "-c", _CHECK], seconds)
        (folder / READY).touch(mode=0o600)
    except ModelError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ModelError(f"Its environment cannot be written ({error.strerror}).", remedy="Make room on the disk.") from None


def _constrained(folder: Path, asked: Requirements) -> tuple[str, ...]:
    if asked.constraints:
        (folder / "constraints.txt").write_text("\n".join((*asked.constraints, "")), encoding="utf-8")
    # Models name their constraints file themselves, or forget to.
    named = any(line.startswith(("-c", "--constraint")) for line in asked.own)
    return asked.own if named or not asked.constraints else (*asked.own, "-c constraints.txt")


def _gently() -> list[str]:
    nice = shutil.which("nice")
    return [nice, "-n", "10"] if nice else []


def _run(command: list[str], seconds: float) -> None:
    try:
        done = subprocess.run(
            command, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"Building its environment took more than {seconds:.0f} seconds.", remedy="Raise SAMOVAR_ENVIRONMENT_SECONDS."
        ) from None
    if done.returncode:
        words = " ".join(done.stderr.split())[-_TOLD:] or f"exit code {done.returncode}"
        raise ModelError(
            f"Its environment cannot be built: {words}", remedy="Check its requirements and that this host reaches a package index."
        )


def _environment() -> dict[str, str]:
    """Return what uv may know: what a worker may, how to reach an index, and nothing of the registry."""
    reached = ("UV_", "SSL_")
    proxies = {"http_proxy", "https_proxy", "no_proxy", "all_proxy"}
    more = {name: value for name, value in os.environ.items() if name.startswith(reached) or name.lower() in proxies}
    kept = {name: value for name, value in worker_environment(os.environ).items() if name != "VIRTUAL_ENV"}
    return kept | more
