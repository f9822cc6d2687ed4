"""The acts of the demo, in order; each takes the story so far and moves the loop one step."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from samovar.autoserve import client as autoserve
from samovar.errors import RetryLater
from samovar.pipelines import api

if TYPE_CHECKING:
    from samovar.demo.claims import Claims
    from samovar.demo.hands import Hands
    from samovar.demo.telling import Teller
    from samovar.settings import Settings

SERVED_WITHIN_SECONDS = 30
RETRAINED_WITHIN_SECONDS = 120

INJECTED = {"iris": "shift", "fraud": "scale"}
"""The drift that fits each project: sepals measured with a wrong ruler; prices after an inflation."""


@dataclass
class Story:
    """What the acts share."""

    settings: Settings
    tell: Teller
    claims: list[Claims]
    hands: Hands
    results: dict[str, Any] = field(default_factory=dict)


def ingest(story: Story) -> None:
    """Load and validate; bad rows go to quarantine. Training's libraries load meanwhile."""
    story.hands.do("load_training")
    for one in story.claims:
        result = story.hands.do("ingest", one.project.name)
        one.dataset, one.rejected = result["dataset"], result["rejected"]
        one.row = story.hands.do("first_row", one.project.name)
        story.tell.say(
            one.project.name, f"{result['rows']:,} rows accepted, {result['rejected']} quarantined, dataset {one.dataset[:12]}"
        )


def train(story: Story) -> None:
    """Train the candidates of each project; the best is registered."""
    for one in story.claims:
        with story.tell.progress() as progress:
            bars: dict[str, Any] = {}

            def advance(kind: str, done: int, total: int, best: float | None, bars: dict[str, Any] = bars) -> None:
                if kind not in bars:
                    bars[kind] = progress.add_task(kind, total=total, note="")
                progress.update(bars[kind], completed=done, total=total, note="" if best is None else f"best {best:.3f}")

            result = story.hands.do("train", one.project.name, progress=advance)
        one.first = result["version"]
        scores = ", ".join(f"{row['kind']} {row['value']:.3f}" for row in result["candidates"])
        story.tell.say(one.project.name, f"{one.project.metric}: {scores}")
        story.tell.say(one.project.name, f"registered v{one.first} ({result['kind']})")


def promote(story: Story) -> None:
    """The gate: with no champion yet, the minimum bars alone decide."""
    for one in story.claims:
        result = story.hands.do("promote", one.project.name)
        story.tell.say(one.project.name, f"{result['verdict']}: {result['reason']}")


def serve(story: Story) -> None:
    """Wait until autoserve answers with the promoted versions, then ask once."""
    for one in story.claims:
        _await_version(story, one, one.first)
        _ask(story, one)


def refuse(story: Story) -> None:
    """A weak challenger is trained; the gate must refuse it. It stays as `Candidate` and shadows."""
    for one in story.claims:
        one.weak = story.hands.do("train_weak", one.project.name)
        result = story.hands.do("promote", one.project.name, one.weak)
        story.tell.say(one.project.name, f"v{one.weak} {result['verdict']}: {result['reason']}")
    story.hands.do("close")


def infer(story: Story) -> None:
    """Batch predictions by the champion, shadow predictions by the candidate, and a first look for drift."""
    for one in story.claims:
        result = story.hands.do("infer", one.project.name)
        story.tell.say(one.project.name, f"{result['rows']:,} predictions by v{one.first}, shadowed by v{one.weak}")
        report = story.hands.do("monitor", one.project.name)
        story.tell.say(one.project.name, f"drift verdict: {report['verdict']}")


def drift(story: Story) -> None:
    """The world changes: a drifted batch comes in, is scored, and raises the alarm."""
    for one in story.claims:
        kind = INJECTED[one.project.name]
        one.drifted = story.hands.do("drift_inject", one.project.name, kind)["dataset"]
        story.hands.do("infer", one.project.name)
        report = story.hands.do("monitor", one.project.name)
        asked = "a retrain is requested" if report["retrain_requested"] else "no retrain requested"
        story.tell.say(one.project.name, f"[bold]{report['verdict']}[/] ({kind}): worst PSI {report['worst_psi']:.2f}; {asked}")
        story.tell.note(f"       report: {report['folder']}/drift_report.html")
        story.results[one.project.name] = report["retrain_requested"]
    story.hands.close()


def retrain(story: Story) -> None:
    """Nobody does anything: the scheduler claims the requests, retrains, and the gate lets the better version through."""
    story.tell.note("waiting for the scheduler of the stack; this program does nothing")
    for one in story.claims:
        if not story.results.get(one.project.name):
            raise RetryLater(f"{one.project.name}: drift raised no alarm, so nothing retrains.")
        status = autoserve.wait_until(
            story.settings, one.project.model, one.project.alias, newer_than=one.weak, timeout=RETRAINED_WITHIN_SECONDS
        )
        story.tell.say(one.project.name, f"retrained, passed the gate and is served: v{status.serving}")
        _ask(story, one)


def rollback(story: Story) -> None:
    """One command: the old version answers again."""
    for one in story.claims:
        result = api.rollback(one.project, settings=story.settings)
        story.tell.say(one.project.name, result["reason"])
    for one in story.claims:
        _await_version(story, one, one.first)
        _ask(story, one)


def _await_version(story: Story, one: Claims, version: int) -> None:
    autoserve.wait_until(story.settings, one.project.model, one.project.alias, version, timeout=SERVED_WITHIN_SECONDS)


def _ask(story: Story, one: Claims) -> None:
    address = autoserve.address(story.settings, one.project.model, one.project.alias)
    answer = httpx.post(f"{address}/predict", json=one.row, trust_env=False, timeout=10).raise_for_status().json()
    story.tell.say(one.project.name, f"POST {address}/predict -> {json.dumps(answer)[:150]}")
