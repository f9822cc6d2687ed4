"""The agent: one small event loop that owns sockets, plans and workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar.autoserve import memory, peers, protocol, transport
from samovar.autoserve.agent import config as files
from samovar.autoserve.agent import limits
from samovar.autoserve.agent.endpoint import Endpoint
from samovar.autoserve.agent.epochs import Epochs
from samovar.autoserve.agent.ledger import Ledger
from samovar.autoserve.agent.nursery import Nursery
from samovar.autoserve.agent.peer import Peer
from samovar.autoserve.agent.slots import Artifact, Slot
from samovar.autoserve.agent.turns import Turns
from samovar.autoserve.agent.watch import Watch
from samovar.autoserve.agent.workers import KnownProcess, WorkerProcess, new_token, read_known, write_known
from samovar.autoserve.backoff import Backoff
from samovar.autoserve.plan import Key
from samovar.errors import Conflict, FixInput, SamovarError
from samovar.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from samovar.autoserve.agent.config import AgentConfig
    from samovar.autoserve.tuning import Tuning

log = get_logger(__name__)

_NAME = re.compile(r"[0-9a-f]{32}")
"""Name of an environment, which becomes part of a path."""

_WRITE_SECONDS, _RETRY_SECONDS = 0.02, 5.0

_ROOM = Backoff(first=0.2, longest=5.0)
"""Pauses between attempts to make a worker on a host that has no descriptor or memory left for it."""

ADOPTION_SECONDS = 3.0
"""Longest time a new agent waits for the workers of its forerunner before it takes orders."""


class Agent:
    """Serves endpoints until it is told to end.

    Args:
        config: see ``AgentConfig``.
    """

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._run_dir = Path(config.run_dir)
        self._loop = asyncio.get_running_loop()
        self._epochs = Epochs(self._run_dir / files.EPOCH)
        self._ledger = Ledger(Path(config.ledger), config.port_base, config.host)
        self._lean = Nursery(self._loop, files.named(config, "zygote", config.preload), self._on_forked, lambda: True)
        self._ample = Nursery(self._loop, files.named(config, "ample zygote", config.ample), self._on_forked, self._ample_needed)
        self._others: dict[str, Nursery] = {}  # by environment
        self._watch = Watch(self._loop, config, lambda: list(self._workers.values()), self._renew)
        self._turns = Turns(self._loop)
        self._unborn: set[str] = set()  # workers that were given up before they had a process
        self._unwritten = False
        self._endpoints: dict[Key, Endpoint] = {}
        self._workers: dict[str, WorkerProcess] = {}
        self._peers: set[Peer] = set()
        self._awaited: dict[int, KnownProcess] = {}
        self._adopted = asyncio.Event()
        self._finished = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Listen, adopt what an earlier agent left, and serve until ``Shutdown`` or SIGTERM."""
        (self._run_dir / files.STOP_FILE).unlink(missing_ok=True)
        self._awaited = {process.pid: process for process in read_known(self._run_dir / files.WORKERS)}
        if not self._awaited:
            self._adopted.set()
        self._loop.call_later(ADOPTION_SECONDS, self._adopted.set)
        self._loop.call_later(self._config.hang_seconds, self._end_mute)
        server = transport.listen(self._run_dir / files.SOCKET)
        self._loop.add_reader(server, self._accept, server)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._end, 2.0)
        self._lean.start()
        self._watch.start()
        self._keep_task(self._complete())
        log.info("the agent is ready", adopting=len(self._awaited))
        await self._finished.wait()
        # Whoever asked for the end gets the answer before the line is cut.
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._loop.remove_reader(server)
        server.close()
        for peer in list(self._peers):
            peer.close()
        for name in (files.SOCKET, files.WORKERS, files.EPOCH):
            (self._run_dir / name).unlink(missing_ok=True)

    # --- Host: what endpoints ask -------------------------------------------------------------------------------------------

    @property
    def workers(self) -> int:
        """How many workers serve each endpoint."""
        return self._config.workers

    def spawn(self, endpoint: Endpoint, slot: Slot) -> WorkerProcess:
        """Ask a zygote for a worker."""
        identity = slot.artifact.identity(new_token(), endpoint.key, slot.generation)
        worker = self._register(identity, endpoint)
        self._turns.ask(identity.token, lambda: self._fork(worker, endpoint, slot))
        return worker

    def _fork(self, worker: WorkerProcess, endpoint: Endpoint, slot: Slot) -> None:
        self.later(self._config.load_seconds, lambda: self._too_slow(worker))
        self._try_fork(worker, endpoint, slot)

    def _try_fork(self, worker: WorkerProcess, endpoint: Endpoint, slot: Slot, failures: int = 0) -> None:
        """Ask for a worker's process, again and again while the host has no room: that is no fault of the version."""
        if worker.gone:
            return
        order = protocol.Fork(worker.identity, endpoint.tuning, self._memory(endpoint.tuning))
        first, *rest = endpoint.fds
        try:
            self._nursery(worker.identity).fork(order, [first, slot.artifact.fd, *rest])
        except OSError as error:
            worker.reason = f"The agent's host has no room for a worker ({error.strerror})."
            log.warning("no worker can be made; trying again", model=endpoint.key.model, error=error.strerror)
            again = failures + 1
            self.later(_ROOM.delay(again), lambda: self._try_fork(worker, endpoint, slot, again))
            return
        worker.asked, worker.reason = True, ""

    def _memory(self, tuning: Tuning) -> int:
        """Return the bytes that a worker may take; 0 is no limit."""
        return limits.bound(tuning.memory_mb or self._config.memory_mb, self._config.memory_share)

    def _hold(self, worker: WorkerProcess, endpoint: Endpoint, *, tuned: bool = False) -> None:
        """Keep a worker within its limits. Its wall it got at its birth; later it is moved."""
        worker.limit = self._memory(endpoint.tuning)
        if tuned:
            limits.worker_wall(worker.pid, worker.limit)
        cpus = endpoint.tuning.cpus or self._config.cpus
        if cpus or tuned:
            limits.confine(worker.pid, limits.cores(cpus, endpoint.port))

    def later(self, delay: float, call: Callable[[], None]) -> None:
        """Call after a delay in seconds."""
        self._loop.call_later(delay, call)

    def _nursery(self, identity: protocol.Identity) -> Nursery:
        if identity.environment:
            return self._foreign(identity.environment)
        return self._lean if identity.engine == "compiled" else self._ample

    def _foreign(self, environment: str) -> Nursery:
        """Return who makes workers in an environment of its own; it has a zygote only while it makes some."""
        if environment not in self._others:
            config = files.named(self._config, "foreign zygote", self._config.ample)
            python = str(self._python(environment))
            self._others[environment] = Nursery(self._loop, config, self._on_forked, lambda: False, python)
        return self._others[environment]

    def _python(self, environment: str) -> Path:
        return Path(self._config.environments, environment, "bin", "python")

    def _ample_needed(self) -> bool:
        """Whether a worker runs that only the ample zygote could bring back within a second."""
        return any(self._nursery(worker.identity) is self._ample for worker in self._workers.values())

    def _register(self, identity: protocol.Identity, endpoint: Endpoint | None) -> WorkerProcess:
        worker = WorkerProcess(identity, endpoint, self._config.endpoint.drain_seconds, self._loop, self._on_gone)
        self._workers[identity.token] = worker
        return worker

    def _renew(self, keys: str) -> None:
        for endpoint in self._endpoints.values():
            endpoint.renew(keys)

    def _keep_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _complete(self) -> None:
        """Make up for workers that died together with the earlier agent, or that a changed setting wants more of."""
        await self._adopted.wait()
        for endpoint in self._endpoints.values():
            endpoint.complete()

    def _end_mute(self) -> None:
        """End workers of an earlier agent that never called: they hang, and hold ports that nobody else can have."""
        for process in self._awaited.values():
            log.warning("a worker of the earlier agent does not call", pid=process.pid)
            process.kill()
        self._awaited.clear()

    # --- what happens -------------------------------------------------------------------------------------------------------

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = server.accept()
                peer = Peer(self._loop, sock, self._on_message, self._peers.discard)
                self._peers.add(peer)
                if peer.uid != os.getuid():
                    log.warning("another user's process was turned away", pid=peer.pid, uid=peer.uid)
                    peer.close()

    def _on_message(self, peer: Peer, message: protocol.Message, fds: list[int]) -> None:
        if isinstance(message, protocol.Hello):
            self._on_hello(peer, message, fds)
        elif isinstance(message, protocol.Changed | protocol.Beat):
            transport.close_all(fds)
            worker = peer.owner
            if worker is not None and not worker.gone:
                worker.heard = time.monotonic()
                if isinstance(message, protocol.Changed):
                    self._on_changed(worker, message)
        else:
            self._keep_task(self._answer(peer, message, fds))

    def _on_hello(self, peer: Peer, hello: protocol.Hello, fds: list[int]) -> None:
        token = hello.identity.token
        known = self._workers.get(token)
        if token in self._unborn or (known is not None and known.pid not in {0, peer.pid}):
            # Nobody wants it any more; or a zygote died between its fork and its answer, and the next one forked again.
            self._unborn.discard(token)
            os.kill(peer.pid, signal.SIGKILL)
            transport.close_all(fds)
            return
        if known is not None:
            transport.close_all(fds)
            self._nursery(known.identity).settle(token)
            known.greet(peer, hello)
            self._born(known, peer.pid)
            if hello.state == "accepting" != known.state:
                known.state = hello.state
                if known.endpoint is not None:
                    known.endpoint.on_accepting(known)
        elif fds or hello.state == "draining":
            self._adopt(peer, hello, fds)
        self._write_known()
        self._awaited.pop(peer.pid, None)
        if not self._awaited:
            self._adopted.set()

    def _adopt(self, peer: Peer, hello: protocol.Hello, fds: list[int]) -> None:
        identity = hello.identity
        key = Key(identity.model, identity.alias)
        if len(fds) not in {2, 3} or not memory.is_sealed(fds[1]):  # a worker of an earlier Samovar knows no peers
            # It leaves already, and is only watched until it is gone.
            transport.close_all(fds)
            worker = self._register(identity, None)
            worker.drain()
        else:
            endpoint = self._adopting_endpoint(key, fds[0], fds[2:])
            worker = self._register(identity, endpoint)
            endpoint.adopt(worker, Artifact.named(identity, fds[1]), hello)
            worker.tuning = endpoint.tuning
            if not identity.environment:
                self._nursery(identity).start()
        worker.state = hello.state
        worker.greet(peer, hello)
        self._born(worker, peer.pid)
        log.info("adopted a worker", model=key.model, alias=key.alias, version=identity.version, pid=peer.pid, state=hello.state)

    def _adopting_endpoint(self, key: Key, listener_fd: int, peers_fd: list[int]) -> Endpoint:
        listener = socket.socket(fileno=listener_fd)
        endpoint = self._endpoints.get(key)
        if endpoint is not None:
            listener.close()  # the same socket by another number
            transport.close_all(peers_fd)
            return endpoint
        port = int(listener.getsockname()[1])
        try:
            self._ledger.keep(key, port)
        except OSError as error:  # a full disk is no reason to leave a worker alone that answers
            log.warning("a port cannot be written down", model=key.model, alias=key.alias, error=error.strerror)
        met = socket.socket(fileno=peers_fd[0]) if peers_fd else peers.listen(self._run_dir, key)
        endpoint = self._endpoints[key] = Endpoint(key, port, listener, self, met)
        return endpoint

    def _on_forked(self, token: str, pid: int, pidfd: int) -> None:
        worker = self._workers.get(token)
        if worker is None:
            self._unborn.discard(token)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
            return
        self._born(worker, pid, pidfd)
        self._write_known()

    def _born(self, worker: WorkerProcess, pid: int, pidfd: int | None = None) -> None:
        worker.born(pid, pidfd)
        if worker.endpoint is not None and worker.pid:
            self._hold(worker, worker.endpoint)

    def _on_changed(self, worker: WorkerProcess, changed: protocol.Changed) -> None:
        worker.state = changed.state
        self._turns.over(worker.identity.token)
        if changed.state == "failed":
            worker.reason = changed.reason
            worker.unreadable, worker.host_fault = changed.unreadable, changed.host_fault
        elif changed.state == "accepting" and worker.endpoint is not None:
            worker.endpoint.on_accepting(worker)

    def _on_gone(self, worker: WorkerProcess) -> None:
        token = worker.identity.token
        self._workers.pop(token, None)
        self._turns.over(token)
        self._nursery(worker.identity).settle(token)
        if worker.asked and not worker.pid:
            self._unborn.add(token)
        if worker.endpoint is not None:
            worker.endpoint.on_gone(worker)
        self._write_known()

    def _too_slow(self, worker: WorkerProcess) -> None:
        if worker.state == "loading" and not worker.gone:
            worker.end(worker.reason or f"It did not get ready within {self._config.load_seconds:g} s.")

    def _write_known(self) -> None:
        """Write down who runs, a moment later: two hundred births at once are one write."""
        if not self._unwritten:
            self._unwritten = True
            self._loop.call_later(_WRITE_SECONDS, self._write_now)

    def _write_now(self) -> None:
        self._unwritten = False
        if self._finished.is_set():
            return
        try:
            write_known(self._run_dir / files.WORKERS, [known for worker in self._workers.values() if (known := worker.known)])
        except OSError as error:
            # Workers call the next agent by themselves; what is not written only keeps it from waiting for those that do not.
            log.warning("what runs cannot be written down; trying again", error=error.strerror)
            self._unwritten = True
            self._loop.call_later(_RETRY_SECONDS, self._write_now)

    # --- what the controller asks -------------------------------------------------------------------------------------------

    async def _answer(self, peer: Peer, message: protocol.Message, fds: list[int]) -> None:
        await self._adopted.wait()
        try:
            if isinstance(message, protocol.List):
                self._epochs.admit(message.epoch)
                for endpoint in self._endpoints.values():
                    peer.send(endpoint.state())
                peer.send(protocol.Done())
            elif isinstance(message, protocol.Shutdown):
                await self._shutdown(message.grace)
                peer.send(protocol.Done())
            else:
                peer.send(self._obey(message, fds))
        except SamovarError as error:
            # A port that is held, an address that is not there: what must be mended is the host's.
            peer.send(protocol.Refusal(str(error), host_fault=isinstance(error, FixInput)))
        except OSError as error:  # a full disk, no descriptor left: whoever asked hears it, and asks again
            log.warning("a request failed", error=str(error))
            peer.send(protocol.Refusal(f"The agent's host refuses ({error.strerror}).", host_fault=True))
        except Exception:  # whoever asked must not wait in vain, whatever went wrong
            log.exception("a request failed in a way nobody foresaw", request=type(message).__name__)
            peer.send(protocol.Refusal("The agent failed at this request; its log says why.", host_fault=True))
        finally:
            transport.close_all(fds)

    def _obey(self, message: protocol.Message, fds: list[int]) -> protocol.Message:
        if self._ending is not None:
            return protocol.Refusal("The agent is ending.", host_fault=True)
        if isinstance(message, protocol.Order) and not self._epochs.admit(message.epoch):
            return protocol.Refusal(self._epochs.refusal, stale=True)
        if isinstance(message, protocol.Serve):
            return self._serve(message, fds)
        if isinstance(message, protocol.Build):
            return protocol.Done() if self._ample.build(message, fds) else protocol.Missing()
        if isinstance(message, protocol.Cancel | protocol.Stop | protocol.Tune):
            self._change(message)
            return protocol.Done()
        return protocol.Refusal("This is no request to an agent.")

    def _change(self, message: protocol.Cancel | protocol.Stop | protocol.Tune) -> None:
        key = Key(message.model, message.alias)
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            return
        if isinstance(message, protocol.Tune):
            endpoint.tune(message.tuning)
            for worker in self._workers.values():
                if worker.endpoint is endpoint and worker.pid:
                    self._hold(worker, endpoint, tuned=True)
        elif isinstance(message, protocol.Cancel):
            endpoint.cancel()
        else:
            del self._endpoints[key]
            endpoint.stop()
            peers.forget(self._run_dir, key)

    def _serve(self, request: protocol.Serve, fds: list[int]) -> protocol.Message:
        key = Key(request.model, request.alias)
        endpoint = self._endpoints.get(key)
        if not fds and endpoint is not None and endpoint.has(request):
            return protocol.Done()
        artifact = self._artifact(request, fds)
        if artifact is None:
            return protocol.Missing()
        try:
            if endpoint is None:
                port, listener = self._ledger.bind(key)
                endpoint = self._endpoints[key] = Endpoint(key, port, listener, self, peers.listen(self._run_dir, key))
        except (SamovarError, OSError):
            artifact.close()
            raise
        endpoint.offer(artifact)
        return protocol.Done()

    def _artifact(self, request: protocol.Serve, fds: list[int]) -> Artifact | None:
        if fds:
            if not memory.is_sealed(fds[0]):
                raise SamovarError("The plan is not in sealed memory.")
            if not self._has(request.environment):
                raise Conflict("The environment of the version is not there.")
            return Artifact.named(request, os.dup(fds[0]))
        # Also of another model's endpoint: a registered model that was renamed has the same versions.
        for endpoint in self._endpoints.values():
            for known in endpoint.artifacts:
                if known.answers(request) and self._has(known.environment):
                    return known.copy()
        return None

    def _has(self, environment: str) -> bool:
        """Whether workers can be made in an environment; the empty name is this host's own."""
        return not environment or (bool(_NAME.fullmatch(environment)) and self._python(environment).exists())

    def _end(self, grace: float) -> None:
        self._keep_task(self._shutdown(grace))

    async def _shutdown(self, grace: float) -> None:
        if self._ending is None:
            self._ending = self._loop.create_task(self._finish(grace))
        await asyncio.shield(self._ending)

    async def _finish(self, grace: float) -> None:
        log.info("ending", workers=len(self._workers))
        for endpoint in self._endpoints.values():
            endpoint.stop()
        self._endpoints.clear()
        deadline = time.monotonic() + grace
        while self._workers:
            if time.monotonic() > deadline:
                for worker in list(self._workers.values()):
                    worker.kill()
            await asyncio.sleep(0.01)
        self._watch.close()
        self._lean.close()
        for nursery in (self._ample, *self._others.values()):
            nursery.close()
        # A worker forked in the zygote's last moment finds no agent; the file tells it that none will come.
        (self._run_dir / files.STOP_FILE).touch(mode=0o600)
        self._finished.set()
