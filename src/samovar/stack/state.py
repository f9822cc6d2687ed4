"""What is known about a stack, as files in ``home/run``; each is replaced as a whole, so that a reader never sees half of one.

``plan.json`` says what shall run and is written once by ``samovar up``. ``state.json`` says what runs and is written by the
supervisor on every change. ``supervisor.json`` and ``guardian.json`` say who the two are. ``addresses.json`` is for everybody else.
``stopping`` exists once somebody asked the stack to stop; from then on nothing is restarted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from samovar.stack.processes import Identity, boot_id, me

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Health = Literal["starting", "healthy", "unhealthy", "restarting"]
_T = TypeVar("_T")


class Probe(msgspec.Struct, frozen=True):
    """How a service shows that it is well.

    Attributes:
        kind: ``http``: GET of the URL answers 200; ``agent``: the agent of the run folder lists its endpoints; ``beat``: the file
            was touched a moment ago.
        target: URL or path.
    """

    kind: Literal["http", "agent", "beat"]
    target: str


class Service(msgspec.Struct, frozen=True):
    """One program that shall run.

    Attributes:
        name: its name in every table, log and address file.
        argv: program and arguments.
        probe: how it shows that it is well.
        env: variables set on top of the supervisor's environment.
        drop: variables taken away from it.
        address: URL under which others reach it, if any.
        grace: seconds it gets between SIGTERM and SIGKILL.
    """

    name: str
    argv: tuple[str, ...]
    probe: Probe
    env: dict[str, str] = {}
    drop: tuple[str, ...] = ()
    address: str | None = None
    grace: float = 5.0


class Plan(msgspec.Struct, frozen=True):
    """All that shall run, in the order in which it is started.

    Attributes:
        stack: names this stack; every process of it carries the name in its environment.
        logs: folder of the log files.
        services: the programs.
        addresses: URL by service name, for ``addresses.json``.
        ports: what the supervisor keeps reserved.
    """

    stack: str
    logs: str
    services: tuple[Service, ...]
    addresses: dict[str, str] = {}
    ports: tuple[int, ...] = ()


class ServiceState(msgspec.Struct):
    """What is known about one service.

    Attributes:
        identity: its process, or the last one; None before the first start.
        health: as of the last probe.
        restarts: starts after the first one.
        changed: Unix time of the last change of ``health``.
        last_exit: how it ended last.
    """

    identity: Identity | None = None
    health: Health = "starting"
    restarts: int = 0
    changed: float = msgspec.field(default_factory=time.time)
    last_exit: str | None = None


class StackState(msgspec.Struct):
    """What runs, of one boot of the machine."""

    boot: str = msgspec.field(default_factory=boot_id)
    services: dict[str, ServiceState] = {}


class Keeper(msgspec.Struct):
    """Who the supervisor or the guardian is, and how often it was started again."""

    identity: Identity
    restarts: int = 0
    boot: str = msgspec.field(default_factory=boot_id)


class RunDir:
    """The files of one stack.

    Args:
        path: ``home/run``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def ending(self, plan: Plan) -> bool:
        """Whether the stack shall end: it was asked to, or its folder was deleted, or made anew for another stack."""
        return (self.path / "stopping").exists() or not self.belongs_to(plan)

    def belongs_to(self, plan: Plan) -> bool:
        """Whether this folder is that stack's."""
        current = self.plan()
        return current is not None and current.stack == plan.stack

    def ask_to_stop(self) -> None:
        """Let nothing be restarted from now on."""
        with contextlib.suppress(FileNotFoundError):  # a deleted folder says the same
            (self.path / "stopping").touch(mode=0o600)

    def plan(self) -> Plan | None:
        """What shall run; None when no stack was started here."""
        return self._read("plan.json", Plan)

    def write_plan(self, plan: Plan) -> None:
        """Say what shall run, and where it will answer."""
        self._write("plan.json", plan)
        self._write("addresses.json", plan.addresses)

    def state(self) -> StackState:
        """What runs; nothing when the file is of another boot."""
        found = self._read("state.json", StackState)
        return found if found is not None and found.boot == boot_id() else StackState()

    def write_state(self, state: StackState) -> None:
        """Say what runs."""
        self._write("state.json", state)

    def keeper(self, role: str) -> Keeper | None:
        """Who the supervisor or the guardian is, dead or alive; None when there is none of this boot."""
        found = self._read(f"{role}.json", Keeper)
        return found if found is not None and found.boot == boot_id() else None

    def enter(self, role: str) -> Keeper:
        """Write the calling process down as supervisor or guardian."""
        before = self.keeper(role)
        keeper = Keeper(me(), restarts=0 if before is None else before.restarts + 1)
        self._write(f"{role}.json", keeper)
        return keeper

    def clear(self) -> None:
        """Forget the stack. Locks stay: to remove one would race with whoever waits for it."""
        for file in self.path.iterdir():
            if file.suffix != ".lock" and not file.is_dir():
                file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self, name: str, seconds: float = 0.0) -> Iterator[bool]:
        """Hold a lock that the holder's death frees; yields False when another has held it for all of ``seconds``."""
        descriptor = os.open(self.path / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield _flock(descriptor, seconds)
        finally:
            os.close(descriptor)

    def _read(self, name: str, kind: type[_T]) -> _T | None:
        try:
            return msgspec.json.decode((self.path / name).read_bytes(), type=kind)
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self, name: str, content: object) -> None:
        # No fsync: what these files say ends with the boot anyway, and the supervisor must not wait for a disk.
        temporary = self.path / f".{name}.{os.getpid()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - opened by descriptor for its mode
            file.write(msgspec.json.encode(content))
        temporary.rename(self.path / name)


def _flock(descriptor: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True
