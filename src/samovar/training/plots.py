"""Plots of an evaluation, as PNG files: confusion, reliability, and for binary models precision against recall."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from samovar.training.evaluation import Evaluation
    from samovar.training.outcomes import Outcome

_SIZE = (5.0, 4.0)  # inches, at 90 dots an inch


def draw(evaluation: Evaluation) -> dict[str, bytes]:
    """Return file name -> PNG."""
    drawn = {"confusion.png": _confusion(evaluation), "reliability.png": _reliability(evaluation)}
    if evaluation.outcome.positive is not None:
        drawn["precision_recall.png"] = _precision_recall(evaluation.outcome)
    return drawn


def _axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    # The object interface, not pyplot: no global state, no window system, safe beside a user's own plots.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - 0.3 s, only where plots are drawn
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def _png(figure: Any) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=90, metadata={"Software": None})
    return target.getvalue()


def _confusion(evaluation: Evaluation) -> bytes:
    counts = np.array(evaluation.document["confusion"]["rows_true_columns_predicted"])
    labels = [str(label) for label in evaluation.document["confusion"]["labels"]]
    figure, axes = _axes("Confusion on the held-out rows", "predicted", "true")
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    for (row, column), count in np.ndenumerate(counts):
        dark = count > counts[row].sum() / 2
        axes.text(column, row, f"{count:,}", ha="center", va="center", color="white" if dark else "black")
    return _png(figure)


def _reliability(evaluation: Evaluation) -> bytes:
    bins = evaluation.document["calibration"]["bins"]
    figure, axes = _axes("Reliability on the held-out rows", "stated probability", "observed frequency")
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    axes.plot([one["stated"] for one in bins], [one["observed"] for one in bins], marker="o")
    return _png(figure)


def _precision_recall(outcome: Outcome) -> bytes:
    order = np.argsort(-outcome.score, kind="stable")
    hits = outcome.is_positive[order].cumsum()
    figure, axes = _axes("Precision and recall on the held-out rows", "recall", "precision")
    axes.step(hits / max(int(hits[-1]), 1), hits / np.arange(1, hits.size + 1), where="post")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return _png(figure)
