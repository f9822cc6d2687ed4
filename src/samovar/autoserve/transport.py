"""Unix sockets that keep message borders and carry descriptors."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PACKET = 128 * 1024
"""Largest packet read. The kernel's default send buffer is a little larger; no message of ours comes near."""

_MAX_FDS = 4


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """Give an address of ``path`` that is short enough for a Unix socket, as long as the block lasts."""
    # A Unix address holds 107 bytes and state folders can lie deep: name the folder by a descriptor.
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path) -> socket.socket:
    """Listen at ``path``, which only this user may open. A file left there by a dead listener is replaced."""
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    before = os.umask(0o177)
    try:
        with short(path) as address:
            server.bind(address)
    finally:
        os.umask(before)
    server.listen(128)
    server.setblocking(False)
    return server


def connect(path: Path, *, timeout: float | None) -> socket.socket:
    """Connect to ``path``; raises ``OSError`` when nobody listens."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(timeout)
    try:
        with short(path) as address:
            client.connect(address)
    except OSError:
        client.close()
        raise
    return client


def send(sock: socket.socket, packet: bytes, fds: Sequence[int] = (), *, wait: bool = True) -> None:
    """Send one packet with its descriptors, which stay the caller's.

    Raises:
        OSError: the other side left; ``BlockingIOError``: there is no room now and nobody shall ``wait``.
    """
    socket.send_fds(sock, [packet], list(fds), socket.MSG_NOSIGNAL | (0 if wait else socket.MSG_DONTWAIT))


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Receive one packet and its descriptors, which the caller then owns; an empty packet means that the other side left."""
    packet, fds, _, _ = socket.recv_fds(sock, PACKET, _MAX_FDS, socket.MSG_CMSG_CLOEXEC)
    return packet, list(fds)


def peer(sock: socket.socket) -> tuple[int, int]:
    """Return (pid, uid) of the other side, as the kernel knows them."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    return pid, uid


def duplicate(fds: Sequence[int]) -> list[int]:
    """Duplicate descriptors: all of them, or none when there is no room (``OSError``)."""
    made: list[int] = []
    try:
        made.extend(os.dup(fd) for fd in fds)
    except OSError:
        close_all(made)
        raise
    return made


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that nobody wants."""
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
