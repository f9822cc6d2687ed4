"""The services' log files, read together and followed."""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING, NamedTuple

from samovar.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_SECONDS = 0.2
_TAIL_BYTES = 1_000_000
"""Only so much of the end of a file is read for its last lines."""


class LogLine(NamedTuple):
    """One line of a service's log, without its line break."""

    service: str
    text: str


def read(folder: Path, service: str | None, *, follow: bool, lines: int) -> Iterator[LogLine]:
    """Yield the last lines of one log, or of all; with ``follow`` go on as they grow, for ever.

    Raises:
        NotFound: the service has no log.
    """
    files = sorted(folder.glob("*.log"))
    names = [file.stem for file in files]
    if service is not None and service not in names:
        known = f"There are logs of: {', '.join(names)}." if names else "There are no logs yet: run `samovar up`."
        raise NotFound(f"There is no log of {service!r}.", remedy=known)
    tails = [_Tail(file) for file in files if service in (None, file.stem)]
    return _follow(tails, lines) if follow else _last(tails, lines)


def _last(tails: list[_Tail], lines: int) -> Iterator[LogLine]:
    for tail in tails:
        yield from tail.last(lines)


def _follow(tails: list[_Tail], lines: int) -> Iterator[LogLine]:
    yield from _last(tails, lines)
    while True:
        new = [line for tail in tails for line in tail.new()]
        yield from new
        if not new:
            time.sleep(_POLL_SECONDS)


class _Tail:
    """One log file and how far it was read; a file that was set aside is opened anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._service = path.stem
        self._position = 0
        self._inode = 0

    def last(self, lines: int) -> list[LogLine]:
        """Return the last whole lines of the file, and stand at its end."""
        with self._path.open("rb") as file:
            self._inode = self._path.stat().st_ino
            start = max(0, file.seek(0, 2) - _TAIL_BYTES)
            file.seek(start)
            found = self._whole(file)
        return found[-lines:] if lines > 0 else []

    def new(self) -> list[LogLine]:
        """Return the lines that came since."""
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            return []
        with self._path.open("rb") as file:
            if inode != self._inode or file.seek(0, 2) < self._position:
                self._inode, self._position = inode, 0
            file.seek(self._position)
            return self._whole(file)

    def _whole(self, file: IO[bytes]) -> list[LogLine]:
        """Read to the last line break; what follows it is not finished yet."""
        start, text = file.tell(), file.read()
        end = text.rfind(b"\n") + 1
        self._position = start + end
        return [LogLine(self._service, line.decode(errors="replace")) for line in text[:end].splitlines()]
