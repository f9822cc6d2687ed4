"""Two hundred aliases on one machine: how long until all answer, how much memory they take, what an unchanged world costs."""

from __future__ import annotations

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.autoserve.answers import wrong
from benchmarks.autoserve.reconcile import rounds_of
from benchmarks.autoserve.stack import Stack, version_of
from benchmarks.serving import bodies, processes
from benchmarks.serving.servers import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.autoserve.shelf import Made, Shelf

ALIASES = ("Production", "Candidate")
ROWS = 1_000
BATCH = 50
"""Rows of one request; they are other ones for each endpoint."""

Placed = tuple["Made", str]


def fill(shelf: Shelf, count: int, say: Callable[[str], None]) -> list[Placed]:
    """Register that many versions, two aliases a model, the three kinds in turn, and set the aliases."""
    kinds = sorted(shelf.kinds)
    placed = []
    for number in range(count):
        pair, which = divmod(number, 2)
        kind = kinds[pair % len(kinds)]
        made = shelf.put(kind, f"{kind}-{pair:03d}")
        shelf.client.set_registered_model_alias(made.model, ALIASES[which], str(made.version))
        placed.append((made, ALIASES[which]))
        if (number + 1) % 50 == 0:
            say(f"registered {number + 1}/{count} versions")
    return placed


def run(shelf: Shelf, placed: Sequence[Placed], say: Callable[[str], None]) -> dict[str, Any]:
    """Start the autoserve parts (`samovar up` with the registry elsewhere) with nothing built, then once more with what was built.

    A start is from the command to the moment when every endpoint has answered a request with its own version.
    """
    stack = Stack(MLFLOW_TRACKING_URI=shelf.address)
    try:
        first = _start(stack, placed, say)
        addresses = _addresses(stack, placed)
        say("asking every endpoint for a thousand rows")
        with ThreadPoolExecutor(4) as pool:
            answered = list(pool.map(lambda one: _ask(shelf, *one), [(made, at, n) for n, (made, at) in enumerate(addresses)]))
        bad = sum(wrong(at, made) for made, at in addresses)
        memory = _memory(stack)
        unchanged = rounds_of(stack)
        say(f"all answer after {first:.1f} s, {memory['total']:.0f} MB; starting again with what was built")
        stack.command("down")
        again = _start(stack, placed, say)
    finally:
        stack.stop()
    return {
        "aliases": len(placed),
        "served": sum(count >= ROWS for count in answered),
        "wrong": bad,
        "start_s": round(first, 2),
        "start_cached_s": round(again, 2),
        "pss_mb": memory["total"],
        "pss_by_part_mb": memory,
        **unchanged,
    }


def _start(stack: Stack, placed: Sequence[Placed], say: Callable[[str], None]) -> float:
    began = time.monotonic()
    up = threading.Thread(target=stack.command, args=("up", "--detach"))
    up.start()
    missing = {(made.model, alias): made.version for made, alias in placed}
    shown = len(missing)

    def all_answer() -> bool:
        nonlocal shown
        for key, row in stack.endpoints().items():
            if key in missing and row["condition"] == "Ready" and row["address"]:
                host, _, port = row["address"].removeprefix("http://").partition(":")
                if version_of(host, int(port)) == missing[key]:
                    del missing[key]
        if shown - len(missing) >= 50:
            shown = len(missing)
            say(f"{len(placed) - shown}/{len(placed)} answer after {time.monotonic() - began:.1f} s")
        return not missing

    try:
        eventually(all_answer, 600, "every alias answers", 0.25, lambda: sorted(missing)[:5])
        return time.monotonic() - began
    finally:
        up.join()


def _addresses(stack: Stack, placed: Sequence[Placed]) -> list[tuple[Made, tuple[str, int]]]:
    rows = stack.endpoints()
    found = []
    for made, alias in placed:
        host, _, port = rows[made.model, alias]["address"].removeprefix("http://").partition(":")
        found.append((made, (host, int(port))))
    return found


def _ask(shelf: Shelf, made: Made, address: tuple[str, int], number: int) -> int:
    """Ask for a thousand rows, other ones at each endpoint; returns how many were answered."""
    content = shelf.kinds[made.model.partition("-")[0]].content
    connection = http.client.HTTPConnection(*address, timeout=60)
    answered = 0
    try:
        for batch in range(ROWS // BATCH):
            start = (number * 53 + batch * BATCH) % (len(content.rows) - BATCH)
            body = bodies.split(content, content.rows[start : start + BATCH])
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == 200:
                answered += len(json.loads(said)["predictions"])
    finally:
        connection.close()
    return answered


_PARTS = {
    "workers": lambda line: line.startswith("samovar: ") and "@" in line,
    "zygotes": lambda line: line.startswith("samovar: ") and "@" not in line,
    "agent": lambda line: "samovar.autoserve.agent" in line,
    "controller": lambda line: line.endswith("samovar.autoserve"),
}


def _memory(stack: Stack) -> dict[str, float]:
    """Sum the PSS (MB) of what serves: workers, zygotes, agent, controller; and the rest of the stack beside it."""
    found = dict.fromkeys([*_PARTS, "rest of the stack"], 0.0)
    for pid, line in stack.processes().items():
        part = next((name for name, is_it in _PARTS.items() if is_it(line)), "rest of the stack")
        found[part] += processes.pss_mb(pid)
    found = {name: round(size, 1) for name, size in found.items()}
    return found | {"total": round(sum(found.values()), 1)}
