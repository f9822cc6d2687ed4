"""Pictures of an evaluation, as PNG, from its document: one of every candidate, a second one of the winner alone.

One figure of several panels with fixed margins: panels that lay themselves out cost 0.4 s each, more than most candidates take to
train.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.training import choice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from samovar.training.choice import Trial

_PANEL = (4.2, 3.6)  # inches, at 90 dots an inch
_WIDE = 5.6
_MOST_BARS = 14
_LONGEST = 24  # characters of a name beside a bar

Document = dict[str, Any]
Panel = Callable[[Any, Document], None]


def draw(document: Document) -> dict[str, bytes]:
    """What every candidate gets: confusion, reliability, and for binary models precision against recall; file name -> PNG."""
    panels: list[Panel] = [_confusion, _reliability, *([_precision_recall] if "threshold" in document else [])]
    return {"evaluation.png": _figure(document, panels, _PANEL[0], 0.22)}


def details(document: Document) -> dict[str, bytes]:
    """What the winner gets beside that: its ROC curve, the parts of the rows, and what it looks at; file name -> PNG."""
    panels: list[Panel] = [_roc] if document["curves"] else []
    panels += [_slices] if document["slices"] else []
    panels += [_importance] if document["importance"]["fields"] else []
    return {"details.png": _figure(document, panels, _WIDE, 0.34)} if panels else {}


def _figure(document: Document, panels: list[Panel], width: float, left: float) -> bytes:
    # The object interface, not pyplot: no global state, no window system, safe beside a user's own plots.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - 0.3 s, only where plots are drawn
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width * len(panels), _PANEL[1]))
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(1, len(panels)))
    gap = 0.32 if width == _PANEL[0] else 0.62
    figure.subplots_adjust(left=left / len(panels), right=1 - 0.05 / len(panels), bottom=0.15, top=0.9, wspace=gap)
    for panel, axis in zip(panels, axes, strict=True):
        panel(axis, document)
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=90, metadata={"Software": None})
    return target.getvalue()


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


def _confusion(axes: Any, document: Document) -> None:
    counts = np.array(document["confusion"]["rows_true_columns_predicted"])
    labels = [str(label) for label in document["confusion"]["labels"]]
    axes.set(title="Confusion on the held-out rows", xlabel="predicted", ylabel="true")
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(labels)), labels)
    # Labels stand inside the panel's height, so that long ones need no margin of their own.
    axes.set_yticks(range(len(labels)), labels, rotation=90, va="center")
    for (row, column), count in np.ndenumerate(counts):
        dark = count > counts[row].sum() / 2
        axes.text(column, row, f"{count:,}", ha="center", va="center", color="white" if dark else "black")


def _reliability(axes: Any, document: Document) -> None:
    bins = document["calibration"]["bins"]
    stated, observed = [one["stated"] for one in bins], [one["observed"] for one in bins]
    around = [[one["observed"] - one["low"] for one in bins], [one["high"] - one["observed"] for one in bins]]
    axes.set(title="Reliability", xlabel="stated probability", ylabel="observed frequency")
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    axes.errorbar(stated, observed, yerr=np.maximum(around, 0), marker="o", capsize=2, linewidth=1)


def _precision_recall(axes: Any, document: Document) -> None:
    axes.set(title="Precision and recall", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    for both in document["curves"].values():
        axes.step(both["precision_recall"]["recall"], both["precision_recall"]["precision"], where="post")
    axes.plot(document["threshold"]["recall"], document["threshold"]["precision"], marker="o", color="#b3261e")


def _roc(axes: Any, document: Document) -> None:
    axes.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.02))
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    shown = list(document["curves"].items())[:_MOST_BARS]
    for label, both in shown:
        axes.plot(both["roc"]["false_positive_rate"], both["roc"]["true_positive_rate"], label=label)
    if len(shown) > 1:
        axes.legend(loc="lower right", fontsize=8)


def _slices(axes: Any, document: Document) -> None:
    """The parts with the lowest figures, the lowest on top."""
    known = [(name, one) for name, levels in document["slices"].items() for one in levels if one["value"] is not None]
    known = sorted(known, key=lambda pair: pair[1]["value"])[:_MOST_BARS]
    only = next(iter(document["slices"])) if len(document["slices"]) == 1 else None
    names = [one["level"] if only else f"{_short(name, _LONGEST // 2)}: {one['level']}" for name, one in known]
    _bars(axes, names, [one for _, one in known], f"{document['metric']} by {only or 'part'}")
    axes.axvline(document["metrics"][document["metric"]]["value"], color="grey", linestyle="--", linewidth=1)


def _importance(axes: Any, document: Document) -> None:
    fields = document["importance"]["fields"][:_MOST_BARS]
    _bars(axes, [one["field"] for one in fields], fields, f"Loss of {document['metric']} when shuffled")
    axes.axvline(0, color="grey", linewidth=1)


def _bars(axes: Any, names: list[str], figures: list[dict[str, float]], title: str) -> None:
    """A point with its interval for each name, the first on top."""
    places = np.arange(len(names))[::-1]
    values = np.array([one["value"] for one in figures])
    around = [values - [one["low"] for one in figures], [one["high"] for one in figures] - values]
    axes.set(title=title, ylim=(-0.7, len(names) - 0.3))
    axes.errorbar(values, places, xerr=np.maximum(around, 0), fmt="o", capsize=3)
    axes.set_yticks(places, [_short(name, _LONGEST) for name in names], fontsize=8)


def _short(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
