"""The truth about a stack at this moment: every process is looked at and every service is asked, whatever the files say."""

from __future__ import annotations

import concurrent.futures
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import psutil

from samovar import addresses
from samovar.errors import SamovarError
from samovar.stack import probes, processes
from samovar.stack.launch import KEEPERS
from samovar.stack.state import Keeper, Plan, RunDir, Service, ServiceState

if TYPE_CHECKING:
    from samovar.autoserve.status import EndpointStatus
    from samovar.settings import Settings

Health = Literal["healthy", "starting", "unhealthy", "restarting", "dead"]


class ServiceStatus(msgspec.Struct, frozen=True):
    """One row of ``samovar status``.

    Attributes:
        name: name of the service.
        health: ``starting``: runs and was not well yet; ``unhealthy``: runs and does not answer; ``restarting``: ended, and will be
            started again; ``dead``: ended, and nobody is there to start it.
        pid: its process; None when it does not run.
        address: URL under which it answers.
        uptime_seconds: since its process started.
        restarts: times it was started again.
        memory_mb: proportional set size of the process and all it started, in megabytes (10^6 bytes).
        last_exit: how it ended last.
        log: its log file.
    """

    name: str
    health: Health
    pid: int | None
    address: str | None
    uptime_seconds: float | None
    restarts: int
    memory_mb: float
    last_exit: str | None
    log: str


class StackStatus(msgspec.Struct, frozen=True):
    """What ``samovar status`` shows.

    Attributes:
        up: whether somebody watches over the services (a guardian or a supervisor lives).
        healthy: whether every service is.
        home: state folder.
        addresses: URL by service.
        services: the keepers and the services.
        endpoints: what autoserve serves.
        notes: sentences about what is not as it should be.
    """

    up: bool
    healthy: bool
    home: str
    addresses: dict[str, str]
    services: list[ServiceStatus]
    endpoints: list[EndpointStatus]
    notes: list[str]


def collect(settings: Settings) -> StackStatus:
    """Look at the stack now; takes two seconds at most when something hangs."""
    run = RunDir(settings.run_dir)
    plan = run.plan()
    if plan is None:
        return StackStatus(False, False, str(settings.state), {}, [], [], [])
    keepers = {role: run.keeper(role) for role in KEEPERS}
    watched = any(keeper is not None and keeper.identity.alive for keeper in keepers.values())
    memory = _memory(plan)
    services = _services(plan, run, memory, watched=watched)
    rows = [_keeper(role, plan, keeper, memory, watched=watched) for role, keeper in keepers.items()]
    endpoints, notes = _endpoints(settings)
    if not watched:
        notes.insert(0, "Nobody watches over the services: run `samovar down`, then `samovar up`.")
    healthy = all(row.health == "healthy" for row in (*rows, *services))
    return StackStatus(watched, healthy, str(settings.state), addresses.local(settings), [*rows, *services], endpoints, notes)


def health_of(service: Service, state: ServiceState, *, watched: bool) -> Health:
    """Health of one service now."""
    if state.identity is None or not state.identity.alive:
        return "restarting" if watched else "dead"
    if probes.healthy(service.probe):
        return "healthy"
    return "starting" if state.health == "starting" else "unhealthy"


def _services(plan: Plan, run: RunDir, memory: dict[str, float], *, watched: bool) -> list[ServiceStatus]:
    """Ask all services at once: one that hangs must not delay the others' answers."""
    states = run.state().services
    known = [states.get(service.name, ServiceState()) for service in plan.services]
    with concurrent.futures.ThreadPoolExecutor(len(known) or 1) as pool:
        healths = list(pool.map(lambda pair: health_of(pair[0], pair[1], watched=watched), zip(plan.services, known, strict=True)))
    return [
        _row(
            service.name, health, state.identity, plan, memory, restarts=state.restarts, service=service, last_exit=state.last_exit
        )
        for service, state, health in zip(plan.services, known, healths, strict=True)
    ]


def _keeper(role: str, plan: Plan, keeper: Keeper | None, memory: dict[str, float], *, watched: bool) -> ServiceStatus:
    identity = None if keeper is None else keeper.identity
    alive = identity is not None and identity.alive
    health: Health = "healthy" if alive else "restarting" if watched else "dead"
    return _row(role, health, identity, plan, memory, restarts=keeper.restarts if keeper else 0)


def _row(  # noqa: PLR0913 - the columns of a row
    name: str,
    health: Health,
    identity: processes.Identity | None,
    plan: Plan,
    memory: dict[str, float],
    *,
    restarts: int,
    service: Service | None = None,
    last_exit: str | None = None,
) -> ServiceStatus:
    alive = identity is not None and identity.alive
    return ServiceStatus(
        name=name,
        health=health,
        pid=identity.pid if identity is not None and alive else None,
        address=service.address if service is not None else None,
        uptime_seconds=round(identity.age, 1) if identity is not None and alive else None,
        restarts=restarts,
        memory_mb=round(memory.get(name, 0.0), 1),
        last_exit=last_exit,
        log=str(Path(plan.logs) / f"{name}.log"),
    )


def _memory(plan: Plan) -> dict[str, float]:
    """Proportional set size by service, in megabytes: shared pages count once over all processes."""
    found: dict[str, float] = {}
    for identity, name in processes.marked(plan.stack).items():
        found[name] = found.get(name, 0.0) + _pss(identity.pid)
    return found


def _pss(pid: int) -> float:
    try:
        return psutil.Process(pid).memory_full_info().pss / 1e6
    except psutil.Error:
        return 0.0  # it ended while we looked


def _endpoints(settings: Settings) -> tuple[list[EndpointStatus], list[str]]:
    from samovar.autoserve import client  # noqa: PLC0415 - an HTTP client, for `samovar status` only

    try:
        found = client.endpoints(settings)
    except SamovarError as error:
        return [], [str(error)]
    return [
        msgspec.structs.replace(endpoint, memory_mb=tuple(round(_pss(pid), 1) for pid in endpoint.pids)) for endpoint in found
    ], client.notes(settings)
