"""Which trial of a search becomes the model: of the Pareto front the cheapest that is as good as the best."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.project import Search

_NOISE = 1.25
"""Latencies within this factor count as equal: the same model, measured twice, differs by so much on a busy machine."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One finished trial.

    Attributes:
        number: in the study.
        params: what it tried, without the candidate's fixed parameters.
        pruned: whether it was ended early; it has no figures then.
        metric: the project's, larger is better.
        error: its standard error, where it was needed.
        latency_us: median microseconds of CPU time that scoring one row takes.
        size_bytes: of the fitted model.
        seconds: how long it took.
    """

    number: int
    params: dict[str, Any]
    pruned: bool = False
    metric: float | None = None
    error: float | None = None
    latency_us: float | None = None
    size_bytes: float | None = None
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def choose(trials: Sequence[Trial], plan: Search) -> tuple[Trial, str]:
    """Return the trial to take, and why in one sentence.

    With the metric as the only objective it is the best. With costs beside it, every trial of the front whose metric is within the
    tolerance of the best is as good (by default one standard error: Breiman et al. 1984, section 3.4.3); of those the one
    with the lowest latency, then the smallest, then the better.

    Raises:
        ModelError: no trial was finished.
    """
    done = [one for one in trials if one.metric is not None]
    if not done:
        raise ModelError("The search finished no trial.", remedy="Give it more minutes or trials.")
    best = max(done, key=lambda one: (_metric(one), -one.number))
    if plan.objectives == ("metric",):
        return best, f"Trial {best.number} of {len(trials)} has the best metric, {best.metric:.4f}."
    tolerance = (best.error or 0.0) if plan.tolerance is None else plan.tolerance
    good = [one for one in front(done, plan.objectives) if _metric(one) >= _metric(best) - tolerance]
    chosen = _cheapest(good)
    what = "one standard error" if plan.tolerance is None else "the stated tolerance"
    where, within = f"Trial {chosen.number} of {len(trials)}", f"within {tolerance:.4f} ({what})"
    if chosen is best:
        return best, f"{where} has the best metric, {best.metric:.4f}, and none {within} of it is cheaper: {_costs(best)}."
    words = f"{where} reaches {chosen.metric:.4f}, {within} of the best ({best.metric:.4f}, trial {best.number}), and is cheaper"
    return chosen, f"{words}: {_costs(chosen)} instead of {_costs(best)}."


def front(trials: Sequence[Trial], objectives: Sequence[str]) -> list[Trial]:
    """Return the Pareto front: trials that no other one beats in an objective without being beaten in another."""
    done = [one for one in trials if one.metric is not None]
    losses = np.array([[_loss(one, name) for name in objectives] for one in done]).reshape(len(done), len(objectives))
    beaten = [bool(((losses <= row).all(axis=1) & (losses < row).any(axis=1)).any()) for row in losses]
    return [one for one, is_beaten in zip(done, beaten, strict=True) if not is_beaten]


def _cheapest(good: Sequence[Trial]) -> Trial:
    fastest = min(one.latency_us or 0.0 for one in good)
    fast = [one for one in good if (one.latency_us or 0.0) <= fastest * _NOISE]
    return min(fast, key=lambda one: (one.size_bytes or 0.0, -_metric(one), one.number))


def _loss(one: Trial, objective: str) -> float:
    match objective:
        case "metric":
            return -_metric(one)
        case "latency":
            return one.latency_us or 0.0
        case _:
            return one.size_bytes or 0.0


def _metric(one: Trial) -> float:
    assert one.metric is not None
    return one.metric


def _costs(one: Trial) -> str:
    latency = [] if one.latency_us is None else [f"{one.latency_us:.1f} us a row"]
    size = [] if one.size_bytes is None else [f"{one.size_bytes / 1e6:.2f} MB"]
    return ", ".join(latency + size)
