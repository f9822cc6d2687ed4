"""``python -m benchmarks.autoserve``: measure, compare, write. docs/BENCHMARKS.md explains what and why."""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.autoserve import density, moves, reconcile, restart, shelf, swaps
from benchmarks.autoserve.stack import Mlflow, Stack

from benchmarks import figures
from samovar import logs

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = ("swaps", "moves", "density", "reconcile")
SLOW_POLL = "30"
"""Seconds between two polls when the doorbell is measured: an answer sooner than that was rung for."""


class Bench:
    """What was asked for, and what was found so far."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.measured: dict[str, Any] = {}
        self.details: dict[str, Any] = {}
        self.faults: list[str] = []
        self._kinds: dict[str, shelf.Kind] | None = None

    @property
    def kinds(self) -> dict[str, shelf.Kind]:
        """The reference models."""
        if self._kinds is None:
            say("reading the reference models")
            self._kinds = shelf.kinds(quick=self.asked.quick)
        return self._kinds

    def count(self, many: int, few: int) -> int:
        """Return how many: fewer when it only has to be shown that everything is measured."""
        return few if self.asked.quick else many

    def swaps(self) -> None:
        """A hundred swaps under load, asked directly, and as many through the gateway."""
        count = self.count(100, 5)
        with stack_of() as (stack, address):
            shop = shelf.Shelf(address, stack.state / "mlflow/artifacts", self.kinds)
            ways = ["direct", *(["gateway"] if stack.gateway() else [])]
            say(f"registering {len(ways) * count + 1} versions")
            versions = [shop.put("fraud") for _ in range(len(ways) * count + 1)]
            shop.client.set_registered_model_alias("fraud", "Production", "1")
            endpoint = stack.served("fraud", 1)
            for number, way in enumerate(ways):
                own = versions[number * count : (number + 1) * count + 1]
                at, path = (endpoint, "/invocations") if way == "direct" else stack.through_gateway("fraud")
                found = swaps.run(stack, shop, own, at, path, say, calm=self.count(10, 2))
                self.details[f"swaps_{way}"] = found
                lost, ratio = found["failed_requests"], found["p99_ratio"]
                say(f"{way}: {found['requests']} requests, {lost} failed, p99 {ratio} times the calm's")
        runs = [self.details[f"swaps_{way}"] for way in ways]
        self.measured |= {
            "swaps": sum(run["swaps"] for run in runs),
            "swap_requests": sum(run["requests"] for run in runs),
            "swap_failed_requests": sum(run["failed_requests"] for run in runs),
            "swap_wrong_versions": sum(run["wrong_versions"] for run in runs),
            "swap_p99_inside_ms": runs[0]["p99_inside_ms"],
            "swap_p99_outside_ms": runs[0]["p99_outside_ms"],
            "swap_p99_ratio": max(run["p99_ratio"] for run in runs),
            "swap_ways": len(ways),
        }
        self._expect("swap_failed_requests", 0)
        self._expect("swap_wrong_versions", 0)

    def moves(self) -> None:
        """From alias to answer, with the doorbell and by the poll alone; and beside `mlflow models serve`."""
        rung, polled = self.count(34, 2), self.count(10, 1)
        with stack_of(SAMOVAR_DOORBELL_POLL_SECONDS=SLOW_POLL) as (stack, address):
            shop = shelf.Shelf(address, stack.state / "mlflow/artifacts", self.kinds)
            if stack.doorbell():
                self.details["moves_rung"] = self._move(stack, shop, rung)
            restarts = {} if self.asked.quick else self._restarts(shop)
        with stack_of(SAMOVAR_DOORBELL="off") as (stack, address):
            shop = shelf.Shelf(address, stack.state / "mlflow/artifacts", self.kinds)
            self.details["moves_polled"] = self._move(stack, shop, polled if "moves_rung" in self.details else rung)
        best = self.details.get("moves_rung", self.details["moves_polled"])
        self.measured |= {
            "alias_to_answer_s_p50": best["p50"],
            "alias_to_answer_s_p99": best["p99"],
            "alias_moves": best["moves"],
            "alias_to_answer_polled_s_p50": self.details["moves_polled"]["p50"],
            "alias_to_answer_polled_s_p99": self.details["moves_polled"]["p99"],
            "alias_wrong_versions": best["wrong"] + self.details["moves_polled"]["wrong"],
        }
        for name, seconds in restarts.items():
            taken = statistics.median(seconds)
            self.measured |= {f"{name}_s": taken, f"{name}_ratio": round(taken / best["by_model"]["fraud"]["p50"], 1)}
            self.details[f"{name}_s"] = seconds
        self._expect("alias_wrong_versions", 0)

    def _restarts(self, shop: shelf.Shelf) -> dict[str, list[float]]:
        """Start `mlflow models serve` with a new version, as it starts by default and with everything installed already."""
        made = shop.put("fraud")
        say("starting `mlflow models serve`, which makes an environment")
        anew = restart.run(shop, made, 1)
        say(f"{anew[0]:.1f} s; starting it with everything installed")
        return {"mlflow_models_serve": anew, "mlflow_models_serve_local": restart.run(shop, made, 3, restart.LOCAL)}

    def _move(self, stack: Stack, shop: shelf.Shelf, count: int) -> dict[str, Any]:
        say(f"registering {count + 1} versions of each model")
        versions = {name: [shop.put(name) for _ in range(count + 1)] for name in self.kinds}
        for name in versions:
            shop.client.set_registered_model_alias(name, "Production", str(versions[name][0].version))
        return moves.run(stack, shop, versions, say)

    def density(self) -> None:
        """Two hundred aliases on this machine."""
        server = Mlflow()
        try:
            shop = shelf.Shelf(server.address, server.folder / "artifacts", self.kinds)
            placed = density.fill(shop, self.count(200, 6), say)
            found = density.run(shop, placed, say)
        finally:
            server.stop()
        self.details["density"] = found
        self.measured |= {
            "aliases_served": found["served"],
            "aliases_pss_mb": found["pss_mb"],
            "aliases_start_s": found["start_s"],
            "aliases_start_cached_s": found["start_cached_s"],
            "aliases_wrong": found["wrong"],
            "reconcile_unchanged_200_ms": found["unchanged_ms"],
            "reconcile_unchanged_writes": found["unchanged_writes"],
        }
        self._expect("aliases_wrong", 0)
        self._expect("aliases_served", found["aliases"])

    def reconcile(self) -> None:
        """Rounds of the controller on fleets of a fake runtime."""
        found = reconcile.fleets(say, reconcile.SIZES if not self.asked.quick else reconcile.SIZES[:2])
        self.details["reconcile"] = found
        largest = found[max(found, key=int)]
        name = f"reconcile_{max(map(int, found))}"
        self.measured |= {f"{name}_s": largest["controller_back_s"], f"{name}_unchanged_s": largest["unchanged_s"]}

    def _expect(self, what: str, value: int) -> None:
        if self.measured[what] != value:
            self.faults.append(f"{what} is {self.measured[what]}, expected {value}")


@contextlib.contextmanager
def stack_of(**settings: str) -> Any:
    """Run a stack with an MLflow of its own; gives it and MLflow's address."""
    stack = Stack(**settings)
    try:
        say("samovar up")
        stack.command("up", "--detach")
        yield stack, stack.address("mlflow")
    finally:
        stack.stop()


def say(text: str) -> None:
    """Show progress."""
    print(f"[{time.monotonic() - _BEGAN:6.1f} s] {text}", file=sys.stderr, flush=True)


_BEGAN = time.monotonic()


def main() -> int:
    """Run the parts that were asked for; the exit code is 1 when a request failed or a wrong version answered."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.autoserve", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part (may be repeated; default: all)")
    parser.add_argument("--quick", action="store_true", help="few and small: only to show that everything is measured")
    parser.add_argument("--target", default="build/bench/autoserve.json", help="where the figures go")
    bench = Bench(parser.parse_args())
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    logs.configure("benchmark", level="ERROR")
    for part in bench.asked.only or PARTS:
        say(f"::: {part}")
        measure: Callable[[], None] = getattr(bench, part)
        measure()
    seconds = round(time.monotonic() - _BEGAN, 1)
    path = figures.write(bench.asked.target, bench.measured, **bench.details, faults=bench.faults, seconds=seconds)
    for fault in bench.faults:
        say(f"WRONG: {fault}")
    say(f"wrote {path.relative_to(figures.ROOT)}")
    return 1 if bench.faults else 0


if __name__ == "__main__":
    sys.exit(main())
