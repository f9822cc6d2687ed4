"""A decision as one HTML page: what was said, the bars, and every interval against what it had to exceed."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _LEFT, _STEP = 760, 300, 30
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:left;border-bottom:1px solid #ddd}
.yes{color:#157347}.no{color:#b02a37}svg text{font:12px system-ui,sans-serif}"""


def page(told: dict[str, Any]) -> str:
    """Write what `samovar.pipelines.explain.explain_decision` returned as a page without scripts or links."""
    said = "".join(f"<p>{escape(one)}</p>" for one in told["sentences"])
    rows = "".join(_row(bar) for bar in told["bars"])
    title = escape(f"{told['model']}@{told['alias']}: version {told['to_version']} {told['verdict']}")
    table = f"<table><tr><th>bar</th><th>reached</th><th>asked</th><th>by</th><th></th></tr>{rows}</table>" if rows else ""
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    body = f"<h1>{title}</h1>{said}{table}{intervals(told['bars'])}"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{body}</body></html>\n"


def intervals(bars: Sequence[dict[str, Any]]) -> str:
    """Draw the differences that have an interval, each with a mark where its bar is."""
    drawn = [bar for bar in bars if bar["name"] in {"gain", "slice"} and None not in (bar["low"], bar["value"], bar["high"])]
    if not drawn:
        return ""
    ends = [0.0, *(value for bar in drawn for value in (bar["low"], bar["high"], _limit(bar)))]
    low, span = min(ends), max(max(ends) - min(ends), 1e-9)

    def x(value: float) -> float:
        return round(_LEFT + (value - low) / span * (_WIDTH - _LEFT - 20), 1)

    height = _STEP * len(drawn) + 24
    zero = f'<line x1="{x(0)}" x2="{x(0)}" y1="4" y2="{height - 20}" stroke="#999" stroke-dasharray="3"/>'
    zero += f'<text x="{x(0)}" y="{height - 4}" text-anchor="middle">0</text>'
    lines = [
        _line(bar, _STEP * at + 18, x(bar["low"]), x(bar["value"]), x(bar["high"]), x(_limit(bar))) for at, bar in enumerate(drawn)
    ]
    return f'<svg width="{_WIDTH}" height="{height}" role="img" aria-label="Intervals">{zero}{"".join(lines)}</svg>'


def _limit(bar: dict[str, Any]) -> float:
    return float(bar["limit"] if bar["name"] == "gain" else -bar["limit"])


def _line(bar: dict[str, Any], y: int, low: float, value: float, high: float, limit: float) -> str:  # noqa: PLR0913, PLR0917 - places
    colour = "#157347" if bar["passed"] else "#b02a37"
    return (
        f'<text x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(bar["what"][:46])}</text>'
        f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
        f'<circle cx="{value}" cy="{y}" r="4" fill="{colour}"/>'
        f'<line x1="{limit}" x2="{limit}" y1="{y - 9}" y2="{y + 9}" stroke="#222" stroke-width="2"/>'
    )


def _row(bar: dict[str, Any]) -> str:
    mark = '<td class="yes">reached</td>' if bar["passed"] else '<td class="no">missed</td>'
    cells = "".join(f"<td>{'' if value is None else f'{value:.4g}'}</td>" for value in (bar["value"], bar["limit"], bar["by"]))
    return f"<tr><td>{escape(bar['what'])}</td>{cells}{mark}</tr>"


__all__ = ["intervals", "page"]
