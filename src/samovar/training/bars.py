"""Bars of the gate: what was asked, what was reached, and the sentence for whoever reads the decision."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.training.bootstrap import Estimate, Sample


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        name: ``minimum``, ``latency``, ``size``, ``gain``, ``slice`` or ``replay``.
        what: what was measured, for people.
        value: what was reached.
        limit: what was asked for; None where nothing was.
        rule: whether the value, the lower or the upper end of its interval is compared, and how.
        passed: whether it was reached.
        by: by how much, in the bar's own unit; negative where it was missed, None where nothing was asked.
        sentence: how it was missed, or that it was reached.
        low: lower end of the value's interval, if it has one.
        high: upper end.
    """

    name: Literal["minimum", "latency", "size", "gain", "slice", "replay"]
    what: str
    value: float
    limit: float | None
    rule: str
    passed: bool
    by: float | None
    sentence: str
    low: float | None = None
    high: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON, figures to six digits; what is not a number, such as a score that the rows do not define, is null."""
        return {name: _rounded(value) if isinstance(value, float) else value for name, value in asdict(self).items()}


def _rounded(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def minimum(metric: str, reached: float, bar: float) -> Bar:
    """Hold the metric to its minimum."""
    passed = reached >= bar
    what = f"{metric} on the held-out rows"
    sentence = f"{what} is {reached:.4f}, {'at least' if passed else 'under'} the minimum of {bar:g}."
    return Bar("minimum", what, reached, bar, "value >= limit", passed, reached - bar, sentence)


def at_most(name: Literal["latency", "size"], what: str, reached: float, bar: float | None) -> Bar:
    """Hold a cost to its limit, if there is one."""
    passed = bar is None or reached <= bar
    against = "no limit is set" if bar is None else f"{'within' if passed else 'over'} the limit of {bar:g}"
    return Bar(
        name,
        what,
        reached,
        bar,
        "value <= limit",
        passed,
        None if bar is None else bar - reached,
        f"{what} is {reached:.3g}, {against}.",
    )


def gain(metric: str, found: Estimate, margin: float, *, passed: bool) -> Bar:
    """Ask that the gain over the champion is proven to exceed the margin."""
    above = f" by more than {margin:g}" if margin else ""
    sentence = (
        f"The gain in {metric} over the champion is proven{above}: {spell(found)}."
        if passed
        else f"The gain in {metric} over the champion is not proven{above}: {spell(found)}."
    )
    what = f"gain in {metric} over the champion"
    return Bar("gain", what, found.value, margin, "low > limit", passed, found.low - margin, sentence, found.low, found.high)


def disagreement(share: float, low: float, high: float, rows: int, bar: float | None) -> Bar:
    """Hold the share of replayed rows that get another label to its limit, if there is one."""
    passed = bar is None or high <= bar
    against = "no limit is set" if bar is None else f"{'within' if passed else 'not proven to be within'} the limit of {bar:g}"
    what = f"share of {rows:,} replayed rows with another label"
    sentence = f"The {what} is {share:.4f} [{low:.4f}, {high:.4f}], {against}."
    return Bar("replay", what, share, bar, "high <= limit", passed, None if bar is None else bar - high, sentence, low, high)


def spell(found: Estimate) -> str:
    """Write a difference with its interval."""
    return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


@dataclass(frozen=True, slots=True)
class Tested:
    """One of several differences that were tested together.

    Attributes:
        estimate: the difference, with the interval of the level at which it was tested.
        level: one-sided error that was allowed to it.
        p: one-sided p-value, not corrected.
        passed: whether the lower end exceeds the bar, and all that were tested before it passed.
    """

    estimate: Estimate
    level: float
    p: float
    passed: bool


def step_down(samples: Sequence[Sample], bar: float, alpha: float) -> list[Tested]:
    """Test which differences exceed a bar, so that the chance of any false one stays under alpha, however many there are.

    Holm's procedure (Scandinavian Journal of Statistics 6, 1979): the smallest of m p-values is tested at alpha / m, the next at
    alpha / (m - 1), and so on; after the first that does not pass, none does. One sample alone is tested at alpha.
    """
    p_values = [one.p_value(bar) for one in samples]
    found: dict[int, Tested] = {}
    passing = True
    for rank, index in enumerate(sorted(range(len(samples)), key=lambda one: (p_values[one], -samples[one].value))):
        level = alpha / (len(samples) - rank)
        estimate = samples[index].interval(1 - 2 * level)
        passing = passing and estimate.low > bar
        found[index] = Tested(estimate, level, p_values[index], passing)
    return [found[index] for index in range(len(samples))]


__all__ = ["Bar", "Tested", "at_most", "disagreement", "gain", "minimum", "spell", "step_down"]
