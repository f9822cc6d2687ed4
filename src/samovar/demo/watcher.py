"""Half of the demo's black box: a client that asks the endpoints all the time and writes down who answered.

It knows nothing of Samovar but HTTP: the controller's ``GET /endpoints`` and ``POST /predict``. Run as a program::

    python -m samovar.demo.watcher PLAN OBSERVATIONS

PLAN is the JSON that `samovar.demo.claims` writes; OBSERVATIONS gets one JSON line whenever an endpoint's answer changes, and at
the end the counts. It stops at SIGTERM.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import httpx

PAUSE_SECONDS = 0.05
"""Between two rounds: twenty answers a second and endpoint catch every swap without crowding two cores."""

LAST_ROUNDS = 5
"""Looks after SIGTERM: a swap announced a moment ago must be seen, also over a connection that the old worker still holds."""


@dataclass
class Watched:
    """One endpoint as its client sees it."""

    project: str
    alias: str
    model: str
    row: dict[str, Any]
    address: str = ""
    answered: int = 0
    failed: int = 0
    last: str = ""
    failures: list[str] = field(default_factory=list)


def main(argv: list[str]) -> int:
    """Watch until SIGTERM."""
    plan = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    watched = [Watched(name, facts["alias"], facts["model"], facts["row"]) for name, facts in plan["projects"].items()]
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
    with httpx.Client(timeout=5, trust_env=False) as client, Path(argv[1]).open("w", encoding="utf-8", buffering=1) as out:
        rounds_left = LAST_ROUNDS
        while rounds_left:
            for one in watched:
                _look(client, plan["autoserve"], one, out)
            time.sleep(PAUSE_SECONDS)
            rounds_left -= bool(stopping)
        for one in watched:
            _write(out, project=one.project, kind="total", answered=one.answered, failed=one.failed, failures=one.failures[:5])
    return 0


def _look(client: httpx.Client, autoserve: str, one: Watched, out: TextIO) -> None:
    if not one.address:
        one.address = _find(client, autoserve, one)
        return
    try:
        answer = client.post(f"{one.address}/predict", json=one.row)
        answer.raise_for_status()
        version = str(answer.json()["model_version"])
    except (httpx.HTTPError, KeyError, ValueError) as error:
        if one.answered:
            one.failed += 1
            one.failures.append(f"{type(error).__name__}: {error}"[:200])
        return
    one.answered += 1
    if version != one.last:
        one.last = version
        _write(out, project=one.project, kind="version", version=version, at=time.time())


def _find(client: httpx.Client, autoserve: str, one: Watched) -> str:
    try:
        endpoints = client.get(f"{autoserve}/endpoints").raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        return ""
    rows = endpoints["endpoints"] if isinstance(endpoints, dict) else endpoints
    for row in rows:
        if row["model"] == one.model and row["alias"] == one.alias and row.get("serving"):
            return str(row["address"])
    return ""


def _write(out: TextIO, **what: Any) -> None:
    out.write(json.dumps(what) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
