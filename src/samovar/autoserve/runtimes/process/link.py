"""Talking to the agent of this host."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

import msgspec

from samovar.autoserve import protocol, transport
from samovar.autoserve.agent import config as files
from samovar.autoserve.agent.workers import read_known
from samovar.autoserve.plan import Key
from samovar.errors import GiveUp, ModelError, StackUnavailable, Superseded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from samovar.autoserve.agent.workers import KnownProcess
    from samovar.autoserve.tuning import Tuning

_LOOK_SECONDS = 0.2
"""How soon it is seen that a version under way is not wanted any more: a model that hangs must not hold up the next one."""

TIMEOUT = 10.0
"""Seconds an agent may take to answer; it never does more than start a fork while it is asked."""


class AgentLink:
    """Asks the agent; each call is a connection of its own, so calls from several threads do not meet.

    Args:
        run_dir: the run folder that the agent was started with.
        timeout: seconds to wait for an answer.

    Attributes:
        epoch: number of the controller's lease, which all orders carry; an order with an older one than the agent has heard raises
            ``Superseded``.
    """

    def __init__(self, run_dir: Path, *, timeout: float = TIMEOUT) -> None:
        self._run_dir = run_dir
        self._timeout = timeout
        self.epoch = 0

    def serve(self, request: protocol.Serve, plan_fd: int | None = None) -> bool:
        """Have a version served; without a plan the agent must have it in memory.

        Returns:
            False when no plan was given and the agent has none: fetch and build it.

        Raises:
            GiveUp: the agent refuses; the message says why.
            StackUnavailable: no agent answers, or it refuses by its host's fault.
        """
        return not isinstance(self._ask(request, [] if plan_fd is None else [plan_fd]), protocol.Missing)

    def build(
        self, order: protocol.Build, request_fd: int, wished: Callable[[], bool] = lambda: True
    ) -> tuple[protocol.Built, int | None] | None:
        """Have a version built in a process that has the libraries loaded already; wait for it as long as it is ``wished``.

        Returns:
            The answer, and the sealed plan's descriptor, which the caller owns, when there is one; None when nobody wishes for the
            version any more.

        Raises:
            StackUnavailable: there is no agent, or no builder can be made now.
            ModelError: the builder died.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                taken = self._ask(order, [request_fd, theirs.fileno()])
            if isinstance(taken, protocol.Missing):
                raise StackUnavailable("The agent has no zygote now.")
            # A margin, for the zygote may still be importing; the builder keeps its own deadline.
            began = time.monotonic()
            packet, fds = _awaited(ours, began + order.seconds + self._timeout, wished)
        if not packet and not wished():
            return None
        if not packet:
            raise _died(order, time.monotonic() - began)
        built = protocol.decode(packet)
        assert isinstance(built, protocol.Built)
        return built, fds[0] if fds else None

    def cancel(self, key: Key) -> None:
        """Forget the version that is loading at an endpoint."""
        self._ask(protocol.Cancel(*key))

    def stop(self, key: Key) -> None:
        """End an endpoint."""
        self._ask(protocol.Stop(*key))

    def tune(self, key: Key, tuning: Tuning) -> None:
        """Change how an endpoint serves."""
        self._ask(protocol.Tune(*key, tuning))

    def endpoints(self) -> dict[Key, protocol.EndpointState]:
        """Return all endpoints."""
        with self._line() as line:
            transport.send(line, protocol.encode(protocol.List(self.epoch)))
            found: dict[Key, protocol.EndpointState] = {}
            while isinstance(state := _reply(line), protocol.EndpointState):
                found[Key(state.model, state.alias)] = state
            if isinstance(state, protocol.Refusal):  # a part of the list would say that the others have ended
                raise StackUnavailable(state.message)
            return found

    def shutdown(self, *, grace: float = 2.0) -> None:
        """End all workers and the agent; returns when the workers are gone.

        When no agent answers, workers that it left behind are told by a file, which they see within a tenth of a second; those that
        still answer somebody after ``grace`` are ended, as an agent does it.
        """
        with contextlib.suppress(StackUnavailable):
            self._ask(protocol.Shutdown(grace), timeout=grace + self._timeout)
            return
        self._abandon(grace)

    def _abandon(self, grace: float) -> None:
        left = read_known(self._run_dir / files.WORKERS)
        if not left:
            return
        (self._run_dir / files.STOP_FILE).touch(mode=0o600)
        if _gone(left, grace):
            return
        for process in left:
            process.kill()
        if not _gone(left, self._timeout):
            raise StackUnavailable(f"{len(left)} endpoint workers do not leave.", remedy="Look at their logs, then kill them.")

    def _ask(self, request: protocol.Message, fds: list[int] | None = None, *, timeout: float | None = None) -> protocol.Message:
        if isinstance(request, protocol.Order):
            request = msgspec.structs.replace(request, epoch=self.epoch)
        with self._line(timeout) as line:
            transport.send(line, protocol.encode(request), fds or [])
            reply = _reply(line)
        if isinstance(reply, protocol.Refusal):
            raise (Superseded if reply.stale else StackUnavailable if reply.host_fault else GiveUp)(reply.message)
        return reply

    @contextlib.contextmanager
    def _line(self, timeout: float | None = None) -> Iterator[socket.socket]:
        try:
            with transport.connect(self._run_dir / files.SOCKET, timeout=timeout or self._timeout) as line:
                yield line
        except (OSError, msgspec.DecodeError) as error:
            raise StackUnavailable(f"The agent does not answer ({type(error).__name__}).", remedy="Run `samovar up`.") from None


def _gone(processes: Iterable[KnownProcess], seconds: float) -> bool:
    """Whether processes end within some seconds."""
    deadline = time.monotonic() + seconds
    while any(process.alive for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _awaited(line: socket.socket, deadline: float, wished: Callable[[], bool]) -> tuple[bytes, list[int]]:
    """Return the packet that comes; an empty one when none does, or nobody wishes for it any more."""
    line.settimeout(_LOOK_SECONDS)
    while wished() and time.monotonic() < deadline:
        try:
            return transport.receive(line)
        except TimeoutError:
            continue
        except OSError:
            break
    return b"", []


def _died(order: protocol.Build, lived: float) -> ModelError:
    if lived >= order.seconds:
        return ModelError(
            f"Building the version took more than {order.seconds:.0f} seconds.",
            remedy="Raise SAMOVAR_BUILD_SECONDS or make it smaller.",
        )
    return ModelError("The builder died while loading the version.", remedy="Load the model by hand to see why.")


def _reply(line: socket.socket) -> protocol.Message:
    packet, fds = transport.receive(line)
    transport.close_all(fds)
    if not packet:
        raise ConnectionResetError
    return protocol.decode(packet)
