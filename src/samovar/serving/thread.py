"""One thread beside the event loop, that does one thing after another and brings the results back to the loop."""

from __future__ import annotations

import contextlib
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from samovar.errors import ModelError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

T = TypeVar("T")


class Beside(Generic[T]):
    """A thread for work that would hold up the loop.

    Lighter than an executor (no lock, no future: some 20 us a call), and a daemon: a model that never comes back must not keep a
    process from ending.

    Args:
        name: of the thread.
        loop: where results go.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._began: float | None = None  # when what is being done began
        self._work: SimpleQueue[tuple[Callable[[], T], Callable[[T | Exception], None]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def do(self, work: Callable[[], T], then: Callable[[T | Exception], None]) -> None:
        """Call ``work()`` in the thread, then ``then(result or exception)`` on the loop."""
        self._work.put((work, then))

    @property
    def busy_seconds(self) -> float:
        """How long what is being done has taken so far; 0 when nothing is."""
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    def close(self) -> None:
        """Let the thread go when it has done what it was given."""
        self._work.put(None)

    def _run(self) -> None:
        while (task := self._work.get()) is not None:
            work, then = task
            result: T | Exception
            self._began = time.monotonic()
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                result = error
            except BaseException as error:  # noqa: BLE001 - a model that calls sys.exit() ends neither us nor the wait for it
                result = ModelError(f"The model failed ({type(error).__name__}).")
            self._began = None
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(then, result)
            del task, work, then, result  # a thread that waits must not keep the last request alive
