"""The process that loads the libraries once and forks one child per candidate: ``python -m samovar.training.zygote``.

Forking is safe here and nowhere else: this process has one thread, and its maths libraries are held to one. Children share the
loaded libraries, so that a candidate costs its own data and not another hundred megabytes; their memory goes back when they end.
One zygote may serve one job after another.
Messages are pickles, each after its length; both ends are Samovar's own.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import pickle
import signal
import struct
import sys
from typing import IO, TYPE_CHECKING, Any

from samovar.errors import SamovarError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samovar.project import CandidateSpec
    from samovar.training.job import Job

LENGTH = struct.Struct("<Q")
_PR_SET_PDEATHSIG = 1


def write(stream: IO[bytes], message: Any) -> None:
    """Write one message."""
    data = message if isinstance(message, bytes) else pickle.dumps(message, protocol=5)
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def read(stream: IO[bytes]) -> Iterator[Any]:
    """Yield messages until the other end closes; a message that was cut off by a death is dropped."""
    while len(head := stream.read(LENGTH.size)) == LENGTH.size:
        (length,) = LENGTH.unpack(head)
        data = stream.read(length)
        if len(data) < length:
            return
        yield pickle.loads(data)  # noqa: S301 - from our own process


def main() -> None:
    """Read a search path, then jobs: each a search path, how many candidates run at once, and the pickled job.

    Writes progress, results and failures, and after each job that it is finished.
    """
    _die_with_parent(os.getppid())
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a print in a user's builder must not run into the messages
    messages = read(sys.stdin.buffer)
    sys.path[:] = next(messages, [])
    from samovar.training import candidate  # noqa: F401, PLC0415 - loaded before the forks, after the path is known
    from samovar.training.job import Finished  # noqa: PLC0415

    lock = os.memfd_create("samovar-train")
    gc.freeze()  # children would copy every page that the collector touches
    for path, at_once, job in messages:
        _in_a_child(path, at_once, job, answers, lock)
        _answer(answers, lock, Finished())


def _in_a_child(path: list[str], at_once: int, job: bytes, answers: IO[bytes], lock: int) -> None:
    """Run a job where the user's modules that it loads go when it ends: the next job may bring other ones of the same name."""
    zygote = os.getpid()
    if pid := os.fork():
        _, status = os.waitpid(pid, 0)
        if status != 0:
            sys.exit(1)  # its candidates died with it, in the middle of a message perhaps
        return
    code = 1
    try:
        _die_with_parent(zygote)
        sys.path[:] = path
        _run(pickle.loads(job), at_once, answers, lock)  # noqa: S301 - from our own process
        code = 0
    except Exception as error:  # noqa: BLE001 - told as one line
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    finally:
        sys.stderr.flush()
        os._exit(code)


def _run(job: Job, at_once: int, answers: IO[bytes], lock: int) -> None:
    waiting = list(job.specs)
    running: dict[int, CandidateSpec] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            spec = waiting.pop(0)
            running[_fork(job, spec, answers, lock)] = spec
        pid, status = os.waitpid(-1, 0)
        spec = running.pop(pid)
        if status != 0:
            _answer(answers, lock, _killed(spec, status))


def _fork(job: Job, spec: CandidateSpec, answers: IO[bytes], lock: int) -> int:
    zygote = os.getpid()
    if pid := os.fork():
        return pid
    try:
        _die_with_parent(zygote)
        _work(job, spec, answers, lock)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a child must never run on into its parent's code
        os._exit(1)


def _work(job: Job, spec: CandidateSpec, answers: IO[bytes], lock: int) -> None:
    from samovar.training.candidate import Candidate  # noqa: PLC0415 - loaded already
    from samovar.training.job import Failed  # noqa: PLC0415

    try:
        result: Any = Candidate(job, spec, lambda progress: _answer(answers, lock, progress)).train()
    except SamovarError as error:
        result = Failed(spec.name, str(error))
    except Exception as error:  # noqa: BLE001 - a candidate fails alone, whatever its library raises
        first_line = str(error).strip().partition("\n")[0][:200]
        result = Failed(spec.name, f"{type(error).__name__}: {first_line}")
    _answer(answers, lock, result)


def _killed(spec: CandidateSpec, status: int) -> Any:
    from samovar.training.job import Failed  # noqa: PLC0415

    code = os.waitstatus_to_exitcode(status)
    why = f"was killed by {signal.Signals(-code).name} (out of memory?)" if code < 0 else f"ended with status {code}"
    return Failed(spec.name, f"its process {why}")


def _answer(answers: IO[bytes], lock: int, message: Any) -> None:
    """Write a message whole: children share one pipe, and a result is larger than what a pipe takes at once."""
    fcntl.lockf(lock, fcntl.LOCK_EX)
    try:
        write(answers, message)
    finally:
        fcntl.lockf(lock, fcntl.LOCK_UN)


def _die_with_parent(parent: int) -> None:
    """Be killed when the parent is, however it dies: nobody would read the results."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main()
