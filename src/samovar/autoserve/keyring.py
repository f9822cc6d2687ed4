"""The file of API keys: names, and of each key its hash only.

Without the file endpoints ask for no key. With it they do, also when it holds none any more: whoever takes the last key back wants
nobody in, not everybody.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from samovar.autoserve.agent.ledger import write_atomically
from samovar.errors import Conflict, NotFound, SettingsError
from samovar.serving import keys

if TYPE_CHECKING:
    from collections.abc import Iterator


class Entry(msgspec.Struct, frozen=True):
    """One key.

    Attributes:
        name: whom it was given to.
        hash: see `samovar.serving.keys.hashed`.
        created: seconds since the epoch.
    """

    name: str
    hash: str
    created: float = 0.0


def entries(path: Path) -> list[Entry] | None:
    """Return the keys of a file; None when there is no file.

    Raises:
        SettingsError: it cannot be read. It is not taken for an absent one: that would open the endpoints.
    """
    return Ring.read(path).entries()


def hashes(path: Path) -> tuple[str, ...]:
    """Return what an endpoint is told of the keys: nothing without a file; raises as ``entries``."""
    return Ring.read(path).hashes()


class Ring(msgspec.Struct, frozen=True):
    """A file of keys as it was at one moment.

    Attributes:
        path: the file.
        content: what was in it; None when there was no file.
        error: why it could not be read; empty when it could.
    """

    path: Path
    content: bytes | None = None
    error: str = ""

    @classmethod
    def read(cls, path: Path) -> Ring:
        """Read a file; one that cannot be read is told from one that is not there when it is asked for its keys."""
        try:
            return cls(path, path.read_bytes())
        except FileNotFoundError:
            return cls(path)
        except OSError as error:
            return cls(path, error=type(error).__name__)

    @property
    def digest(self) -> str:
        """What tells these keys from others; empty when there is no file, so that nobody is asked for a key."""
        if self.content is None:
            return self.error
        return hashlib.sha256(self.content).hexdigest()[:16]

    def entries(self) -> list[Entry] | None:
        """Return the keys; None when there is no file. Raises ``SettingsError``."""
        error = self.error
        if self.content is not None:
            try:
                return msgspec.json.decode(self.content, type=list[Entry])
            except msgspec.DecodeError as wrong:
                error = type(wrong).__name__
        if not error:
            return None
        raise SettingsError(f"{self.path} is no readable file of API keys ({error}).", remedy="Restore it, or make new keys.")

    def hashes(self) -> tuple[str, ...]:
        """Return what an endpoint is told of the keys: nothing without a file. Raises ``SettingsError``."""
        known = self.entries()
        if known is None:
            return ()
        # Of a key that nobody ever saw, so that an empty file lets nobody in.
        return tuple(entry.hash for entry in known) or (keys.hashed(keys.generated()),)


NOBODY = Ring(Path())
"""No file: nobody is asked for a key."""


def demand(path: str | Path, host: str, *, what: str = "Endpoints") -> None:
    """Refuse an address that strangers reach, unless they are asked for a key.

    Raises:
        SettingsError: nobody would be; or the file cannot be read.
    """
    if not path or not hashes(Path(path)):
        raise SettingsError(
            f"{what} at {host} can be reached from other hosts and would ask for no key.",
            remedy="Make a key with `samovar keys add NAME`, or set SAMOVAR_AUTH=off to let everybody in.",
        )


def add(path: Path, name: str) -> str:
    """Make a key, keep its hash, and return it: this is the only time it is seen.

    Raises:
        Conflict: the name has a key.
    """
    key = keys.generated()
    with _alone(path):
        known = entries(path) or []
        if any(entry.name == name for entry in known):
            raise Conflict("That name has a key already.", remedy="Take it back first, or choose another name.")
        _write(path, [*known, Entry(name, keys.hashed(key), time.time())])
    return key


def remove(path: Path, name: str) -> None:
    """Take a key back; raises ``NotFound``."""
    with _alone(path):
        known = entries(path) or []
        left = [entry for entry in known if entry.name != name]
        if len(left) == len(known):
            raise NotFound("No key has that name.", remedy="See `samovar keys list`.")
        _write(path, left)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other commands out between reading and writing: of two keys made at once, one would be lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file of its own, since the keys' file is replaced by each writer.
    fd = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _write(path: Path, known: list[Entry]) -> None:
    write_atomically(path, msgspec.json.format(msgspec.json.encode(known)) + b"\n")
