"""The port ledger: one address for life."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import msgspec

from samovar.autoserve.plan import Key
from samovar.errors import Conflict, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

LAST_PORT = 65_535


class _Entry(msgspec.Struct, frozen=True):
    model: str
    alias: str
    port: int


class Ledger:
    """Remembers on disk which alias has which port, also while its endpoint does not run.

    Args:
        path: JSON file; made when missing.
        base: first port given out.
        host: address that endpoints listen at.

    Raises:
        SettingsError: the file is no ledger.
    """

    def __init__(self, path: Path, base: int, host: str = "127.0.0.1") -> None:
        self._path = path
        self._base = base
        self._host = host
        self._ports = _load(path)

    def bind(self, key: Key) -> tuple[int, socket.socket]:
        """Return the port of an alias and a socket bound to it, not listening yet.

        A new alias gets the next port that no alias owns and no program holds.

        Raises:
            Conflict: another program holds the alias's port, or all ports are taken.
            SettingsError: this host has not the address.
        """
        known = self._ports.get(key)
        if known is not None:
            return known, _bind(self._host, known)
        taken = set(self._ports.values())
        for port in range(self._base, LAST_PORT + 1):
            if port in taken:
                continue
            try:
                listener = _bind(self._host, port)
            except Conflict:
                continue
            try:
                self.keep(key, port)
            except OSError:
                listener.close()
                raise
            return port, listener
        raise Conflict(f"No port from {self._base} on is free.", remedy="Set SAMOVAR_ENDPOINT_PORT_BASE to a lower port.")

    def keep(self, key: Key, port: int) -> None:
        """Write down that the port belongs to the alias."""
        if self._ports.get(key) == port:
            return
        known = self._ports | {key: port}
        entries = [_Entry(key.model, key.alias, port) for key, port in sorted(known.items())]
        write_atomically(self._path, msgspec.json.format(msgspec.json.encode(entries)))
        self._ports = known


def write_atomically(path: Path, data: bytes, *, durable: bool = True, drafts: Path | None = None) -> None:
    """Write a file that is either the old or the new one, whatever is killed.

    Args:
        path: the file.
        data: its new content.
        durable: it is so also when the machine stops.
        drafts: folder of the same file system for what is not ready, if somebody watches the file's own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = (drafts or path.parent) / f".{path.name}.{os.getpid()}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)  # half a file helps nobody on a disk that is full
        raise


def _load(path: Path) -> dict[Key, int]:
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=list[_Entry])
    except FileNotFoundError:
        return {}
    except (msgspec.DecodeError, OSError) as error:
        raise SettingsError(
            f"{path} is no readable port ledger ({type(error).__name__}).", remedy="Restore it, or delete it to assign new ports."
        ) from None
    return {Key(entry.model, entry.alias): entry.port for entry in entries}


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Inherited by every accepted connection: without it, Nagle and delayed ACK add 40 ms to an answer.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise SettingsError(
                f"This host has no address {host}.", remedy="Set SAMOVAR_ENDPOINT_HOST to one of its own, or to 0.0.0.0 for all."
            ) from None
        if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        raise Conflict(
            f"Port {port} is held by another program.", remedy="End that program; the endpoint then starts by itself."
        ) from None
    return listener
