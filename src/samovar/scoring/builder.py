"""The builder: a process that turns one model version into a plan and is gone.

A model file is a stranger's work: it is loaded here first, in a process without credentials, with limits, that can be killed.
``python -m samovar.scoring.builder`` reads a `BuildRequest` from standard input and writes a `BuildResult` to standard output.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from samovar.errors import ModelError, SamovarError, Untrusted
from samovar.scoring import scratch
from samovar.scoring.build import build, explained
from samovar.scoring.request import BuildRequest, BuildResult

if TYPE_CHECKING:
    from samovar.scoring.plan import ScorerPlan

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_START")
"""Environment that a builder inherits."""

_OPEN_FILES = 1024


def run_builder(request: BuildRequest, timeout: float = 120.0) -> ScorerPlan:
    """Build in a process of its own and return the plan; see `run`."""
    plan = run(request, timeout).plan
    assert plan is not None
    return plan


def run(request: BuildRequest, timeout: float = 120.0) -> BuildResult:
    """Build in a process of its own; the result has a plan.

    Args:
        request: the version.
        timeout: seconds after which the process is killed.

    Raises:
        Untrusted: a person must trust the version first; the remedy is the command.
        ModelError: the version cannot be served: it does not load, fails at its own example, or took too long.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "samovar.scoring.builder", f"{timeout:.0f}"],
            input=msgspec.msgpack.encode(request),
            capture_output=True,
            env=environment(),
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"Building the version took more than {timeout:.0f} seconds.", remedy="Raise SAMOVAR_BUILD_SECONDS or make it smaller."
        ) from None
    finally:
        scratch.sweep()  # a builder that was killed could not remove its folder
    return _read(done)


def environment() -> dict[str, str]:
    """Return what a process inherits that loads strangers' models: what Python needs to start, and no credential."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _read(done: subprocess.CompletedProcess[bytes]) -> BuildResult:
    try:
        result = msgspec.msgpack.decode(done.stdout, type=BuildResult)
    except msgspec.DecodeError:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        raise ModelError(
            f"The builder died ({how}) while loading the version.", remedy="Load the model by hand to see why."
        ) from None
    if result.plan is not None:
        return result
    raise (Untrusted if result.condition == "Untrusted" else ModelError)(result.message, remedy=result.remedy)


def answer(request: BuildRequest) -> BuildResult:
    """Build and say how it went."""
    try:
        plan, explanation = explained(request) if request.explain else (build(request), None)
        return BuildResult(condition="Built", plan=plan, explanation=explanation)
    except Untrusted as error:
        return BuildResult(condition="Untrusted", message=error.message, remedy=error.remedy)
    except SamovarError as error:
        return BuildResult(condition="Failed", message=error.message, remedy=error.remedy)


def main(argv: list[str] | None = None) -> None:
    """Serve one request on the standard streams."""
    arguments = sys.argv[1:] if argv is None else argv
    output = _private_stdout()
    _limit(int(float(arguments[0])) if arguments else 120)
    request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=BuildRequest)
    output.write(msgspec.msgpack.encode(answer(request)))
    output.flush()
    os._exit(0)  # threads that a model started shall not keep the process


def _private_stdout() -> BinaryIO:
    """Keep standard output for the answer: what a model prints goes to standard error."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return output


def _limit(seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds + 1, seconds + 5))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


if __name__ == "__main__":
    main()
