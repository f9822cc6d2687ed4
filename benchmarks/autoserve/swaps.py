"""A hundred swaps under sixty-four raw connections: does any request fail, how slow is the slowest, and who answers afterwards?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from benchmarks.autoserve import clients
from benchmarks.autoserve.answers import wrong
from benchmarks.autoserve.load import Load, Seen
from benchmarks.autoserve.stack import until_version
from benchmarks.serving import bodies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.autoserve.load import Window
    from benchmarks.autoserve.shelf import Made, Shelf
    from benchmarks.autoserve.stack import Stack

AFTER = 0.5
"""Seconds after the first answer of the new version that still count as the swap's window; and the pause until the next one."""

CALM = 10.0
"""Seconds of load before the first swap."""


def rows(shelf: Shelf, kind: str) -> list[bytes]:
    """Return requests of one row each."""
    content = shelf.kinds[kind].content
    return [bodies.split(content, [row]) for row in content.rows[:1000]]


def run(  # noqa: PLR0913, PLR0917 - what moves, where it is asked, and how long
    stack: Stack,
    shelf: Shelf,
    versions: Sequence[Made],
    ask_at: tuple[str, int],
    path: str,
    say: Callable[[str], None],
    *,
    calm: float = CALM,
) -> dict[str, Any]:
    """Move the alias ``Production`` from version to version under load.

    Args:
        stack: serves the first version already.
        shelf: the registry.
        versions: the one that is served, and those to move to.
        ask_at: host and port that the load asks: the endpoint's own, or the gateway's.
        path: what it asks there.
        say: shows progress.
        calm: seconds of load before the first swap.
    """
    first, *others = versions
    direct = stack.served(first.model, first.version)
    windows: list[Window] = []
    seconds: list[float] = []
    bad = 0
    with Load(ask_at, rows(shelf, first.model), clients.MIX, path) as load:
        time.sleep(calm)
        for number, made in enumerate(others, 1):
            moved = time.monotonic()
            shelf.client.set_registered_model_alias(made.model, "Production", str(made.version))
            answered = until_version(*direct, made.version)
            seconds.append(answered - moved)
            windows.append((moved, answered + AFTER))
            if number % 10 == 0:
                say(f"swap {number}/{len(others)}: {answered - moved:.2f} s")
            time.sleep(AFTER)
            bad += any(wrong(direct, made) for _ in range(3))
            time.sleep(max(0.0, answered + 2 * AFTER - time.monotonic()))
    return _found(load.seen, windows, seconds, bad)


def _found(seen: Seen, windows: Sequence[Window], seconds: Sequence[float], bad: int) -> dict[str, Any]:
    inside, outside = seen.latency(windows)
    p99 = {"inside": _ms(inside, 99), "outside": _ms(outside, 99)}
    return {
        "swaps": len(windows),
        "failed_requests": len(seen.failures),
        "failures": [f"{mode} {why}" for _, _, mode, why in seen.failures[:20]],
        "wrong_versions": bad,
        "requests": seen.requests,
        "by_mode": seen.by_mode,
        "answers_that_ended_their_connection": seen.closed,
        "clients_cpu_s": seen.cpu_s,
        "swap_s_p50": round(float(np.median(seconds)), 3),
        "swap_s_max": round(float(np.max(seconds)), 3),
        "p50_inside_ms": _ms(inside, 50),
        "p50_outside_ms": _ms(outside, 50),
        "p99_inside_ms": p99["inside"],
        "p99_outside_ms": p99["outside"],
        "p99_ratio": round(p99["inside"] / p99["outside"], 2),
        "max_inside_ms": _ms(inside, 100),
    }


def _ms(took: np.ndarray[Any, Any], percentile: float) -> float:
    return round(float(np.percentile(took, percentile)) * 1000, 3) if len(took) else 0.0
