"""What a round of the controller costs: on fleets of a fake runtime, and on a real stack in which nothing is to be done.

The controller, the planner, the journal and the app database (SQLite) are the real ones; of the fleets only the registry's listing
and the endpoints are made up.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import tempfile
import time
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from benchmarks.serving.servers import eventually

from samovar import settings as settings_module
from samovar.autoserve import main
from samovar.autoserve.controller import Controller
from samovar.autoserve.journal import Journal
from samovar.autoserve.protocol import EndpointState
from samovar.registry.client import Model
from samovar.registry.rest import Rest
from samovar.scoring.plan import FORMAT
from samovar.store.database import open_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.autoserve.stack import Stack

    from samovar.autoserve.plan import Key
    from samovar.autoserve.tuning import Tuning

SIZES = (10, 100, 1_000, 10_000)
ROUNDS = 20


class Fleet:
    """A registry and a runtime of one size; two aliases a model. What is brought serves at once."""

    def __init__(self, aliases: int) -> None:
        self.epoch = 0
        self.aliases = aliases
        self.versions = 1
        self.states: dict[Key, EndpointState] = {}

    def __call__(self) -> Fleet:
        """Give itself as the registry."""
        return self

    def models(self) -> list[Model]:
        """Give the registry's listing."""
        pairs = {"Production": self.versions, "Candidate": self.versions + 1}
        return [Model(f"model-{number:05d}", dict(pairs), self.versions + 1) for number in range(self.aliases // 2)]

    def set_model_tag(self, *_: object) -> None:
        """Keep nothing: what a controller writes into the registry costs a request, which is not what is measured."""

    delete_model_tag = set_model_tag

    def current(self, key: Key) -> int | None:
        """Say where an alias points."""
        return self.versions + (key.alias != "Production")

    def endpoints(self) -> dict[Key, EndpointState]:
        """Return every endpoint."""
        return dict(self.states)

    def bring(self, key: Key, version: int, *, wished: Callable[[], bool], again: bool = False) -> None:  # noqa: ARG002
        """Serve it."""
        tuning = self.states[key].tuning if key in self.states else None
        more: dict[str, Any] = {} if tuning is None else {"tuning": tuning}
        self.states[key] = EndpointState(
            model=key.model,
            alias=key.alias,
            port=8100 + len(self.states) % 50_000,
            serving=version,
            label=f"v{version}",
            up=True,
            loading=None,
            failed=None,
            failures=0,
            reason="",
            pid=1,
            restarts=0,
            since=time.time(),
            format=FORMAT,
            **more,
        )

    def tune(self, key: Key, tuning: Tuning) -> None:
        """Do nothing."""

    def cancel(self, key: Key) -> None:
        """Do nothing."""

    def stop(self, key: Key) -> None:
        """Forget it."""
        self.states.pop(key, None)


def fleets(say: Callable[[str], None], sizes: tuple[int, ...] = SIZES) -> dict[str, dict[str, float]]:
    """Measure fleets of several sizes.

    Returns:
        By size: seconds of the round in which a new controller sees the fleet for the first time and everything is to be started;
        of the first round of a controller that comes back to it; and of a round in which nothing is to be done (median).
    """
    found = {}
    for size in sizes:
        found[str(size)] = _fleet(size)
        say(f"{size} aliases: " + ", ".join(f"{name} {seconds:.3f}" for name, seconds in found[str(size)].items()))
    return found


def _fleet(size: int) -> dict[str, float]:
    fleet = Fleet(size)
    with tempfile.TemporaryDirectory(prefix="sv-") as home:
        settings = settings_module.load(home=home, _env_file=None)
        found = {}
        with _controller(fleet, settings) as controller:
            found["all_new_s"] = _timed(controller.step)
            eventually(lambda: controller.step() or len(fleet.states) >= size, 300, "everything is brought")
            controller.step()
        with _controller(fleet, settings) as controller:
            found["controller_back_s"] = _timed(controller.step)
            controller.step()
            found["unchanged_s"] = statistics.median(_timed(controller.step) for _ in range(ROUNDS))
    return {name: round(seconds, 4) for name, seconds in found.items()}


@contextlib.contextmanager
def _controller(fleet: Fleet, settings: Any) -> Iterator[Controller]:
    journal = Journal(lambda: open_database(settings), fleet.current)
    try:
        yield Controller(fleet, fleet, journal)  # type: ignore[arg-type] # of the registry it asks for the listing alone
    finally:
        journal.close()


def _timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


# --- a real stack ----------------------------------------------------------------------------------------------------


def rounds_of(stack: Stack) -> dict[str, Any]:
    """Take the place of the stack's controller, on the real registry, agent and database, and time rounds without a change.

    Returns:
        Median and largest milliseconds, and what was written: requests to the registry that change something, and statements to
        the database, apart from the lease's.
    """
    with _instead(stack):
        settings = settings_module.load(home=stack.state, mlflow_tracking_uri=stack.address("mlflow"), _env_file=None)
        controller, journal, lease = main.make_controller(settings)
        try:
            eventually(lambda: (lease.tick(), _settled(controller))[1], 60, "the world is as it should be", 0.5)
            with _writes() as writes:
                taken = [_timed(controller.step) for _ in range(ROUNDS)]
        finally:
            lease.release()
            journal.close()
    return {
        "unchanged_ms": round(statistics.median(taken) * 1000, 2),
        "unchanged_max_ms": round(max(taken) * 1000, 2),
        "unchanged_writes": len(writes),
        "unchanged_wrote": sorted(set(writes))[:5],
    }


def _settled(controller: Controller) -> bool:
    controller.step()
    statuses = controller.statuses(fresh=False)
    return bool(statuses) and all(status.condition == "Ready" for status in statuses)


@contextlib.contextmanager
def _instead(stack: Stack) -> Iterator[None]:
    """Hold the supervisors still and end the stack's own controller; afterwards they start it again."""
    lines = stack.processes()
    keepers = [pid for pid, line in lines.items() if "samovar.stack.supervisor" in line or "samovar.stack.guardian" in line]
    for pid in keepers:
        os.kill(pid, signal.SIGSTOP)
    try:
        for pid, line in lines.items():
            if line.endswith("-m samovar.autoserve"):
                os.kill(pid, signal.SIGTERM)
        yield
    finally:
        for pid in keepers:
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def _writes() -> Iterator[list[str]]:
    """Note what changes the registry or the database."""
    seen: list[str] = []
    request = Rest.request

    def noted(self: Rest, method: str, path: str, *arguments: Any, **options: Any) -> Any:
        if method != "GET":
            seen.append(f"{method} {path}")
        return request(self, method, path, *arguments, **options)

    def statement(_connection: Any, _cursor: Any, text: str, *_: object) -> None:
        words = text.split()
        if words[0].upper() in {"INSERT", "UPDATE", "DELETE"} and "leases" not in words:
            seen.append(" ".join(words[:3]))

    Rest.request = noted  # type: ignore[method-assign]
    sa.event.listen(sa.Engine, "before_cursor_execute", statement)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", statement)
        Rest.request = request  # type: ignore[method-assign]
