"""Whether the answers are right: sampled rows against the native model's own, and good requests beside poison."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.serving import bodies, load
from benchmarks.serving.servers import ask

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.serving.bodies import Model
    from benchmarks.serving.load import Shape
    from benchmarks.serving.servers import Target

CLIENTS = 16  # at once, so that what is batched is batched here too


def same(expected: Any, answered: Any) -> bool:
    """Whether two predictions are one: labels equal, floats to rtol 1e-9 and atol 1e-12."""
    if isinstance(expected, float) and isinstance(answered, int | float):
        return math.isclose(expected, answered, rel_tol=1e-9, abs_tol=1e-12)
    return bool(expected == answered)


def compare(target: Target, model: Model, indices: Sequence[int]) -> dict[str, int]:
    """Ask for some rows, several at once, and count the answers that are not the native model's."""
    path, render = target.one

    def wrong(index: int) -> bool:
        status, body = ask(target.address, path, render(model, [model.rows[index]]))
        return status != 200 or not same(model.predictions[index], target.predictions(json.loads(body))[0])

    with ThreadPoolExecutor(CLIENTS) as clients:
        found = list(clients.map(wrong, indices))
    return {"asked": len(found), "wrong": sum(found)}


def compare_probabilities(address: str, model: Model, indices: Sequence[int]) -> dict[str, int]:
    """The same by Samovar's typed route, whose ``confidence`` is the probability of the answer given."""

    def wrong(index: int) -> bool:
        status, body = ask(address, "/predict", bodies.record(model, [model.rows[index]]))
        return status != 200 or not same(max(model.probabilities[index]), json.loads(body)["confidence"])

    with ThreadPoolExecutor(CLIENTS) as clients:
        found = list(clients.map(wrong, indices))
    return {"asked": len(found), "wrong": sum(found)}


def beside_poison(target: Target, good: Path, poison: Path, shape: Shape) -> dict[str, int]:
    """Let one client in sixteen send poison, and count the good requests that fail."""
    url = f"http://{target.address}{target.one[0]}"
    bad = max(1, shape.connections // 16)
    senders = [
        load.start(url, good, replace(shape, connections=shape.connections - bad)),
        load.start(url, poison, replace(shape, connections=bad)),
    ]
    honest, poisoned = (load.finish(sender) for sender in senders)
    return {
        "good": honest.requests,
        "good_failed": honest.failed,
        "poison": poisoned.requests,
        "poison_answered": poisoned.requests - poisoned.status_errors,
    }
