"""The gate: may a challenger replace the champion? Pure: outcomes in, verdict and evidence out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from samovar.training import bars, blocks, bootstrap, paired, slicewise
from samovar.training.metrics import value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from samovar.project import Gate
    from samovar.training.bars import Bar, Tested
    from samovar.training.bootstrap import Sample
    from samovar.training.outcomes import Outcome

ROUNDS = 2000
"""Resamples: ten challengers at once still have five of them beyond the end of their intervals."""


@dataclass(frozen=True, slots=True)
class Challenger:
    """What the gate looks at.

    Attributes:
        outcome: its answers on the held-out rows.
        latency_ms: 95th percentile of the time of one one-row prediction.
        size_mb: its stored model.
        scorer: whose time that is: the ``compiled`` model's, as an endpoint serves it, or the ``native`` one's.
        bars: what else was measured of it, and held to limits.
        facts: what else is to be kept with the decision.
    """

    outcome: Outcome
    latency_ms: float
    size_mb: float
    scorer: Literal["compiled", "native"] = "native"
    bars: Sequence[Bar] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


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


def decide(  # noqa: PLR0913 - the two, and what is known of the rows
    gate: Gate,
    metric: str,
    challenger: Challenger,
    champion: Outcome | None,
    *,
    seed: int,
    ordered: bool = False,
    slices: Mapping[str, np.ndarray] | None = None,
) -> Verdict:
    """Judge one challenger; see `decide_all`."""
    return decide_all(gate, metric, [challenger], champion, seed=seed, ordered=ordered, slices=slices)[0]


def decide_all(  # noqa: PLR0913 - as `decide`
    gate: Gate,
    metric: str,
    challengers: Sequence[Challenger],
    champion: Outcome | None,
    *,
    seed: int,
    ordered: bool = False,
    slices: Mapping[str, np.ndarray] | None = None,
) -> list[Verdict]:
    """Judge challengers on the held-out rows; the champion answered the same ones.

    The bars are the minimum on the metric, the latency, the size and, with a champion, the paired interval of the gain, whose lower
    end must exceed the margin, and every slice (`samovar.training.slicewise`). A challenger that is no better in truth therefore
    passes in about ``(1 - confidence) / 2`` of all attempts, whatever its luck on these rows; so does any one of several that are
    judged at once, since their gains are tested together (`samovar.training.bars.step_down`).

    Args:
        gate: the bars.
        metric: the project's.
        challengers: one or more.
        champion: its outcome; None where there is none yet.
        seed: of the resamples.
        ordered: whether the rows are in the order of time: neighbours are then drawn together (`samovar.training.blocks`).
        slices: name -> which rows are in it, booleans of shape (n,); judged where the gate has a ``slice_margin``.

    Returns:
        a verdict for each challenger.
    """
    if champion is None:
        return [_verdict(gate, metric, one, seed) for one in challengers]
    compared = [_compare(metric, one.outcome, champion, seed=seed, ordered=ordered) for one in challengers]
    tested = bars.step_down([pair.gain for pair in compared], gate.margin, (1 - gate.confidence) / 2)
    wanted = slices if slices and gate.slice_margin is not None else {}
    return [
        _against(gate, metric, one, champion, pair, found, wanted, seed)
        for one, pair, found in zip(challengers, compared, tested, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Compared:
    ours: Sample
    theirs: Sample
    gain: Sample
    block: int


def _compare(metric: str, challenger: Outcome, champion: Outcome, *, seed: int, ordered: bool) -> _Compared:
    block = blocks.block_length(metric, challenger, champion) if ordered else 1
    ours, theirs = bootstrap.samples(metric, [challenger, champion], seed=seed, rounds=ROUNDS, block=block)
    return _Compared(ours, theirs, ours.minus(theirs), block)


def _verdict(gate: Gate, metric: str, challenger: Challenger, seed: int) -> Verdict:
    """Judge where there is no champion: the bars alone decide."""
    reached = value(metric, challenger.outcome)
    evidence = _figures(gate, metric, challenger)
    evidence["challenger"] = bootstrap.estimate(metric, challenger.outcome, seed=seed, confidence=gate.confidence).as_dict()
    evidence["resampling"] = {"seed": seed, "rounds": bootstrap.ROUNDS, "block": 1}
    praise = f"{metric} {reached:.4f} on the held-out rows reaches the minimum of {gate.minimum:g}; there is no champion yet."
    return _close(_costs(gate, metric, challenger, reached), evidence, praise)


def _against(  # noqa: PLR0913, PLR0917 - the two, compared
    gate: Gate,
    metric: str,
    challenger: Challenger,
    champion: Outcome,
    compared: _Compared,
    tested: Tested,
    slices: Mapping[str, np.ndarray],
    seed: int,
) -> Verdict:
    reached, margin = compared.ours.value, gate.margin
    evidence = _figures(gate, metric, challenger) | {
        "challenger": compared.ours.interval(gate.confidence).as_dict(),
        "champion": compared.theirs.interval(gate.confidence).as_dict(),
        "gain": tested.estimate.as_dict(),
        "gain_p": round(tested.p, 6),
        "gain_level": round(tested.level, 6),
        "margin": margin,
        "resampling": {"seed": seed, "rounds": int(compared.gain.replicates.size), "block": compared.block},
        "supporting": paired.supporting(metric, challenger.outcome, champion),
    }
    gained = bars.gain(metric, tested.estimate, margin, passed=tested.passed)
    made = [*_costs(gate, metric, challenger, reached), gained]
    if slices:
        rounds, block = ROUNDS, compared.block
        judged, rows = slicewise.judge(gate, metric, (challenger.outcome, champion), slices, seed=seed, rounds=rounds, block=block)
        evidence |= {"slices": rows, "slice_margin": gate.slice_margin, "slice_rows": gate.slice_rows}
        made += judged
    praise = f"{metric} {reached:.4f} beats the champion's {compared.theirs.value:.4f}: gain {bars.spell(tested.estimate)}."
    return _close(made, evidence, praise)


def _costs(gate: Gate, metric: str, challenger: Challenger, reached: float) -> list[Bar]:
    return [
        bars.minimum(metric, reached, gate.minimum),
        bars.at_most("latency", _LATENCY.format(challenger.scorer), challenger.latency_ms, gate.max_latency_ms),
        bars.at_most("size", "the stored model in MB", challenger.size_mb, gate.max_size_mb),
        *challenger.bars,
    ]


_LATENCY = "the latency of one row (p95, {} scorer) in ms"


def _figures(gate: Gate, metric: str, challenger: Challenger) -> dict[str, Any]:
    return {
        **challenger.facts,
        "metric": metric,
        "rows": int(challenger.outcome.truth.size),
        "minimum": gate.minimum,
        "latency_ms": round(challenger.latency_ms, 4),
        "max_latency_ms": gate.max_latency_ms,
        "scorer": challenger.scorer,
        "size_mb": round(challenger.size_mb, 3),
        "max_size_mb": gate.max_size_mb,
        "confidence": gate.confidence,
    }


def _close(made: Sequence[Bar], evidence: dict[str, Any], praise: str) -> Verdict:
    missed = [bar.sentence for bar in made if not bar.passed]
    evidence |= {"bars": [bar.as_dict() for bar in made], "missed": missed}
    return Verdict(not missed, missed[0] if missed else praise, evidence)
