"""The local stack in four calls: up, down, status, logs."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import time
from typing import TYPE_CHECKING

from samovar.errors import Conflict, StackUnavailable
from samovar.stack import logfiles, ports, shutdown
from samovar.stack import status as status_
from samovar.stack.launch import KEEPERS, start_keeper
from samovar.stack.services import make_plan
from samovar.stack.state import RunDir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from samovar.settings import Settings
    from samovar.stack.state import Plan, ServiceState
    from samovar.stack.status import StackStatus

_FOLDERS = ("run", "logs", "mlflow")
_POLL_SECONDS = 0.1
_COMMAND_SECONDS = 60.0
"""How long ``up`` or ``down`` waits for another ``up`` or ``down`` to get out of the way."""
_KEEPER_SECONDS = 20.0
_TRIES = 5
"""A service that ended so often without ever being well will not be: with the growing waits this is after some three seconds."""


def up(settings: Settings, *, progress: Callable[[str, str], None] | None = None, timeout: float = 180.0) -> StackStatus:
    """Start the stack and return once every service is healthy; it goes on when the caller ends.

    Args:
        settings: where and how.
        progress: called with a service's name and health whenever that changes.
        timeout: seconds to wait for the services.

    Raises:
        Conflict: the stack is up already, or a demanded port is taken.
        StackUnavailable: the home folder cannot be used.
        StackUnavailable: a service does not become healthy; the others are stopped again, the logs stay.
    """
    with contextlib.ExitStack() as held:
        run = _launch(settings, held)
        try:
            _await_healthy(run, progress or (lambda _name, _health: None), timeout)
        except BaseException:  # a person's Ctrl-C too: half a stack is of no use to anybody
            down(settings)
            raise
    return status_.collect(settings)


def down(settings: Settings) -> bool:
    """Stop the stack; afterwards no process and no port of it is left.

    Returns:
        Whether there was anything to stop.

    Raises:
        Conflict: another ``up`` or ``down`` is at work and does not end.
    """
    run = RunDir(settings.run_dir)
    if run.plan() is None:
        return False
    run.ask_to_stop()  # before the wait: an `up` that waits for health gives up, a keeper starts nothing any more
    with _command(run):
        _stop(run)
    return True


def is_up(settings: Settings) -> bool:
    """Whether somebody watches over a stack in this home."""
    run = RunDir(settings.run_dir)
    keepers = [run.keeper(role) for role in KEEPERS]
    return any(keeper is not None and keeper.identity.alive for keeper in keepers)


def status(settings: Settings) -> StackStatus:
    """Look at every process and ask every service, now."""
    return status_.collect(settings)


def logs(settings: Settings, service: str | None = None, *, follow: bool = False, lines: int = 50) -> Iterator[logfiles.LogLine]:
    """Return the last lines of one service's log, or of all; with ``follow`` also what comes, for ever.

    Raises:
        NotFound: there is no such log.
    """
    return logfiles.read(settings.state / "logs", service, follow=follow, lines=lines)


def hold(settings: Settings) -> None:
    """Stay in the foreground: return once the stack is gone, or this process is told to end (terminal closed, SIGTERM).

    Raises:
        KeyboardInterrupt: a person pressed Ctrl-C.
    """
    told: list[int] = []
    before = {
        number: signal.signal(number, lambda received, _: told.append(received)) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        while is_up(settings) and not told:
            time.sleep(_POLL_SECONDS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _launch(settings: Settings, held: contextlib.ExitStack) -> RunDir:
    """Check everything that can be checked, then write the plan and start the guardian; ``held`` keeps the ports reserved."""
    run = RunDir(settings.run_dir)
    _refuse_second(settings)
    if not run.path.exists():
        with contextlib.ExitStack() as trial:
            ports.choose(settings, trial)  # a port that is taken is said before anything is written
    _make_folders(settings.state)
    with _command(run):
        _refuse_second(settings)
        _stop(run)  # what a stack left whose keepers were both killed
        chosen = ports.choose(settings, held)
        plan = make_plan(settings, chosen)
        ports.keep(settings, chosen)
        run.write_plan(plan)
        start_keeper("guardian", plan, run.path)
        _await_keepers(settings, plan)
    return run


def _stop(run: RunDir) -> None:
    plan = run.plan()
    if plan is not None:
        shutdown.stop_everything(run, plan)
    run.clear()


def _refuse_second(settings: Settings) -> None:
    if is_up(settings):
        raise Conflict(
            f"Samovar is up already in {settings.state}.",
            remedy="Look at it with `samovar status`, stop it with `samovar down`, or set SAMOVAR_HOME to start another one.",
        )


def _make_folders(home: Path) -> None:
    """Make the state folder; leaves nothing behind when it cannot be used."""
    made: list[Path] = []
    try:
        for folder in (*reversed(home.parents), home, *(home / name for name in _FOLDERS)):
            existed = folder.is_dir()
            folder.mkdir(mode=0o700, exist_ok=True)  # another `up` may make it at this moment
            made += [] if existed else [folder]
        with tempfile.TemporaryFile(dir=home / "run"):
            pass
    except OSError as error:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise StackUnavailable(
            f"The state folder {home} cannot be used ({error.strerror}).",
            remedy="Set SAMOVAR_HOME to a folder that you can write to.",
        ) from None


@contextlib.contextmanager
def _command(run: RunDir) -> Iterator[None]:
    with run.lock("command", _COMMAND_SECONDS) as alone:
        if not alone:
            raise Conflict("Another `samovar up` or `samovar down` is at work here.", remedy="Wait until it has ended.")
        yield


def _await_keepers(settings: Settings, plan: Plan) -> None:
    deadline = time.monotonic() + _KEEPER_SECONDS
    while not is_up(settings):
        if time.monotonic() > deadline:
            raise StackUnavailable("The guardian does not start.", remedy=f"Look at {plan.logs}/guardian.log.")
        time.sleep(_POLL_SECONDS)


def _await_healthy(run: RunDir, progress: Callable[[str, str], None], timeout: float) -> None:
    deadline, shown = time.monotonic() + timeout, dict[str, str]()
    while True:
        plan = run.plan()
        if plan is None or run.ending(plan):
            raise Conflict("The stack was stopped while it started.", remedy="Run `samovar up` again.")
        known = run.state().services
        for name, state in known.items():
            if shown.get(name) != state.health:
                shown[name] = state.health
                progress(name, state.health)
        if all(shown.get(service.name) == "healthy" for service in plan.services):
            return
        _give_up(plan, known, late=time.monotonic() > deadline)
        time.sleep(_POLL_SECONDS)


def _give_up(plan: Plan, known: dict[str, ServiceState], *, late: bool) -> None:
    """Raise when a service keeps ending, or when time is up."""
    for name, state in known.items():
        if state.health != "healthy" and (late or state.restarts >= _TRIES):
            how = f"it keeps ending: {state.last_exit}" if state.last_exit else "it runs, but does not answer"
            raise StackUnavailable(f"{name} does not become healthy ({how}).", remedy=f"Look at {plan.logs}/{name}.log.")
    if late:
        raise StackUnavailable("The services do not start.", remedy=f"Look at {plan.logs}/supervisor.log.")
