"""What can be asked of the benchmark, and how long each part of it takes."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

MODELS = ("fraud", "iris", "sentiment")


@dataclass(frozen=True, slots=True)
class Options:
    """One run of the benchmark.

    Attributes:
        runs: how often everything is measured, in alternating orders.
        seconds: of a load by its number of connections.
        models: which of the reference models.
        large: 10,000-row requests a run, by model.
        sampled: answers compared with the native model's.
        quick: seconds instead of minutes: this program's own environment for every server, small models, the figures worthless.
        competitors: whether others than Samovar are measured.
        target: where the figures are written, below the repository's root.
    """

    runs: int
    seconds: dict[int, int]
    models: tuple[str, ...]
    large: dict[str, int]
    sampled: int
    quick: bool
    competitors: bool
    target: str


def read(argv: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs in alternating orders (5)")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of a load with 64 connections (3)")
    parser.add_argument("--models", default=",".join(MODELS), help=f"some of {', '.join(MODELS)}")
    parser.add_argument("--connections", default="1,16,64", help="numbers of connections (1,16,64)")
    parser.add_argument("--alone", action="store_true", help="measure Samovar only")
    parser.add_argument("--quick", action="store_true", help="try the machinery in seconds; the figures mean nothing")
    parser.add_argument("--target", default="build/bench/serving.json", help="file below the repository's root")
    given = parser.parse_args(argv)
    levels = [1, 64] if given.quick else [int(level) for level in given.connections.split(",")]
    return Options(
        runs=1 if given.quick else given.runs,
        seconds={level: 1 if given.quick else max(1, given.seconds - (level != 64)) for level in levels},
        models=tuple(given.models.split(",")),
        large={"fraud": 1, "iris": 1, "sentiment": 1} if given.quick else {"fraud": 3, "iris": 3, "sentiment": 1},
        sampled=32 if given.quick else 640,
        quick=given.quick,
        competitors=not given.alone,
        target=given.target,
    )
