"""The file of API keys: names, and of each key its hash only.

Without the file endpoints ask for no key. With it they do, also when it holds none any more: whoever takes the last key back wants
nobody in, not everybody.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from samovar.autoserve.agent.ledger import write_atomically
from samovar.errors import Conflict, NotFound, SettingsError
from samovar.serving import keys


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
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Entry])
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError(
            f"{path} is no readable file of API keys ({type(error).__name__}).", remedy="Restore it, or make new keys."
        ) from None


def hashes(path: Path) -> tuple[str, ...]:
    """Return what an endpoint is told of the keys: nothing without a file; raises as ``entries``."""
    known = entries(path)
    if known is None:
        return ()
    # Of a key that nobody ever saw, so that an empty file lets nobody in.
    return tuple(entry.hash for entry in known) or (keys.hashed(keys.generated()),)


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
    known = entries(path) or []
    if any(entry.name == name for entry in known):
        raise Conflict("That name has a key already.", remedy="Take it back first, or choose another name.")
    key = keys.generated()
    _write(path, [*known, Entry(name, keys.hashed(key), time.time())])
    return key


def remove(path: Path, name: str) -> None:
    """Take a key back; raises ``NotFound``."""
    known = entries(path) or []
    left = [entry for entry in known if entry.name != name]
    if len(left) == len(known):
        raise NotFound("No key has that name.", remedy="See `samovar keys list`.")
    _write(path, left)


def _write(path: Path, known: list[Entry]) -> None:
    write_atomically(path, msgspec.json.format(msgspec.json.encode(known)) + b"\n")
