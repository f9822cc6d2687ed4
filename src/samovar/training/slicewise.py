"""No part of the rows may pay for the whole: per-slice non-inferiority of a challenger."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from samovar.training import bars, bootstrap
from samovar.training.bars import Bar

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from samovar.project import Gate
    from samovar.training.bootstrap import Estimate, Sample
    from samovar.training.outcomes import Outcome


def judge(  # noqa: PLR0913 - two models, the parts, and how to resample
    gate: Gate, metric: str, pair: tuple[Outcome, Outcome], slices: Mapping[str, np.ndarray], *, seed: int, rounds: int, block: int
) -> tuple[list[Bar], list[dict[str, Any]]]:
    """Judge (challenger, champion) on every slice, with the resamples of the whole.

    A slice of at least ``gate.slice_rows`` rows must prove that the challenger is not worse by ``gate.slice_margin`` or more: the
    lower end of its gain is above minus the margin, all of them tested together (`samovar.training.bars.step_down`). Fewer rows
    could never prove that; such a slice refuses a challenger that is proven worse (Bonferroni among them). A slice in which the
    metric is not defined is only listed.

    Returns:
        the bars, one for each slice that was judged; and of every slice its figures, as JSON.
    """
    assert gate.slice_margin is not None
    gains = {name: _gain(metric, pair, mask, seed, rounds, block) for name, mask in slices.items() if mask.any()}
    rows = {name: int(slices[name].sum()) for name in gains}
    defined = [name for name, gain in gains.items() if not math.isnan(gain.value)]
    large = [name for name in defined if rows[name] >= gate.slice_rows]
    small = [name for name in defined if rows[name] < gate.slice_rows]
    alpha = (1 - gate.confidence) / 2
    found: dict[str, tuple[Estimate, bool, str]] = {}
    for name, tested in zip(large, bars.step_down([gains[one] for one in large], -gate.slice_margin, alpha), strict=True):
        found[name] = (tested.estimate, tested.passed, "proven")
    for name in small:
        estimate = gains[name].interval(1 - 2 * alpha / len(small))
        found[name] = (estimate, not estimate.high < -gate.slice_margin, "not refuted")
    made = [_bar(metric, name, rows[name], *found[name], gate.slice_margin) for name in gains if name in found]
    return made, [_row(name, rows[name], found.get(name)) for name in gains]


def _gain(metric: str, pair: tuple[Outcome, Outcome], mask: np.ndarray, seed: int, rounds: int, block: int) -> Sample:  # noqa: PLR0913, PLR0917 - as `judge`
    ours, theirs = bootstrap.samples(metric, pair, seed=seed, rounds=rounds, block=block, rows=mask)
    return ours.minus(theirs)


def _bar(metric: str, name: str, rows: int, found: Estimate, passed: bool, how: str, margin: float) -> Bar:  # noqa: FBT001, PLR0913, PLR0917 - one line of a table
    what = f"gain in {metric} on {name} ({rows:,} rows)"
    proven = how == "proven"
    end, rule = (found.low, "low > -limit") if proven else (found.high, "high >= -limit")
    refusal = (
        f"it is not proven to be worse by less than {margin:g}" if proven else f"it is proven to be worse by more than {margin:g}"
    )
    words = f"it is no worse by {margin:g} or more" if proven else "there is no proof that it is worse, on few rows"
    sentence = f"On {name} ({rows:,} rows) {words if passed else refusal}: {bars.spell(found)}."
    return Bar("slice", what, found.value, margin, rule, passed, end + margin, sentence, found.low, found.high)


def _row(name: str, rows: int, found: tuple[Estimate, bool, str] | None) -> dict[str, Any]:
    if found is None:
        return {"slice": name, "rows": rows, "standing": "not defined"}
    estimate, passed, how = found
    standing = ("not worse" if passed else "may be worse") if how == "proven" else ("few rows" if passed else "worse")
    return {"slice": name, "rows": rows, **estimate.as_dict(), "standing": standing}


__all__ = ["judge"]
