"""The gate: may the challenger replace the champion? Pure: outcomes in, verdict and evidence out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from samovar.training import bootstrap
from samovar.training.metrics import value

if TYPE_CHECKING:
    from samovar.project import Gate
    from samovar.training.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Challenger:
    """What the gate looks at.

    Attributes:
        outcome: its answers on the held-out rows.
        latency_ms: median time of one one-row prediction.
        size_mb: its stored model.
    """

    outcome: Outcome
    latency_ms: float
    size_mb: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says.

    Attributes:
        passed: whether every bar was reached.
        reason: one sentence for people: the first bar that was missed, or what was gained.
        evidence: every figure and bar, as JSON.
    """

    passed: bool
    reason: str
    evidence: dict[str, Any]


def decide(gate: Gate, metric: str, challenger: Challenger, champion: Outcome | None, *, seed: int) -> Verdict:
    """Judge a challenger on the held-out rows; the champion answered the same ones.

    The bars are the minimum on the metric, the latency, the size and, with a champion, the paired interval of the gain: its lower
    end must exceed the margin. A challenger that is no better in truth therefore passes in about ``(1 - confidence) / 2`` of all
    attempts, whatever its luck on these rows.
    """
    reached = value(metric, challenger.outcome)
    bars = [
        _at_least(f"{metric} on the held-out rows", reached, gate.minimum),
        _at_most("the median latency of one row in ms", challenger.latency_ms, gate.max_latency_ms),
        _at_most("the stored model in MB", challenger.size_mb, gate.max_size_mb),
    ]
    evidence: dict[str, Any] = {
        "metric": metric,
        "rows": int(challenger.outcome.truth.size),
        "challenger": bootstrap.estimate(metric, challenger.outcome, seed=seed, confidence=gate.confidence).as_dict(),
        "minimum": gate.minimum,
        "latency_ms": round(challenger.latency_ms, 3),
        "max_latency_ms": gate.max_latency_ms,
        "size_mb": round(challenger.size_mb, 3),
        "max_size_mb": gate.max_size_mb,
        "confidence": gate.confidence,
    }
    praise = f"{metric} {reached:.4f} on the held-out rows reaches the minimum of {gate.minimum:g}; there is no champion yet."
    if champion is not None:
        gain = bootstrap.difference(metric, challenger.outcome, champion, seed=seed, confidence=gate.confidence)
        evidence |= {
            "champion": bootstrap.estimate(metric, champion, seed=seed, confidence=gate.confidence).as_dict(),
            "gain": gain.as_dict(),
            "margin": gate.margin,
        }
        praise = f"{metric} {reached:.4f} beats the champion's {value(metric, champion):.4f}: gain {_spell(gain)}."
        bars.append(None if gain.low > gate.margin else f"The gain in {metric} over the champion is not proven: {_spell(gain)}.")
    missed = [bar for bar in bars if bar]
    evidence["missed"] = missed
    return Verdict(not missed, missed[0] if missed else praise, evidence)


def _at_least(what: str, reached: float, bar: float) -> str | None:
    return None if reached >= bar else f"{what} is {reached:.4f}, under the minimum of {bar:g}."


def _at_most(what: str, reached: float, bar: float | None) -> str | None:
    return None if bar is None or reached <= bar else f"{what} is {reached:.3g}, over the limit of {bar:g}."


def _spell(gain: bootstrap.Estimate) -> str:
    return f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
