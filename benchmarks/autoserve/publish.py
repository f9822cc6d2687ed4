"""Figures into the documentation: ``python -m benchmarks.autoserve.publish [JSON]``.

Reads ``build/bench/autoserve.json``, writes ``docs/figures/autoserve.json`` and ``.png``, and the table between the markers in
``docs/BENCHMARKS.md``.
"""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from benchmarks.figures import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BEGIN, END = "<!-- autoserve figures: begin -->", "<!-- autoserve figures: end -->"

_ROWS: Sequence[tuple[str, str, str, str]] = (
    ("Swaps, each to another version, under 64 raw connections that never retry", "swaps", "{:,.0f}", ""),
    ("requests meanwhile", "swap_requests", "{:,.0f}", ""),
    ("requests that failed", "swap_failed_requests", "{:,.0f}", "0"),
    ("p99 inside the swaps' windows, as a multiple of the p99 outside", "swap_p99_ratio", "{:.1f}", "under 5"),
    ("Alias set in MLflow to the first answer of the new version, median", "alias_to_answer_s_p50", "{:.2f} s", "under 1 s"),
    ("the same, 99th percentile", "alias_to_answer_s_p99", "{:.2f} s", "under 3 s"),
    ("without the webhook (a poll each second), median", "alias_to_answer_polled_s_p50", "{:.2f} s", "poll + 1 s"),
    (
        "Starting `mlflow models serve` instead, as it starts by default (it makes an environment)",
        "mlflow_models_serve_s",
        "{:.1f} s",
        "",
    ),
    ("Samovar is faster by", "mlflow_models_serve_ratio", "{:.0f}x", "50x"),
    ("Starting it with `--env-manager local`, everything installed already", "mlflow_models_serve_local_s", "{:.1f} s", ""),
    ("Samovar is faster by", "mlflow_models_serve_local_ratio", "{:.0f}x", ""),
    ("Aliases on this machine, each its own version with its own weights, that answer", "aliases_served", "{:,.0f}", "200"),
    ("memory of the whole stack (PSS) after a thousand rows each", "aliases_pss_mb", "{:,.0f} MB", "under 4,000 MB"),
    ("from `samovar up`, nothing built before, until all answer", "aliases_start_s", "{:.1f} s", "under 60 s"),
    ("the same with what was built before", "aliases_start_cached_s", "{:.1f} s", ""),
    ("a round of the controller in which nothing is to be done", "reconcile_unchanged_200_ms", "{:.0f} ms", "under 200 ms"),
    ("what such a round writes, apart from the lease", "reconcile_unchanged_writes", "{:,.0f}", "0"),
    ("10,000 aliases on a fake runtime: first round of a new controller", "reconcile_10000_s", "{:.2f} s", "under 2 s"),
    ("10,000 aliases: a round in which nothing is to be done", "reconcile_10000_unchanged_s", "{:.2f} s", ""),
)


def table(document: dict[str, Any], picture: str) -> str:
    """Return the Markdown.

    Args:
        document: what the benchmark wrote.
        picture: path of the picture, as the page links to it.
    """
    lines = ["| | measured | promised |", "|---|---:|---:|"]
    for title, key, form, promised in _ROWS:
        value = document["measured"].get(key)
        if value is not None:
            lines.append(f"| {title} | {form.format(value)} | {promised} |")
    words = f"{document['date']}, {document['machine']}; `make bench-autoserve`, {document['seconds'] / 60:.0f} minutes."
    return "\n".join([*lines, "", f"![From alias to answer]({picture})", "", words]) + "\n"


def insert(page: str, content: str) -> str:
    """Put content between the markers of a page; raises ``ValueError`` when they are not there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs a line {BEGIN!r} and after it a line {END!r}")
    return f"{before}{BEGIN}\n{content}{END}{after}"


def picture(document: dict[str, Any], path: Path) -> None:
    """Draw how long moves took, model by model, beside a restart; and what a round costs by the size of the fleet."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and the table does not need it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), width_ratios=(3, 2), layout="constrained")
    moves = document.get("moves_rung") or document["moves_polled"]
    for name, colour in {"fraud": "#b5451b", "iris": "#7a9e7e", "sentiment": "#6b86b3"}.items():
        taken = np.sort(moves["seconds"].get(name, []))
        left.step(taken, np.arange(1, len(taken) + 1) / max(1, len(taken)), where="post", color=colour, label=name)
    for key, style, words in (
        ("mlflow_models_serve_local_s", "--", "mlflow models serve, all installed"),
        ("mlflow_models_serve_s", ":", "mlflow models serve, as it starts"),
    ):
        if restart := document["measured"].get(key):
            left.axvline(restart, color="#555555", linestyle=style, label=words)
    left.set_xscale("log")
    left.set_xlabel("seconds from the alias to the first answer of the new version")
    left.set_ylabel("share of moves")
    left.legend(fontsize=8, frameon=False)
    fleets = document["reconcile"]
    sizes = sorted(map(int, fleets))
    for key, title, colour in (
        ("controller_back_s", "first round of a new controller", "#b5451b"),
        ("unchanged_s", "nothing to be done", "#7a9e7e"),
    ):
        right.plot(sizes, [fleets[str(size)][key] for size in sizes], marker="o", color=colour, label=title)
    right.axhline(2.0, color="#555555", linestyle="--", linewidth=1)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("aliases (fake runtime)")
    right.set_ylabel("seconds a round")
    right.legend(fontsize=8, frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{document['date']}, {document['machine']}", fontsize=9, color="#555555")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> int:
    """Write table and picture."""
    source = ROOT / (sys.argv[1] if len(sys.argv) > 1 else "build/bench/autoserve.json")
    document = json.loads(source.read_text(encoding="utf-8"))
    folder = ROOT / "docs/figures"
    shutil.copy(source, folder / "autoserve.json")
    picture(document, folder / "autoserve.png")
    page = ROOT / "docs/BENCHMARKS.md"
    page.write_text(insert(page.read_text(encoding="utf-8"), table(document, "figures/autoserve.png")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
