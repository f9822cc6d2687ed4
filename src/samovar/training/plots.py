"""The picture of an evaluation, one PNG: confusion, reliability, and for binary models precision against recall.

One figure with fixed margins: three that lay themselves out cost 1.2 s a candidate, more than most candidates take to train.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.training import choice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from samovar.training.choice import Trial
    from samovar.training.evaluation import Evaluation
    from samovar.training.outcomes import Outcome

_PANEL = (4.2, 3.6)  # inches, at 90 dots an inch


def draw(evaluation: Evaluation) -> dict[str, bytes]:
    """Return file name -> PNG."""
    # The object interface, not pyplot: no global state, no window system, safe beside a user's own plots.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - 0.3 s, only where plots are drawn
    from matplotlib.figure import Figure  # noqa: PLC0415

    binary = evaluation.outcome.positive is not None
    panels = 3 if binary else 2
    figure = Figure(figsize=(_PANEL[0] * panels, _PANEL[1]))
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels)
    figure.subplots_adjust(left=0.22 / panels, right=1 - 0.05 / panels, bottom=0.15, top=0.9, wspace=0.32)
    _confusion(axes[0], evaluation)
    _reliability(axes[1], evaluation)
    if binary:
        _precision_recall(axes[2], evaluation.outcome)
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=90, metadata={"Software": None})
    return {"evaluation.png": target.getvalue()}


def front(searches: Mapping[str, Sequence[Trial]]) -> bytes | None:
    """Draw every candidate's trials, metric against latency, larger models as larger dots; None where no latency was measured.

    The line joins the Pareto front of metric and latency over all candidates.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - as above
    from matplotlib.figure import Figure  # noqa: PLC0415

    known = {name: [one for one in trials if one.latency_us is not None] for name, trials in searches.items()}
    every = [one for trials in known.values() for one in trials]
    if not every:
        return None
    figure = Figure(figsize=(2 * _PANEL[0], 1.2 * _PANEL[1]))
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    for name, trials in known.items():
        sizes = [15 + 20 * math.log10(max(one.size_bytes or 1.0, 1000.0) / 1000) for one in trials]
        axes.scatter([one.latency_us for one in trials], [one.metric for one in trials], s=sizes, alpha=0.7, label=name)
    best = sorted(choice.front(every, ("metric", "latency")), key=lambda one: one.latency_us or 0.0)
    axes.plot([one.latency_us for one in best], [one.metric for one in best], color="grey", linewidth=1, zorder=0)
    axes.set(title="Trials, and the front", xlabel="microseconds a row (compiled)", ylabel="metric", xscale="log")
    axes.legend()
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=90, metadata={"Software": None})
    return target.getvalue()


def _confusion(axes: Any, evaluation: Evaluation) -> None:
    counts = np.array(evaluation.document["confusion"]["rows_true_columns_predicted"])
    labels = [str(label) for label in evaluation.document["confusion"]["labels"]]
    axes.set(title="Confusion on the held-out rows", xlabel="predicted", ylabel="true")
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(labels)), labels)
    # Labels stand inside the panel's height, so that long ones need no margin of their own.
    axes.set_yticks(range(len(labels)), labels, rotation=90, va="center")
    for (row, column), count in np.ndenumerate(counts):
        dark = count > counts[row].sum() / 2
        axes.text(column, row, f"{count:,}", ha="center", va="center", color="white" if dark else "black")


def _reliability(axes: Any, evaluation: Evaluation) -> None:
    bins = evaluation.document["calibration"]["bins"]
    axes.set(title="Reliability", xlabel="stated probability", ylabel="observed frequency")
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    axes.plot([one["stated"] for one in bins], [one["observed"] for one in bins], marker="o")


def _precision_recall(axes: Any, outcome: Outcome) -> None:
    order = np.argsort(-outcome.score, kind="stable")
    hits = outcome.is_positive[order].cumsum()
    axes.set(title="Precision and recall", xlabel="recall", ylabel="precision")
    axes.step(hits / max(int(hits[-1]), 1), hits / np.arange(1, hits.size + 1), where="post")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
