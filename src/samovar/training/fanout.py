"""Candidates trained side by side, each in a process of its own."""

from __future__ import annotations

import contextlib
import contextvars
import importlib.machinery
import os
import subprocess
import sys
import tempfile
from typing import IO, TYPE_CHECKING, Any

import cloudpickle

from samovar.training import zygote
from samovar.training.job import Failed, Finished, Job, Progress, Trained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from samovar.project import CandidateSpec

    Report = Callable[[str, int, int, float | None], None]
    """``report(candidate, done, total, best score so far)``."""

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
"""Candidates share the cores as processes; one thread each also makes sums, and so models, the same every time."""


@contextlib.contextmanager
def ready() -> Iterator[None]:
    """Have the libraries loaded beside what the caller does first, once for all jobs inside; they take two seconds of a core."""
    trainer = _Trainer()
    token = _READY.set(trainer)
    try:
        yield
    finally:
        _READY.reset(token)
        trainer.close()


def train_each(job: Job, at_once: int, report: Report | None = None) -> Iterator[Trained | Failed]:
    """Train every candidate of a job, ``at_once`` at a time; yield each when it is done, so that the caller works meanwhile."""
    known = _READY.get()
    trainer = known if known is not None and known.alive() else _Trainer()
    finished = False
    try:
        yield from trainer.train(job, at_once, report)
        finished = True
    finally:
        if trainer is not known or not finished:  # after an error or Ctrl-C nobody waits for the rest
            trainer.close()


class _Trainer:
    """A zygote, for one job at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "samovar.training.zygote"]
        environment = os.environ | _ONE_THREAD | {"PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}
        self._noise = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._noise
        )
        self._send(sys.path)

    def alive(self) -> bool:
        return self._process.poll() is None

    def train(self, job: Job, at_once: int, report: Report | None) -> Iterator[Trained | Failed]:
        missing = {spec.name for spec in job.specs}
        said = os.fstat(self._noise.fileno()).st_size
        for result in self._converse(job, at_once, report):
            missing.discard(result.name)
            yield result
        if missing:
            self.close(keep_noise=True)
            reason = _last_line(self._noise, said)
            yield from (Failed(name, reason) for name in sorted(missing))

    def close(self, *, keep_noise: bool = False) -> None:
        self._process.kill()
        with self._process:
            pass
        if not keep_noise:
            self._noise.close()

    def _converse(self, job: Job, at_once: int, report: Report | None) -> Iterator[Trained | Failed]:
        assert self._process.stdout is not None
        if not self._send((sys.path, at_once, _portable(job))):
            return  # it died while loading; its last words are in the noise
        for message in zygote.read(self._process.stdout):
            if isinstance(message, Finished):
                return
            if isinstance(message, Progress):
                if report is not None:
                    report(message.name, message.done, message.total, message.best)
            else:
                yield message

    def _send(self, message: object) -> bool:
        assert self._process.stdin is not None
        try:
            zygote.write(self._process.stdin, message)
        except BrokenPipeError:
            return False
        return True


_READY: contextvars.ContextVar[_Trainer | None] = contextvars.ContextVar("trainer", default=None)


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


def _last_line(noise: IO[bytes], start: int) -> str:
    noise.seek(start)
    lines = noise.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "its process ended without a word"
