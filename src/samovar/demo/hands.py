"""The process that does the demo's steps, so that the storyteller stays small and what the steps loaded goes when they are done.

Polars, scikit-learn, pandas and matplotlib together hold 200 MB. While the scheduler retrains, its own process holds them again;
a storyteller that has nothing to do but wait must not hold them beside it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import traceback
from typing import TYPE_CHECKING, Any

from samovar.errors import GiveUp, SamovarError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    Report = Callable[[str, int, int, float | None], None]

_GRACE_SECONDS = 10
_PROGRESS = "progress"


class Hands:
    """A process forked from this one, which runs one step after the other.

    Forked, not started anew: what the caller declared or patched is there without being sent.

    Args:
        work: its methods are the steps; they give results that can be pickled. It is closed when the process ends.
    """

    def __init__(self, work: Any) -> None:
        context = multiprocessing.get_context("fork")
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._line, work), name="demo-hands")
        self._process.start()
        theirs.close()

    def do(self, step: str, /, *arguments: Any, progress: Report | None = None) -> Any:
        """Run a step there and return its result; raises what it raises.

        Raises:
            GiveUp: the process ended, or the step failed by a defect.
        """
        try:
            self._line.send((step, arguments, progress is not None))
            return self._result(progress)
        except (EOFError, OSError):
            self._process.join(_GRACE_SECONDS)
            raise GiveUp(f"The process of the demo's steps ended ({self._process.exitcode}) during {step}.") from None

    def _result(self, progress: Report | None) -> Any:
        while True:
            kind, value = self._line.recv()
            if kind != _PROGRESS:
                break
            assert progress is not None
            progress(*value)
        if isinstance(value, SamovarError):
            raise value
        return value

    def close(self) -> None:
        """Let the process end; what its steps loaded is given back."""
        self._line.close()
        self._process.join(_GRACE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(line: Connection, other_end: Connection, work: Any) -> None:
    other_end.close()  # or the line would never be seen to end
    with contextlib.closing(work):
        for step, arguments, wants_progress in _calls(line):
            told = {"progress": lambda *state: line.send((_PROGRESS, state))} if wants_progress else {}
            line.send(("done", _outcome(getattr(work, step), arguments, told)))


def _calls(line: Connection) -> Iterator[tuple[str, tuple[Any, ...], bool]]:
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            yield line.recv()


def _outcome(step: Callable[..., Any], arguments: tuple[Any, ...], told: dict[str, Any]) -> Any:
    try:
        return step(*arguments, **told)
    except SamovarError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a defect in one step is told, and ends that act alone
        traceback.print_exc()
        return GiveUp(f"{type(error).__name__}: {error}")


__all__ = ["Hands"]
