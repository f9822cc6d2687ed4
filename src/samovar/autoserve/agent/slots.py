"""A version at an endpoint: its plan in sealed memory, and the workers that serve it."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Protocol

from samovar.autoserve import protocol

if TYPE_CHECKING:
    from samovar.autoserve.plan import Key
    from samovar.autoserve.tuning import Tuning


@dataclasses.dataclass
class Artifact:
    """A plan in sealed memory, and what is known of it without reading it. Owns its descriptor."""

    version: int
    label: str
    origin: str
    engine: str
    format: int
    notes: str
    fd: int
    environment: str = ""

    @classmethod
    def named(cls, told: protocol.Serve | protocol.Identity, fd: int) -> Artifact:
        """Name a plan as its bringer or its worker names it. Takes the descriptor over."""
        return cls(told.version, told.label, told.origin, told.engine, told.format, told.notes, fd, told.environment)

    def identity(self, token: str, key: Key, generation: int) -> protocol.Identity:
        """Return who a worker of this plan is."""
        return protocol.Identity(
            token, *key, self.version, self.label, self.origin, generation, self.engine, self.format, self.notes, self.environment
        )

    def answers(self, request: protocol.Serve) -> bool:
        """Whether this is the version that is asked for, in a format that is still read."""
        return (self.version, self.origin, self.format) == (request.version, request.origin, request.format)

    def copy(self) -> Artifact:
        """Return another owner of the same memory."""
        return dataclasses.replace(self, fd=os.dup(self.fd))

    def close(self) -> None:
        """Give the memory up."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Worker(Protocol):
    """A worker process as the endpoint needs it."""

    pid: int
    state: protocol.WorkerState
    reason: str
    unreadable: bool
    host_fault: bool
    started: float
    keys: str

    def drain(self) -> None:
        """Ask it to leave; it is killed when it takes too long."""

    def kill(self) -> None:
        """End it now."""

    def tune(self, tuning: Tuning) -> None:
        """Have it serve in another way."""


@dataclasses.dataclass(eq=False)
class Slot:
    """A version at an endpoint, and the workers that serve it."""

    artifact: Artifact
    generation: int
    workers: list[Worker] = dataclasses.field(default_factory=list)
    crashes: int = 0
    since: float = 0.0

    def accepting(self) -> list[Worker]:
        """Return the workers that answer."""
        return [worker for worker in self.workers if worker.state == "accepting"]
