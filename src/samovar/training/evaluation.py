"""What is known of a trained candidate on the held-out rows: figures with intervals, as one JSON document."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.training import bootstrap, metrics, threshold
from samovar.training.curves import curves

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from samovar.contracts.spec import Scalar
    from samovar.training.outcomes import Outcome
    from samovar.training.slices import Levels

_SLICE_ROUNDS = 200


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A candidate judged.

    Attributes:
        outcome: its answers on the held-out rows, with its threshold.
        document: ``evaluation.json``.
    """

    outcome: Outcome
    document: dict[str, Any]

    def figures(self) -> dict[str, float]:
        """Every figure as a flat MLflow metric; an interval's ends are ``<name>_low`` and ``<name>_high``.

        Of the slices, ``slice/<slice>/<level>``; of importances, ``importance/<field>``.
        """
        flat: dict[str, float] = {}
        named = self.document["metrics"] | self.document["calibration"]["losses"]
        named |= self.document.get("threshold", {}).get("intervals", {})
        if "gain" in self.document.get("baseline", {}):
            named["gain_over_logreg"] = self.document["baseline"]["gain"]
        for name, figure in named.items():
            flat |= {name: figure["value"], f"{name}_low": figure["low"], f"{name}_high": figure["high"]}
        flat["ece_by_chance"] = self.document["calibration"]["ece_by_chance"]
        for name, parts in self.document["slices"].items():
            flat |= {_metric("slice", name, one["level"]): one["value"] for one in parts if one["value"] is not None}
        return flat | {_metric("importance", one["field"]): one["value"] for one in self.document["importance"]["fields"]}


def evaluate(  # noqa: PLR0913 - a report needs what it reports on
    outcome: Outcome,
    *,
    metric: str,
    classes: tuple[Scalar, ...],
    calibration: str,
    seed: int,
    baseline: Outcome | None,
    slices: Mapping[str, Levels] | None = None,
) -> Evaluation:
    """Judge a candidate.

    Args:
        outcome: its answers on the held-out rows, with its threshold.
        metric: the project's.
        classes: labels by index.
        calibration: how its probabilities were mended, ``sigmoid`` or ``none``.
        seed: of the bootstrap.
        baseline: answers of a plain logistic regression on the same rows.
        slices: slice -> level -> which of the rows are in it.
    """
    document: dict[str, Any] = {
        "metric": metric,
        "rows": int(outcome.truth.size),
        "confidence": 0.95,
        "metrics": _estimates(dict.fromkeys([*metrics.applicable(outcome), metric]), outcome, seed),
        "calibration": {
            "method": calibration,
            "losses": _estimates(metrics.LOSSES, outcome, seed),
            "ece_by_chance": round(metrics.ece_by_chance(outcome, seed), 6),
            "bins": _bins(outcome),
        },
        "confusion": {"labels": list(classes), "rows_true_columns_predicted": confusion(outcome)},
        "curves": curves(outcome, classes),
        "slices": {name: _slice(metric, outcome, levels, seed) for name, levels in (slices or {}).items()},
        "importance": {"rows": 0, "fields": []},
    }
    if outcome.positive is not None:
        document["threshold"] = {
            "value": round(outcome.threshold, 6),
            **threshold.report(outcome),
            "intervals": _estimates(metrics.DECISIONS, outcome, seed),
        }
    if baseline is not None:
        gain = bootstrap.difference(metric, outcome, baseline, seed=seed)
        document["baseline"] = {
            "model": "plain logistic regression",
            metric: bootstrap.estimate(metric, baseline, seed=seed).as_dict(),
            "gain": gain.as_dict(),
            "beaten": gain.low > 0,
        }
    return Evaluation(outcome, document)


def _estimates(names: Iterable[str], outcome: Outcome, seed: int) -> dict[str, dict[str, float]]:
    """Figures with intervals; one that is undefined (precision of a model that never says yes) is left out."""
    found = {name: bootstrap.estimate(name, outcome, seed=seed) for name in names}
    return {name: one.as_dict() for name, one in found.items() if np.isfinite(one.value)}


def _slice(metric: str, outcome: Outcome, levels: Levels, seed: int) -> list[dict[str, Any]]:
    """The project's metric level by level."""
    whole = metrics.value(metric, outcome)
    return [_level(metric, outcome, level, mask, whole, seed) for level, mask in levels.items()]


def _level(  # noqa: PLR0913, PLR0917 - one row of the table
    metric: str, outcome: Outcome, level: str, mask: np.ndarray, whole: float, seed: int
) -> dict[str, Any]:
    """``weaker`` where even the interval's upper end is under the whole's figure.

    Never by average precision: that of a level with few positives is low however good the model is, as ``positives`` tells.
    """
    (sample,) = bootstrap.samples(metric, [outcome], seed=seed, rounds=_SLICE_ROUNDS, rows=mask)
    known = np.isfinite([sample.value, *sample.replicates])
    found = sample.interval(0.95) if known[0] and known.mean() > 0.5 else None
    row: dict[str, Any] = {"level": level, "rows": int(mask.sum())}
    if outcome.positive is not None:
        row["positives"] = round(float(outcome.is_positive[mask].mean()), 6)
    figures = found.as_dict() if found else {"value": None, "low": None, "high": None}
    return row | figures | {"weaker": found is not None and metric != "average_precision" and found.high < whole}


def _metric(*parts: str) -> str:
    """A name that MLflow accepts for a metric: it is treated as a path, which no part may leave or shorten."""
    clean = (re.sub(r"[^\w .:-]", "_", part)[:80] for part in parts)
    return "/".join(part if part.strip(" .") else f"_{part}_" for part in clean)


def confusion(outcome: Outcome) -> list[list[int]]:
    """Counts of rows by true class (row) and predicted class (column)."""
    classes = outcome.probabilities.shape[1]
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (outcome.truth, outcome.predicted), 1)
    table: list[list[int]] = counts.tolist()
    return table


def _bins(outcome: Outcome) -> list[dict[str, float]]:
    """Stated against observed frequency, bin by bin, with the observed one's Wilson interval: the reliability diagram."""
    stated, observed = metrics.stated_and_observed(outcome)
    which = metrics.equal_mass_bins(stated)
    return [_bin(stated[which == one], observed[which == one]) for one in np.unique(which)]


def _bin(stated: np.ndarray, observed: np.ndarray) -> dict[str, float]:
    low, high = wilson(float(observed.sum()), observed.size)
    return {
        "rows": int(observed.size),
        "stated": round(float(stated.mean()), 6),
        "observed": round(float(observed.mean()), 6),
        "low": round(low, 6),
        "high": round(high, 6),
    }


def wilson(hits: float, rows: int, z: float = 1.959964) -> tuple[float, float]:
    """Interval of a share of rows (Wilson 1927); unlike a resample's it is open also where all or none are hits."""
    share, more = hits / rows, z * z / rows
    middle = (share + more / 2) / (1 + more)
    half = z / (1 + more) * math.sqrt(share * (1 - share) / rows + more / (4 * rows))
    return max(0.0, middle - half), min(1.0, middle + half)
