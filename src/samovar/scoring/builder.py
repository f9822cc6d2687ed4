"""The builder: a process that turns one model version into a plan and is gone.

A model file is a stranger's work: it is loaded here first, in a process without credentials, with limits, that can be killed.
``python -m samovar.scoring.builder`` reads a `BuildRequest` from standard input and writes a `BuildResult` to standard output.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from subprocess import PIPE
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from samovar.errors import Conflict, ModelError, SamovarError, Untrusted
from samovar.scoring import scratch
from samovar.scoring.build import build, explained
from samovar.scoring.request import BuildRequest, BuildResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.scoring.plan import ScorerPlan

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_START")
"""Environment that a builder inherits."""

_LOOK_SECONDS = 0.2
_OPEN_FILES = 1024
_DEFAULTS = ("120", "0")  # seconds, and bytes of memory


def run_builder(
    request: BuildRequest,
    timeout: float = 120.0,
    *,
    memory: int = 0,
    python: str = sys.executable,
    wished: Callable[[], bool] = lambda: True,
) -> ScorerPlan:
    """Build in a process of its own and return the plan; see `run`."""
    plan = run(request, timeout, memory=memory, python=python, wished=wished).plan
    assert plan is not None
    return plan


def run(
    request: BuildRequest,
    timeout: float = 120.0,
    *,
    memory: int = 0,
    python: str = sys.executable,
    wished: Callable[[], bool] = lambda: True,
) -> BuildResult:
    """Build in a process of its own; the result has a plan.

    Args:
        request: the version.
        timeout: seconds after which the process is killed.
        memory: bytes that it may take; 0 is no limit.
        python: interpreter that runs it, of another environment than ours if the version needs one.
        wished: asked several times a second; a build that nobody wishes for any more is ended.

    Raises:
        Conflict: nobody wishes for it any more.
        Untrusted: a person must trust the version first; the remedy is the command.
        ModelError: the version cannot be served: it does not load, fails at its own example, or took too long.
    """
    command = [python, "-P", "-m", "samovar.scoring.builder", f"{timeout:.0f}", str(memory)]
    try:
        with (
            os.fdopen(os.memfd_create("request"), "w+b") as given,
            subprocess.Popen(command, stdin=_filled(given, request), stdout=PIPE, stderr=PIPE, env=environment()) as process,
        ):
            try:
                output = _output(process, time.monotonic() + timeout, wished)
            finally:
                process.kill()
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"Building the version took more than {timeout:.0f} seconds.", remedy="Raise SAMOVAR_BUILD_SECONDS or make it smaller."
        ) from None
    finally:
        scratch.sweep()  # a builder that was killed could not remove its folder
    return _read(output, process.returncode)


def _filled(file: BinaryIO, request: BuildRequest) -> BinaryIO:
    file.write(msgspec.msgpack.encode(request))
    file.seek(0)
    return file


def _output(process: subprocess.Popen[bytes], deadline: float, wished: Callable[[], bool]) -> bytes:
    while wished():
        try:
            return process.communicate(timeout=_LOOK_SECONDS)[0]
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise
    raise Conflict("Nobody wishes for the version any more.")


def environment() -> dict[str, str]:
    """Return what a process inherits that loads strangers' models: what Python needs to start, and no credential."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _read(output: bytes, code: int) -> BuildResult:
    try:
        result = msgspec.msgpack.decode(output, type=BuildResult)
    except msgspec.DecodeError:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ModelError(
            f"The builder died ({how}) while loading the version.", remedy="Load the model by hand to see why."
        ) from None
    if result.plan is not None:
        return result
    raise (Untrusted if result.condition == "Untrusted" else ModelError)(result.message, remedy=result.remedy)


def answer(request: BuildRequest, memory: int = 0) -> BuildResult:
    """Build and say how it went; ``memory`` is what this process may take, in bytes."""
    try:
        plan, explanation = explained(request) if request.explain else (build(request), None)
        return BuildResult(condition="Built", plan=plan, explanation=explanation)
    except Untrusted as error:
        return BuildResult(condition="Untrusted", message=error.message, remedy=error.remedy)
    except (SamovarError, MemoryError) as error:
        if memory and _starved(error):
            return _too_large(memory)
        message, remedy = (error.message, error.remedy) if isinstance(error, SamovarError) else (str(error), "")
        return BuildResult(condition="Failed", message=message, remedy=remedy)


def _too_large(memory: int) -> BuildResult:
    return BuildResult(
        condition="Failed",
        message=f"Building the version took more than {memory / 1e6:.0f} MB, which is its limit.",
        remedy="Raise SAMOVAR_BUILD_MEMORY_MB or make it smaller.",
    )


def _starved(error: BaseException | None) -> bool:
    """Whether it was memory that was wanting, whatever was made of that on the way."""
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__ or error.__context__
    return error is not None


def main(argv: list[str] | None = None) -> None:
    """Serve one request on the standard streams."""
    arguments = sys.argv[1:] if argv is None else argv
    output = _private_stdout()
    seconds, memory = (int(float(argument)) for argument in (*arguments, *_DEFAULTS[len(arguments) :]))
    _limit(seconds, memory)
    request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=BuildRequest)
    output.write(msgspec.msgpack.encode(answer(request, memory)))
    output.flush()
    os._exit(0)  # threads that a model started shall not keep the process


def _private_stdout() -> BinaryIO:
    """Keep standard output for the answer: what a model prints goes to standard error."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return output


def _limit(seconds: int, memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds + 1, seconds + 5))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


if __name__ == "__main__":
    main()
