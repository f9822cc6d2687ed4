"""Two answers to the same logged rows, compared: on labels where they are known, by how often they differ where not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.autoserve.ratio import wilson
from samovar.pipelines.infer import text
from samovar.training import blocks, bootstrap
from samovar.training.outcomes import Outcome, class_indices, from_labels

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from samovar.store.logged import Answered

_OF_CHANCES = ("neg_log_loss", "roc_auc", "average_precision")


@dataclass(slots=True)
class Pairs:
    """What is kept of the rows: counts of all, and the labelled ones.

    Attributes:
        rows: how many were compared.
        differing: how many have another label now.
        apart: sum over rows of the largest change of a class's probability.
        measured: rows of which both gave probabilities of the same classes.
        classes: their classes.
    """

    rows: int = 0
    differing: int = 0
    apart: float = 0.0
    measured: int = 0
    classes: list[str] = field(default_factory=list)
    _truths: list[str] = field(default_factory=list)
    _labels: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    _chances: tuple[list[Any], list[Any]] = field(default_factory=lambda: ([], []))

    def add(
        self, rows: Answered, since: dt.datetime, ours: tuple[Sequence[str], Any], classes: tuple[list[str], list[str]]
    ) -> None:
        """Add rows with who answered then (in ``rows``) and who answers now; ``classes`` are those of now and of then."""
        now, then = classes
        self.classes = self.classes or now
        keep = [at for at, moment in enumerate(rows.at) if moment >= since]
        self.rows += len(keep)
        self.differing += sum(ours[0][at] != rows.labels[at] for at in keep)
        old = [rows.probabilities[at] for at in keep]
        known = bool(now) and now == then and ours[1] is not None and all(one is not None and len(one) == len(now) for one in old)
        if known and keep:
            self.measured += len(keep)
            self.apart += float(np.abs(np.asarray(old, dtype=float) - ours[1][keep]).max(axis=1).sum())
        for place, at in enumerate(keep):
            truth = rows.truths[at]
            if truth is not None:
                self._truths.append(truth)
                self._labels[0].append(ours[0][at])
                self._labels[1].append(rows.labels[at])
                self._chances[0].append(ours[1][at] if known else None)
                self._chances[1].append(old[place] if known else None)

    def metrics(self, positive: str | None, seed: int) -> dict[str, Any]:
        """Score both on the labelled rows; rows are in the order in which they were answered."""
        if not self._truths:
            return {}
        classes = sorted({*self._truths, *self._labels[0], *self._labels[1]})
        truth = class_indices(self._truths, classes)
        pair = [Outcome(truth, from_labels(side, classes)) for side in self._labels]
        found = {name: _compared(name, pair, seed) for name in ("accuracy", "f1_macro")}
        if all(share is not None for share in self._chances[0]) and set(self._truths) <= set(self.classes):
            truth = class_indices(self._truths, self.classes)
            binary = self.classes.index(positive) if positive in self.classes and len(self.classes) == 2 else None
            pair = [Outcome(truth, np.asarray(side, dtype=float), binary) for side in self._chances]
            names = _OF_CHANCES if binary is not None and 0 < pair[0].is_positive.sum() < truth.size else _OF_CHANCES[:1]
            found |= {name: _compared(name, pair, seed) for name in names}
        return found

    @property
    def labelled(self) -> int:
        """Rows whose label is known."""
        return len(self._truths)


def compare(pairs: Pairs, positive: str | None, *, seed: int) -> dict[str, Any]:
    """Return what `samovar.pipelines.replay.replay` tells of the rows. The share's interval is Wilson's, of 95 %."""
    low, high = wilson(pairs.differing, pairs.rows)
    return {
        "rows": pairs.rows,
        "disagreement": {"value": round(pairs.differing / pairs.rows, 6), "low": round(low, 6), "high": round(high, 6)},
        "score_difference": round(pairs.apart / pairs.measured, 6) if pairs.measured else None,
        "labelled": pairs.labelled,
        "metrics": pairs.metrics(positive, seed),
    }


def names(classes: Sequence[Any]) -> list[str]:
    """Write class labels as the log does."""
    return [text(one) for one in classes]


def _compared(name: str, pair: Sequence[Outcome], seed: int) -> dict[str, Any]:
    block = blocks.block_length(name, pair[0], pair[1])
    now, then = bootstrap.samples(name, pair, seed=seed, block=block)
    return {"version": round(now.value, 6), "then": round(then.value, 6), "gain": now.minus(then).interval(0.95).as_dict()}


__all__ = ["Pairs", "compare", "names"]
