"""``python -m samovar.autoserve``: the controller as a program."""

from __future__ import annotations

import contextlib
import contextvars
import errno
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import uvicorn

from samovar import addresses, logs, settings
from samovar.autoserve import happenings, place
from samovar.autoserve.access import Access
from samovar.autoserve.agent import limits
from samovar.autoserve.agent.ledger import write_atomically
from samovar.autoserve.api import make_app
from samovar.autoserve.client import ADDRESS_FILE
from samovar.autoserve.controller import Controller
from samovar.autoserve.doorbell.doorbell import Doorbell
from samovar.autoserve.environments.shelf import Shelf
from samovar.autoserve.gateway import program as gateway
from samovar.autoserve.gateway.writer import RoutesWriter
from samovar.autoserve.journal import Journal
from samovar.autoserve.lease import HeldLease, keep
from samovar.autoserve.metrics.controller import ControllerMetrics
from samovar.autoserve.runtimes import choose
from samovar.autoserve.runtimes.process.delivery import Delivery
from samovar.autoserve.runtimes.process.link import AgentLink
from samovar.autoserve.runtimes.process.plancache import PlanCache
from samovar.autoserve.runtimes.process.runtime import ProcessRuntime
from samovar.errors import Conflict, NotFound, RetryLater, SamovarError, SettingsError
from samovar.registry.client import Registry
from samovar.settings import LOOPBACK
from samovar.store.database import open_database

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.autoserve.lease import Lease
    from samovar.autoserve.plan import Key
    from samovar.autoserve.runtimes.base import Runtime
    from samovar.settings import Settings

_PORTS = 100
"""Ports tried from the wished one on."""


class Registries:
    """The registry at its present address: the local MLflow may come up later than we do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._registry: Registry | None = None

    def __call__(self) -> Registry:
        """Return the registry; raises ``RetryLater`` while there is no address."""
        uri = addresses.tracking_uri(self._settings)
        if self._registry is None or self._registry.tracking_uri != uri:
            self._registry = Registry(uri, self._settings.mlflow_timeout)
        return self._registry

    def current(self, key: Key) -> int | None:
        """Return where an alias points now."""
        try:
            found = self().by_alias(*key)
        except NotFound:
            return None  # the model is gone, and its aliases with it
        return found.version if found else None


def make_controller(settings: Settings) -> tuple[Controller, Journal, Lease]:
    """Put a controller together."""
    registries = Registries(settings)
    journal = Journal(lambda: open_database(settings), registries.current)
    runtime, shelf = _runtime(settings, registries, journal)
    lease = HeldLease(choose.lease_place(settings, journal.database), place.world(settings), settings.lease_seconds)
    controller = Controller(registries, runtime, journal, lease=lease, builders=settings.builders, place=place.short(settings))
    if shelf is not None:
        shelf.on_done = controller.prepared
    return controller, journal, lease


def _runtime(settings: Settings, registries: Registries, journal: Journal) -> tuple[Runtime, Shelf | None]:
    if settings.runtime != "process":
        return choose.container_runtime(settings, registries, journal.trusted), None
    agent = AgentLink(settings.run_dir)
    cache = PlanCache(settings.plan_folder, int(settings.plan_cache_mb * 1e6))
    shelf = _shelf(settings, agent) if settings.environments == "auto" else None
    delivery = Delivery(
        registries,
        agent,
        journal.trusted,
        cache,
        settings.build_seconds,
        build_memory=limits.bound(settings.build_memory_mb or 0, settings.memory_share),
        compile=settings.compile == "on",
        shelf=shelf,
    )
    return ProcessRuntime(agent, delivery), shelf


def _shelf(settings: Settings, agent: AgentLink) -> Shelf:
    def in_use() -> set[str]:
        return {name for state in agent.endpoints().values() for name in state.environments}

    limit = int(settings.environments_mb * 1e6)
    return Shelf(settings.environment_folder, limit, settings.environment_seconds, in_use)


def _services(settings: Settings, here: str) -> dict[str, str]:
    """Return the base URL of each service that this controller knows of."""
    known = addresses.local(settings) | {addresses.AUTOSERVE: here}
    with contextlib.suppress(RetryLater):
        known[addresses.MLFLOW] = addresses.tracking_uri(settings)
    return known


def bind(port: int, host: str = LOOPBACK) -> socket.socket:
    """Bind the wished port, or the next free one.

    Raises:
        Conflict: a hundred ports in a row are taken.
        SettingsError: this host has not the address.
    """
    for candidate in range(port, min(port + _PORTS, 65_536)):
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRNOTAVAIL:
                raise SettingsError(f"This host has not the address {host}.", remedy="Correct SAMOVAR_AUTOSERVE_HOST.") from None
            continue
        listener.listen()  # who reads our address before the server is up waits instead of being refused
        return listener
    raise Conflict(f"No port from {port} on is free.", remedy="Set SAMOVAR_AUTOSERVE_PORT to a free one.")


def run(settings: Settings) -> None:
    """Run the controller until SIGTERM."""
    access = Access(settings)
    host = str(settings.autoserve_host)
    listener = bind(settings.autoserve_port, host)
    port = listener.getsockname()[1]
    controller, journal, lease = make_controller(settings)
    here = addresses.from_here(settings.autoserve_host, port)
    doorbell = Doorbell(
        settings, Registries(settings), controller.wake.set, host=host, port=port, active=lambda: not lease.standing().reason
    )
    measured = ControllerMetrics(lambda: controller.health, doorbell)

    def poll_seconds() -> float:
        # What a worker does with a version nobody rings for.
        return settings.poll_seconds if measured.moves_pending else doorbell.poll_seconds()

    controller.listeners.append(measured)
    if gateway.find("auto") is not None or settings.gateway == "on":
        controller.listeners.append(RoutesWriter(settings.gateway_folder / gateway.ROUTES, here))
    stop = threading.Event()
    keeper = _thread("lease", keep, lease, stop, controller.wake.set)
    loop = _thread("controller", controller.run, stop, poll_seconds)
    doorbell.start(stop)
    where = settings.run_dir / ADDRESS_FILE
    told = {"address": here, "pid": os.getpid(), "token": access.token}
    write_atomically(where, msgspec.json.encode(told), durable=False)
    app = access.guard(
        make_app(
            controller,
            lambda: loop.is_alive() and keeper.is_alive(),  # without its keeper it would stand by for ever, and look well
            doorbell,
            measured,
            services=lambda: _services(settings, here),
            history=lambda *chosen: happenings.read(journal.database(), *chosen),
        )
    )
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2))
    try:
        server.run(sockets=[listener])
    finally:
        stop.set()
        controller.wake.set()
        if where.exists() and where.read_bytes() == msgspec.json.encode(told):  # not another controller's
            where.unlink(missing_ok=True)
        loop.join(2.0)
        keeper.join(2.0)
        lease.release()
        journal.close()


def _thread(name: str, work: Callable[..., None], *given: Any) -> threading.Thread:
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work, *given), name=name, daemon=True)
    thread.start()
    return thread


def main(given: Settings | None = None) -> int:
    """Run the controller as a program; returns the exit code."""
    try:
        known = given or settings.get()
        logs.configure("mlflow-autoserve", level=known.log_level, fmt=known.log_format)
        run(known)
    except SamovarError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0
