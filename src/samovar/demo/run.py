"""Runs the demo: brings up a stack of its own, plays the acts, lets the black box judge, and clears away."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from samovar import addresses, workspace
from samovar import settings as settings_module
from samovar.demo import acts, claims
from samovar.demo.hands import Hands
from samovar.demo.telling import Teller
from samovar.demo.work import Work
from samovar.errors import Conflict, StackUnavailable
from samovar.stack import api as stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from samovar.settings import Settings

PROJECTS = ("iris", "fraud")

ACTS: tuple[tuple[str, Callable[[acts.Story], None]], ...] = (
    ("Train the candidates", acts.train),
    ("Promote through the gate", acts.promote),
    ("Served, because an alias says so", acts.serve),
    ("A weaker challenger is refused", acts.refuse),
    ("Batch and shadow inference; all is calm", acts.infer),
    ("The world drifts", acts.drift),
    ("Retrained without anybody's help", acts.retrain),
    ("Rollback", acts.rollback),
)


@dataclass(frozen=True)
class Outcome:
    """What the demo came to."""

    passed: bool
    checks: list[dict[str, Any]]
    failures: list[tuple[str, str]]
    seconds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON values."""
        return {"passed": self.passed, "checks": self.checks, "failed_acts": self.failures, "seconds": self.seconds}


def run(base: Settings, *, keep: bool = False, projects: tuple[str, ...] = PROJECTS, console: Console | None = None) -> Outcome:
    """Play the whole demo.

    Args:
        base: settings of the caller; the demo keeps its state in ``home/demo``, apart from everything else.
        keep: leave the stack running at the end.
        projects: which reference projects to play.
        console: where the story is told.

    Raises:
        Conflict: a kept demo still runs.
        StackUnavailable: the state folder cannot be used.
    """
    settings = _own_settings(base)
    tell = Teller(console or Console())
    facts = [claims.Claims(workspace.find(name)) for name in projects]
    with contextlib.closing(Hands(Work(settings))) as hands, _stack(settings, tell, keep=keep) as wait_until_up:
        story = acts.Story(settings, tell, facts, hands)
        with tell.act("Load and validate"):
            acts.ingest(story)
        wait_until_up()
        with _watcher(settings, story) as finish:
            for title, act in ACTS:
                with tell.act(title):
                    act(story)
            checks = finish()
        tell.verdicts(checks)
        if keep:
            _show_addresses(settings, tell)
    passed = bool(checks) and not tell.failures and all(check["held"] for check in checks)
    tell.console.print("\n[bold green]The loop is closed.[/]" if passed else "\n[bold red]The loop is NOT closed.[/]")
    return Outcome(passed, checks, tell.failures, tell.seconds)


def _own_settings(base: Settings) -> Settings:
    """Settings of the demo alone: own home, own MLflow, own database, whatever the caller's environment names."""
    home = base.state / "demo"
    for name in ("MLFLOW_TRACKING_URI", "SAMOVAR_DATABASE_URL", "SAMOVAR_LAKE_URL", "OPTUNA_STORAGE", "SELECTED_MODEL_KINDS"):
        os.environ.pop(name, None)
    os.environ["SAMOVAR_HOME"] = str(home)
    os.environ["SAMOVAR_GATEWAY"] = "off"  # the judge asks endpoints themselves
    settings = settings_module.load()
    if stack.is_up(settings):
        raise Conflict("An earlier demo is still running.", remedy=f"Stop it with `samovar --home {home} down`.")
    try:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
    except OSError as error:
        raise StackUnavailable(
            f"The state folder {home} cannot be used ({error.strerror}).",
            remedy="Set SAMOVAR_HOME to a folder that you can write to.",
        ) from None
    return settings


@contextmanager
def _stack(settings: Settings, tell: Teller, *, keep: bool) -> Iterator[Callable[[], None]]:
    """Bring the stack up beside the first act; take it down at the end, whatever happened."""
    raised: list[BaseException] = []

    def bring_up() -> None:
        try:
            stack.up(settings)
        except BaseException as error:  # noqa: BLE001 - carried over to the main thread
            raised.append(error)

    def wait() -> None:
        thread.join()
        if raised:
            raise raised[0]
        where = addresses.local(settings)
        tell.note(f"stack is up: MLflow {where[addresses.MLFLOW]}, autoserve {where[addresses.AUTOSERVE]}")

    thread = threading.Thread(target=bring_up, name="stack-up")
    thread.start()
    try:
        yield wait
    finally:
        thread.join()
        if not keep:
            with tell.act("Clear away"):
                stack.down(settings)


@contextmanager
def _watcher(settings: Settings, story: acts.Story) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Run the watching half of the black box beside the acts; the returned function ends it and asks the judge."""
    plan, seen = settings.state / "claims.json", settings.state / "observations.jsonl"
    _write_plan(settings, story, plan)
    process = subprocess.Popen([sys.executable, "-m", "samovar.demo.watcher", str(plan), str(seen)])

    def finish() -> list[dict[str, Any]]:
        process.terminate()
        process.wait(timeout=30)
        _write_plan(settings, story, plan)
        return _judge(plan, seen)

    try:
        yield finish
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _write_plan(settings: Settings, story: acts.Story, plan: Path) -> None:
    where = addresses.local(settings)
    claims.write(
        plan,
        mlflow=where[addresses.MLFLOW],
        autoserve=where[addresses.AUTOSERVE],
        database=settings.state / "app.db",
        claims=story.claims,
    )


def _judge(plan: Path, seen: Path) -> list[dict[str, Any]]:
    """Run the judging half; its word is the exit code and the document it prints."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "samovar.demo.judge", str(plan), str(seen)],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        checks: list[dict[str, Any]] = json.loads(ended.stdout)["checks"]
    except (ValueError, KeyError):
        last = (ended.stderr.strip().splitlines() or ["no output"])[-1]
        return [{"project": "-", "promise": "the black box could judge", "held": False, "seen": last[:200]}]
    if ended.returncode != 0 and all(check["held"] for check in checks):
        checks.append({"project": "-", "promise": "the black box agrees", "held": False, "seen": f"exit code {ended.returncode}"})
    return checks


def _show_addresses(settings: Settings, tell: Teller) -> None:
    tell.console.print("\n[bold]Left running; open:[/]")
    for name, url in addresses.local(settings).items():
        tell.note(f"{name:<10} {url}")
    for endpoint in stack.status(settings).endpoints:
        tell.note(f"{endpoint.name:<10} {endpoint.address}/docs")
    tell.note(f"stop it:   samovar --home {settings.state} down")
