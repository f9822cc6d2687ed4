"""One file of the prediction log while it is written."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

import msgspec

from samovar.serving.spool import folder as folder_
from samovar.serving.spool.records import MAGIC, Header, frame

if TYPE_CHECKING:
    from pathlib import Path


class Segment:
    """A file that only its process appends to.

    Args:
        folder: where it is made.
        header: its first frame; the segment's name is put in.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.id = folder_.new_id()
        self.requests = 0
        self.size = 0
        self._folder = folder
        hidden = folder / (self.id + folder_.NEW)
        self.file = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.write(MAGIC + frame(msgspec.msgpack.encode(msgspec.structs.replace(header, segment=self.id))), 0)
            self.path = hidden.rename(folder / (self.id + folder_.OPEN))
        except OSError:
            os.close(self.file)
            hidden.unlink(missing_ok=True)
            raise

    def write(self, data: bytes | bytearray, requests: int) -> None:
        """Append all of ``data`` or nothing.

        Raises:
            OSError: it could not be written.
        """
        try:
            written = os.write(self.file, data)
            while written < len(data):  # the rest of a very large group, or what shows why there is no room for it
                written += os.write(self.file, memoryview(data)[written:])
        except OSError:
            with contextlib.suppress(OSError):  # else the torn frame is the end of the file for its readers
                os.ftruncate(self.file, self.size)
            raise
        self.size += written
        self.requests += requests

    @property
    def is_there(self) -> bool:
        """Whether the file still has a name: somebody may have deleted the folder."""
        return os.fstat(self.file).st_nlink > 0

    def seal(self) -> None:
        """Give the file the name of a complete one; the caller closes it.

        Raises:
            OSError: it is gone, or the folder cannot be written.
        """
        self.path = self.path.rename(self._folder / folder_.sealed_name(self.id, self.requests))
