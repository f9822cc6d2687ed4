"""What is known of a trained candidate on the held-out rows: figures with intervals, as one JSON document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.training import bootstrap, metrics, threshold

if TYPE_CHECKING:
    from samovar.contracts.spec import Scalar
    from samovar.training.outcomes import Outcome


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
        """Every figure as a flat MLflow metric; an interval's ends are ``<name>_low`` and ``<name>_high``."""
        flat: dict[str, float] = {}
        named = self.document["metrics"] | self.document["calibration"]["losses"]
        if "gain" in self.document.get("baseline", {}):
            named["gain_over_logreg"] = self.document["baseline"]["gain"]
        for name, figure in named.items():
            flat |= {name: figure["value"], f"{name}_low": figure["low"], f"{name}_high": figure["high"]}
        return flat | {"ece_by_chance": self.document["calibration"]["ece_by_chance"]}


def evaluate(  # noqa: PLR0913 - a report needs what it reports on
    outcome: Outcome, *, metric: str, classes: tuple[Scalar, ...], calibration: str, seed: int, baseline: Outcome | None
) -> Evaluation:
    """Judge a candidate.

    Args:
        outcome: its answers on the held-out rows, with its threshold.
        metric: the project's.
        classes: labels by index.
        calibration: how its probabilities were mended, ``sigmoid`` or ``none``.
        seed: of the bootstrap.
        baseline: answers of a plain logistic regression on the same rows.
    """
    document: dict[str, Any] = {
        "metric": metric,
        "rows": int(outcome.truth.size),
        "confidence": 0.95,
        "metrics": {name: bootstrap.estimate(name, outcome, seed=seed).as_dict() for name in metrics.applicable(outcome)},
        "calibration": {
            "method": calibration,
            "losses": {name: bootstrap.estimate(name, outcome, seed=seed).as_dict() for name in metrics.LOSSES},
            "ece_by_chance": round(metrics.ece_by_chance(outcome, seed), 6),
            "bins": _bins(outcome),
        },
        "confusion": {"labels": list(classes), "rows_true_columns_predicted": confusion(outcome)},
    }
    if outcome.positive is not None:
        document["threshold"] = {"value": round(outcome.threshold, 6), **threshold.report(outcome)}
    if baseline is not None:
        gain = bootstrap.difference(metric, outcome, baseline, seed=seed)
        document["baseline"] = {
            "model": "plain logistic regression",
            metric: bootstrap.estimate(metric, baseline, seed=seed).as_dict(),
            "gain": gain.as_dict(),
            "beaten": gain.low > 0,
        }
    return Evaluation(outcome, document)


def confusion(outcome: Outcome) -> list[list[int]]:
    """Counts of rows by true class (row) and predicted class (column)."""
    classes = outcome.probabilities.shape[1]
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (outcome.truth, outcome.predicted), 1)
    table: list[list[int]] = counts.tolist()
    return table


def _bins(outcome: Outcome) -> list[dict[str, float]]:
    """Stated against observed frequency, bin by bin: the reliability diagram."""
    stated, observed = metrics.stated_and_observed(outcome)
    which = metrics.equal_mass_bins(stated)
    return [
        {
            "rows": int((which == one).sum()),
            "stated": round(float(stated[which == one].mean()), 6),
            "observed": round(float(observed[which == one].mean()), 6),
        }
        for one in np.unique(which)
    ]
