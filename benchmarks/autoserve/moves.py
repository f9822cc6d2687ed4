"""From an alias moved in the registry to the first answer of the new version, model by model, nothing built before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from benchmarks.autoserve.answers import wrong
from benchmarks.autoserve.stack import until_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.autoserve.shelf import Made, Shelf
    from benchmarks.autoserve.stack import Stack


def run(stack: Stack, shelf: Shelf, versions: Mapping[str, Sequence[Made]], say: Callable[[str], None]) -> dict[str, Any]:
    """Move one alias after the other, each time to a version that nobody has seen.

    Args:
        stack: its controller and agent serve the first version of each model.
        shelf: the registry.
        versions: of each model, the one that is served and those to move to.
        say: shows progress.

    Returns:
        Seconds from sending the move (with MLflow's stock client) to the first answer of the version at its endpoint: all of
        them, and medians and 99th percentiles. ``wrong``: endpoints that answered with other weights than the version's.
    """
    at = {name: stack.served(name, made[0].version) for name, made in versions.items()}
    seconds: dict[str, list[float]] = {name: [] for name in versions}
    bad = 0
    rounds = max(map(len, versions.values()))
    for number in range(1, rounds):
        for name, made in versions.items():
            if number < len(made):
                began = time.monotonic()
                shelf.client.set_registered_model_alias(name, "Production", str(made[number].version))
                seconds[name].append(until_version(*at[name], made[number].version) - began)
                # Then at another moment of the poll each time, when the old worker has heard that it is to leave.
                time.sleep(0.4 + number % 7 * 0.11)
                bad += wrong(at[name], made[number])
        if number % 10 == 0:
            say(f"move {number}/{rounds - 1} of each: {', '.join(f'{name} {taken[-1]:.2f} s' for name, taken in seconds.items())}")
    return {"moves": sum(map(len, seconds.values())), "wrong": bad, **summary(seconds)}


def summary(seconds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return medians and 99th percentiles, of all and by model."""
    everything = [taken for taken_of_one in seconds.values() for taken in taken_of_one]
    by_model = {name: {"p50": _at(taken, 50), "p99": _at(taken, 99)} for name, taken in seconds.items()}
    raw = {name: [round(one, 3) for one in taken] for name, taken in seconds.items()}
    return {"p50": _at(everything, 50), "p99": _at(everything, 99), "by_model": by_model, "seconds": raw}


def _at(taken: Sequence[float], percentile: float) -> float:
    return round(float(np.percentile(taken, percentile)), 3)
