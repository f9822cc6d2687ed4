"""The benchmark's arithmetic: samples into medians, spreads and ratios. No clock, no process, no file."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

REFERENCE = "mlflow"
OURS = "samovar"

Samples = dict[str, list[float]]
"""Figures of all runs by name. A name is ``SERVER.MODEL.WHAT``, such as ``mlflow.fraud.p99_c64``."""

SMALLER_IS_BETTER = ("p50", "p90", "p99", "cold_start", "pss")


@dataclass(frozen=True, slots=True)
class Cell:
    """One load on one server.

    Attributes:
        requests: answered with success.
        seconds: wall time.
        cpu: CPU seconds of the whole process tree.
    """

    requests: int
    seconds: float
    cpu: float

    @property
    def per_cpu_second(self) -> float:
        """Requests for one CPU second of the tree."""
        return self.requests / self.cpu

    @property
    def per_second(self) -> float:
        """Requests for one second of the clock."""
        return self.requests / self.seconds


def forward(run: int) -> bool:
    """Whether a run goes through the servers forwards: A B B A A B B A ..., so that drift of the machine falls on both alike."""
    return run % 4 in (0, 3)


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the least and the greatest value."""
    return min(values), max(values)


def larger_is_better(what: str) -> bool:
    """Whether more of a figure is better."""
    return not what.startswith(SMALLER_IS_BETTER)


def ratio(what: str, ours: float, theirs: float) -> float:
    """Return how many times better ours is."""
    return ours / theirs if larger_is_better(what) else theirs / ours


PROMISED: dict[str, tuple[str, str, str]] = {
    **{f"{model}_rps_per_cpu_s_c64": (OURS, model, "rps_per_cpu_s_c64") for model in ("fraud", "iris", "sentiment")},
    "pyfunc_rps_per_cpu_s_c64": ("samovar-pyfunc", "fraud", "rps_per_cpu_s_c64"),
    "fraud_p50_c1": (OURS, "fraud", "p50_us_c1"),
    "fraud_p99_c64": (OURS, "fraud", "p99_us_c64"),
    "batch10k_rows_per_s": (OURS, "fraud", "batch10k_rows_per_s"),
    "iris_batch10k_rows_per_s": (OURS, "iris", "batch10k_rows_per_s"),
    "sentiment_batch10k_rows_per_s": (OURS, "sentiment", "batch10k_rows_per_s"),
    "cold_start": (OURS, "fraud", "cold_start_s"),
    "pss": (OURS, "fraud", "pss_mb"),
}
"""Names of the published figures: whose they are. Each is compared with MLflow's own for the same model."""


def measured(samples: Samples) -> dict[str, float]:
    """Return the medians: the promised names as they are, then everything by its full name."""
    found = {key: median(samples[".".join(path)]) for key, path in PROMISED.items() if samples.get(".".join(path))}
    return found | {name: median(values) for name, values in sorted(samples.items()) if values}


def ratios(samples: Samples) -> dict[str, float]:
    """Return how many times better Samovar is than `mlflow models serve`, by promised name."""
    return {key: ratio(what, median(ours), median(theirs)) for key, what, ours, theirs in _pairs(samples)}


def ratio_spreads(samples: Samples) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest ratio of the runs, each run compared with itself."""
    return {
        key: spread([ratio(what, mine, other) for mine, other in zip(ours, theirs, strict=False)])
        for key, what, ours, theirs in _pairs(samples)
    }


def _pairs(samples: Mapping[str, list[float]]) -> Iterable[tuple[str, str, list[float], list[float]]]:
    for key, (server, model, what) in PROMISED.items():
        ours, theirs = samples.get(f"{server}.{model}.{what}"), samples.get(f"{REFERENCE}.{model}.{what}")
        if ours and theirs:
            yield key, what, ours, theirs
