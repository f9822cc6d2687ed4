"""Candidates trained side by side, each in a process of its own."""

from __future__ import annotations

import importlib.machinery
import os
import subprocess
import sys
import tempfile
from typing import IO, TYPE_CHECKING, Any

import cloudpickle

from samovar.training import zygote
from samovar.training.job import Failed, Job, Progress, Trained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from samovar.project import CandidateSpec

    Report = Callable[[str, int, int, float | None], None]
    """``report(candidate, done, total, best score so far)``."""

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
"""Candidates share the cores as processes; one thread each also makes sums, and so models, the same every time."""


def train_each(job: Job, at_once: int, report: Report | None = None) -> Iterator[Trained | Failed]:
    """Train every candidate of a job, ``at_once`` at a time; yield each when it is done, so that the caller works meanwhile."""
    with tempfile.TemporaryFile() as noise:
        command = [sys.executable, "-m", "samovar.training.zygote"]
        environment = os.environ | _ONE_THREAD | {"PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise)
        missing = {spec.name for spec in job.specs}
        with process:
            try:
                for result in _converse(process, job, at_once, report):
                    missing.discard(result.name)
                    yield result
            finally:
                process.kill()  # nothing is left to do; after an error or Ctrl-C nobody waits for the rest
        yield from (Failed(name, _last_line(noise)) for name in sorted(missing))


def _converse(process: subprocess.Popen[bytes], job: Job, at_once: int, report: Report | None) -> Iterator[Trained | Failed]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        zygote.write(process.stdin, (sys.path, at_once))
        zygote.write(process.stdin, _portable(job))
        process.stdin.close()
    except BrokenPipeError:  # it died while loading; its last words are in the noise
        return
    for message in zygote.read(process.stdout):
        if isinstance(message, Progress):
            if report is not None:
                report(message.name, message.done, message.total, message.best)
        else:
            yield message


def _portable(job: Job) -> bytes:
    """Pickle a job so that builders from a project file, a notebook or a script arrive: by value where nobody could import them."""
    for spec in job.specs:
        if (module := _unimportable(spec)) is not None:
            cloudpickle.register_pickle_by_value(module)
    data: bytes = cloudpickle.dumps(job, protocol=5)
    return data


def _unimportable(spec: CandidateSpec) -> Any:
    name = str(getattr(spec.build, "__module__", ""))
    module = sys.modules.get(name)
    if module is None or name == "__main__":  # cloudpickle takes __main__ by value by itself
        return None
    return module if importlib.machinery.PathFinder.find_spec(name.partition(".")[0]) is None else None


def _last_line(noise: IO[bytes]) -> str:
    noise.seek(0)
    lines = noise.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "its process ended without a word"
