"""Figures into the table of the documentation and the picture: ``python -m benchmarks.serving.publish [JSON]``.

Reads ``build/bench/serving.json``, writes ``docs/figures/serving.json`` and ``.png``, and the table between the markers in
``docs/BENCHMARKS.md`` and ``README.md``.
"""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.figures import ROOT

if TYPE_CHECKING:
    from pathlib import Path

BEGIN, END = "<!-- serving figures: begin -->", "<!-- serving figures: end -->"

_LINES = [
    ("fraud: one-hot, 100 boosted trees", "samovar", "fraud"),
    ("the same, compiler off", "samovar-pyfunc", "fraud"),
    ("iris: scaler, logistic regression", "samovar", "iris"),
    ("sentiment: TF-IDF, SVD, logistic regression", "samovar", "sentiment"),
]


def table(document: dict[str, Any], picture: str) -> str:
    """Return the Markdown: throughput by model, then latency, large requests, start and memory, then where and when.

    Args:
        document: what the benchmark wrote.
        picture: path of the picture, as the page links to it.
    """
    shown = [f"![Samovar beside mlflow models serve and FastAPI]({picture})"]
    return "\n".join([*_throughput(document), "", *_others(document), "", *shown, "", *_words(document)]) + "\n"


def _throughput(document: dict[str, Any]) -> list[str]:
    measured = document["measured"]
    lines = [
        "| Requests per CPU second, one row each, 64 connections | Samovar | `mlflow models serve` | FastAPI + joblib | ratio |",
        "|---|---:|---:|---:|---:|",
    ]
    for title, server, model in _LINES:
        ours, theirs, hand = (measured.get(f"{name}.{model}.rps_per_cpu_s_c64") for name in (server, "mlflow", "fastapi"))
        lines.append(f"| {title} | {_number(ours)} | {_number(theirs)} | {_number(hand)} | {_times(ours, theirs)} |")
    return lines


_OTHERS = [
    ("fraud, p50 at 1 connection", "fraud.p50_us_c1", "us", True),
    ("fraud, p99 at 1 connection", "fraud.p99_us_c1", "us", True),
    ("fraud, p50 at 16 connections", "fraud.p50_us_c16", "us", True),
    ("fraud, p99 at 16 connections", "fraud.p99_us_c16", "us", True),
    ("fraud, p50 at 64 connections", "fraud.p50_us_c64", "us", True),
    ("fraud, p99 at 64 connections", "fraud.p99_us_c64", "us", True),
    ("iris, p99 at 64 connections", "iris.p99_us_c64", "us", True),
    ("sentiment, p99 at 64 connections", "sentiment.p99_us_c64", "us", True),
    ("fraud, 10,000-row requests", "fraud.batch10k_rows_per_s", "rows/s", False),
    ("iris, 10,000-row requests", "iris.batch10k_rows_per_s", "rows/s", False),
    ("sentiment, 10,000-row requests", "sentiment.batch10k_rows_per_s", "rows/s", False),
    ("fraud, CPU of a request at 64 connections, whole tree", "fraud.tree_cpu_us_c64", "us", True),
    ("fraud, from exec to the first answer", "fraud.cold_start_s", "s", True),
    ("fraud, memory of that process (PSS)", "fraud.pss_mb", "MB", True),
]


def _others(document: dict[str, Any]) -> list[str]:
    measured = document["measured"]
    lines = ["| | Samovar | `mlflow models serve` | FastAPI + joblib | ratio |", "|---|---:|---:|---:|---:|"]
    for title, what, unit, smaller in _OTHERS:
        ours, theirs, hand = (measured.get(f"{name}.{what}") for name in ("samovar", "mlflow", "fastapi"))
        better = _times(theirs, ours) if smaller else _times(ours, theirs)
        cells = " | ".join(_with_unit(value, unit) for value in (ours, theirs, hand))
        lines.append(f"| {title} | {cells} | {better} |")
    return lines


def _words(document: dict[str, Any]) -> list[str]:
    answers = document["answers"].values()
    poison = [row for name, row in document["poison"].items() if name.startswith("samovar")]
    versions = document["versions"]["mlflow"]
    words = (
        f"Medians of {document['runs']} runs in alternating orders, {document['date']}, on {document['machine']}; "
        f"one core serves, the other sends ({document['load_generator']}). MLflow {versions['mlflow']}, "
        f"scikit-learn {versions['scikit-learn']}, FastAPI {document['versions']['fastapi']['fastapi']}. "
        f"Answers compared with the native model's: {sum(row['asked'] for row in answers):,}, "
        f"of which wrong: {sum(row['wrong'] for row in answers):,}. Beside poison from one client in sixteen: "
        f"{sum(row['good'] for row in poison):,} good requests, of which failed: {sum(row['good_failed'] for row in poison):,}."
    )
    return [words]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _times(more: float | None, less: float | None) -> str:
    if not more or not less:
        return ""
    times = more / less
    return f"{times:,.0f}x" if times >= 10 else f"{times:.1f}x"


def _with_unit(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "us":
        return f"{value / 1000:,.2f} ms" if value >= 1000 else f"{value:,.0f} us"
    return f"{value:,.2f} {unit}" if value < 10 else f"{value:,.0f} {unit}"


def insert(page: str, content: str) -> str:
    """Put content between the markers of a page.

    Raises:
        ValueError: the page has not exactly one pair of them.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after:
        raise ValueError(f"the page needs one line {BEGIN!r} and after it one line {END!r}")
    return f"{before}{BEGIN}\n{content}{END}{after}"


def picture(document: dict[str, Any], path: Path) -> None:
    """Draw requests per CPU second of each server, and how many times better the rest is."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and the table does not need it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), width_ratios=(3, 2), layout="constrained")
    _bars(left, document["measured"])
    _ratios(right, document["ratios"])
    figure.suptitle(f"One core, {document['date']}, {document['machine']}", fontsize=9, color="#555555")
    figure.savefig(path, dpi=130)
    plt.close(figure)


_COLOURS = {"samovar": "#b5451b", "samovar-pyfunc": "#e0a080", "fastapi": "#7a9e7e", "mlflow": "#6b86b3"}
_NAMES = {
    "samovar": "Samovar",
    "samovar-pyfunc": "Samovar, compiler off",
    "fastapi": "FastAPI + joblib",
    "mlflow": "mlflow models serve",
}


def _bars(axes: Any, measured: dict[str, float]) -> None:
    models = ("fraud", "iris", "sentiment")
    for place, server in enumerate(_NAMES):
        for group, model in enumerate(models):
            value = measured.get(f"{server}.{model}.rps_per_cpu_s_c64")
            if value is None:
                continue
            at = group + (place - 1.5) * 0.2
            axes.bar(at, value, 0.19, color=_COLOURS[server], label=_NAMES[server] if model == "fraud" else None)
            axes.text(at, value * 1.06, f"{value:,.0f}", ha="center", va="bottom", fontsize=7)
    axes.set_yscale("log")
    axes.margins(y=0.12)
    axes.set_xticks(range(len(models)), models)
    axes.set_title("Single-row requests per CPU second, 64 connections (log scale)", fontsize=10)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _ratios(axes: Any, ratios: dict[str, float]) -> None:
    titles = {
        "fraud_p50_c1": "fraud p50, 1 connection",
        "fraud_p99_c64": "fraud p99, 64 connections",
        "batch10k_rows_per_s": "fraud, 10,000 rows",
        "iris_batch10k_rows_per_s": "iris, 10,000 rows",
        "sentiment_batch10k_rows_per_s": "sentiment, 10,000 rows",
        "cold_start": "cold start",
        "pss": "memory (PSS)",
    }
    shown = [(title, ratios[key]) for key, title in titles.items() if key in ratios][::-1]
    axes.barh([title for title, _ in shown], [value for _, value in shown], color=_COLOURS["samovar"])
    for place, (_, value) in enumerate(shown):
        axes.text(value * 1.05, place, f"{value:.0f}x" if value >= 10 else f"{value:.1f}x", va="center", fontsize=8)
    axes.axvline(1, color="#6b86b3")
    axes.set_xscale("log")
    axes.margins(x=0.2)
    axes.set_xlim(left=0.8)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_title("Times better than mlflow models serve (log scale)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> int:
    """Write table and picture."""
    source = ROOT / (sys.argv[1] if len(sys.argv) > 1 else "build/bench/serving.json")
    document = json.loads(source.read_text(encoding="utf-8"))
    folder = ROOT / "docs/figures"
    shutil.copy(source, folder / "serving.json")
    picture(document, folder / "serving.png")
    for page, link in ((ROOT / "docs/BENCHMARKS.md", "figures/serving.png"), (ROOT / "README.md", "docs/figures/serving.png")):
        page.write_text(insert(page.read_text(encoding="utf-8"), table(document, link)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
