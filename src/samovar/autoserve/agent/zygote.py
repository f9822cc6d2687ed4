"""A zygote: has everything imported, stays single-threaded, and forks workers in milliseconds.

There are two: a lean one for workers of compiled plans, and an ample one, with the models' own libraries, for builders and for all
other workers. What differs is only the list of modules.

Started by the agent as its own fresh program, so that no thread or lock of the agent can be copied into a worker. It ends when the
agent does; its workers do not.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import random
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from samovar import logs
from samovar.autoserve import protocol, transport
from samovar.autoserve.agent import builder, limits, titles, worker
from samovar.autoserve.agent.config import AgentConfig, read_config

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logs.get_logger(__name__)


def threads() -> int:
    """Return how many threads this process has."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def preload(modules: Sequence[str]) -> None:
    """Import what workers need; a module that is not installed is left to the worker that needs it."""
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - a broken library breaks the models that need it, not the zygote
            log.warning("a module cannot be preloaded", module=name, error=str(error))


def main() -> int:
    """Run until the agent leaves."""
    config = read_config(sys.stdin.buffer.read())
    logs.configure("mlflow-autoserve-zygote", level=config.log_level, fmt=config.log_format)
    titles.set_title(f"samovar: {config.zygote_name}")
    agent = socket.socket(fileno=config.zygote_fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    preload(config.preload)
    gc.collect()
    gc.freeze()  # pages of what is imported are never written by the collector, so workers share them
    transport.send(agent, protocol.encode(protocol.Done()))  # everything is imported: orders are obeyed from now on
    while True:
        packet, fds = transport.receive(agent)
        if not packet:
            return 0
        message = protocol.decode(packet)
        if isinstance(message, protocol.Fork):
            _make_worker(agent, message, fds, config)
        elif isinstance(message, protocol.Build):
            _make_builder(agent, message, fds, config)
        transport.close_all(fds)


def _make_worker(agent: socket.socket, order: protocol.Fork, fds: list[int], config: AgentConfig) -> None:
    pid, pidfd = _fork(agent, lambda: worker.main(order, fds, config))
    _tell(agent, protocol.Forked(order.identity.token, pid), pidfd)


def _make_builder(agent: socket.socket, order: protocol.Build, fds: list[int], config: AgentConfig) -> None:
    memory = limits.bound(config.build_memory_mb, config.memory_share)
    # It ends by itself, at its deadline at the latest; whoever ordered it hears that its line was cut. The agent is told so that
    # it does not take the zygote away from under it.
    pid, pidfd = _fork(agent, lambda: builder.main(order, fds[0], fds[1], memory))
    _tell(agent, protocol.Forked("", pid), pidfd)


def _tell(agent: socket.socket, forked: protocol.Forked, pidfd: int) -> None:
    try:
        transport.send(agent, protocol.encode(forked), [pidfd])
    finally:
        os.close(pidfd)


def _fork(agent: socket.socket, child: Callable[[], int]) -> tuple[int, int]:
    """Run ``child`` in a process of its own; return its pid and pidfd."""
    count = threads()
    if count != 1:
        # A fork would copy locks that nobody will ever release. The agent starts a clean zygote when this one ends.
        raise SystemExit(f"the zygote has {count} threads and must have one; not forking")
    # No reaping until the pidfd is open: it can then only be the child's.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    pid = os.fork()
    if pid == 0:
        _be(agent, child)
    pidfd = os.pidfd_open(pid)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    return pid, pidfd


def _be(agent: socket.socket, child: Callable[[], int]) -> None:
    code = 70  # EX_SOFTWARE
    try:
        agent.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        random.seed()
        code = child()
    except BaseException:
        log.exception("a child of the zygote ended in a way nobody foresaw")
    finally:
        # Not sys.exit: the zygote's stack must not unwind in its child.
        sys.stderr.flush()
        os._exit(code)


def _reap(_signal: int, _frame: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    sys.exit(main())
