"""Ends a stack: whoever is asked to (supervisor, guardian or ``samovar down``) leaves no process, whatever was killed before.

The services stop in reverse order, each with its grace. Then every process that carries the stack's mark is ended, so that what
was started a moment before its parent was killed, and was written down nowhere, does not stay.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from samovar import logs
from samovar.autoserve.runtimes.process.link import AgentLink
from samovar.errors import SamovarError
from samovar.stack import processes
from samovar.stack.launch import KEEPERS
from samovar.stack.state import StackState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from samovar.stack.processes import Identity
    from samovar.stack.state import Plan, RunDir

AGENT = "agent"
_log = logs.get_logger(__name__)
_KEEPER_SECONDS = 5.0
_STRAY_SECONDS = 3.0
_ROUNDS = 20
"""Looks for leftovers at most; each look ends what it finds, so that only a fork bomb needs more than two."""


def stop_everything(run: RunDir, plan: Plan) -> None:
    """Stop the keepers, the services and all they left, and forget the stack; the caller itself is spared."""
    if run.belongs_to(plan):
        run.ask_to_stop()
    _stop_keepers(plan)
    stop_services(run, plan)
    _sweep(plan, spared=())
    if run.belongs_to(plan):
        run.clear()


def stop_services(run: RunDir, plan: Plan) -> None:
    """Stop the services in reverse order, then every other process of the stack but its keepers."""
    state = run.state() if run.belongs_to(plan) else StackState()
    for service in reversed(plan.services):
        known = state.services.get(service.name)
        if service.name == AGENT and run.belongs_to(plan):
            _dismiss_workers(run)
        if known is not None and known.identity is not None:
            _end([known.identity], service.grace)
            processes.kill_group(known.identity, plan.stack)
    _sweep(plan, spared=KEEPERS)


def _sweep(plan: Plan, spared: Iterable[str]) -> None:
    """End every process of the stack, but for the caller and the services spared."""
    for _ in range(_ROUNDS):
        left = [one for one, name in processes.marked(plan.stack).items() if name not in spared and one.pid != os.getpid()]
        if not left:
            return
        _end(left, _STRAY_SECONDS)


def _dismiss_workers(run: RunDir) -> None:
    """End the workers through their agent, so that they answer what they have; they run in sessions of their own."""
    try:
        AgentLink(run.path).shutdown()
    except SamovarError as error:
        _log.warning("workers were not dismissed in order", reason=str(error))


def _stop_keepers(plan: Plan) -> None:
    """The guardian first, for it starts supervisors; the supervisor gets the time to stop its services in order."""
    guardians = _named(plan, "guardian")
    for one in guardians:
        one.signal(signal.SIGKILL)
    processes.wait_gone(guardians, _KEEPER_SECONDS)
    _end(_named(plan, "supervisor"), _KEEPER_SECONDS + sum(service.grace for service in plan.services) + _STRAY_SECONDS)


def _end(identities: Iterable[Identity], seconds: float) -> None:
    """Ask the processes to end; kill those that have not within ``seconds``."""
    ones = list(identities)
    for one in ones:
        one.signal(signal.SIGTERM)
    for one in processes.wait_gone(ones, seconds):
        one.signal(signal.SIGKILL)
    processes.wait_gone(ones, _KEEPER_SECONDS)
    for one in ones:
        processes.reap(one.pid)


def _named(plan: Plan, service: str) -> list[Identity]:
    return [one for one, name in processes.marked(plan.stack).items() if name == service and one.pid != os.getpid()]
