"""Two charts as SVG text: few shapes, no library, readable in any browser and by a screen reader."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from samovar.monitoring.words import number, share
from samovar.profiles.fields import CategoryProfile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.monitoring.drift import FeatureDrift
    from samovar.profiles.fields import FieldProfile, NumericProfile

THEN = "#c9d3de"
NOW = "#e8743b"
CALM = "#6f8aa6"
LINE = "#b3261e"
INK = "#2b333b"

_WIDTH = 720
_MOST_BANDS = 14
_LONGEST_NAME = 22


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a histogram.

    Attributes:
        label: what it holds, for a pointer that rests on it.
        then: share of the reference's rows, 0 to 1.
        now: share of the current rows.
        caption: written under its middle.
        edge: written under its left edge.
    """

    label: str
    then: float
    now: float
    caption: str = ""
    edge: str = ""


def psi_bars(entries: Sequence[FeatureDrift], threshold: float) -> str:
    """Draw the shift of each feature as a bar, with the line from which on it counts."""
    left, right, step = 170, 60, 28
    # One wild feature must not squeeze the line to the edge: the axis ends at ten times the threshold.
    top = max(2 * threshold, min(10 * threshold, max((entry.effect for entry in entries), default=0.0)))
    room = _WIDTH - left - right
    height = step * len(entries) + 44
    at = left + room * threshold / top
    parts = []
    for row, entry in enumerate(entries):
        y = 30 + row * step
        width = max(1.5, room * min(entry.effect, top) / top)
        colour = NOW if entry.shifted else CALM
        beyond = " ▸" if entry.effect > top else ""
        parts += [
            f"<g><title>{escape(entry.name)}: {entry.effect:.3f}</title>",
            _text(left - 10, y + 14, _short(entry.name), anchor="end"),
            f'<rect x="{left}" y="{y}" width="{width:.1f}" height="19" rx="3" fill="{colour}"/>',
            _text(left + width + 7, y + 14, f"{entry.effect:.2f}{beyond}"),
            "</g>",
        ]
    parts += [
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="20" y2="{height - 14}" stroke="{LINE}" stroke-width="1.5" stroke-dasharray="5 4"/>',
        _text(at, 13, f"shifted from {threshold:g} on", anchor="middle", colour=LINE),
    ]
    return _svg(height, "How far each feature has shifted", parts)


def histogram(then: FieldProfile, now: FieldProfile) -> str:
    """Draw two profiles over the same bands, one laid over the other, as shares of their rows."""
    bands = _bands(then, now)
    left, base, tall = 44, 192, 180
    step = (_WIDTH - left - 10) / max(1, len(bands))
    top = max(0.05, *(max(band.then, band.now) for band in bands)) if bands else 1.0
    parts = [_grid(left, base, tall, top)]
    for index, band in enumerate(bands):
        x = left + index * step
        parts += [
            f"<g><title>{escape(band.label)}: {share(band.then)} then, {share(band.now)} now</title>",
            _bar(x + step * 0.06, base, step * 0.88, tall * band.then / top, THEN),
            _bar(x + step * 0.26, base, step * 0.48, tall * band.now / top, NOW),
            "</g>",
        ]
        parts.append(_text(x, base + 17, band.edge, anchor="middle", size=11))
        parts.append(_text(x + step / 2, base + 17, _short(band.caption, int(step / 6)), anchor="middle", size=11))
    parts.append(f'<line x1="{left}" x2="{_WIDTH - 10}" y1="{base}" y2="{base}" stroke="{INK}"/>')
    return _svg(base + 30, f"{then.name}: shares of the rows, then and now", parts)


def _bands(then: FieldProfile, now: FieldProfile) -> list[Band]:
    if isinstance(then, CategoryProfile):
        return _category_bands(then, now)
    return _number_bands(then, now)


def _number_bands(then: NumericProfile, now: FieldProfile) -> list[Band]:
    """Bands between the reference's edges; what lies outside, and what is missing, only where there is some."""
    old, new = _shares(then.bins), _shares(now.bins)
    marks = [number(edge) for edge in then.edges] or [""]
    inside = [
        Band(f"{low} to {high}", a, b, edge=low) for (low, high), a, b in zip(pairwise(marks), old[1:-2], new[1:-2], strict=True)
    ]
    under = Band(f"under {marks[0]}", old[0], new[0], caption=f"< {marks[0]}")
    over = Band(f"over {marks[-1]}", old[-2], new[-2], caption=f"> {marks[-1]}")
    missing = Band("missing", old[-1], new[-1], caption="missing")
    return [*_seen([under]), *inside, *_seen([over, missing])] or [missing]


def _category_bands(then: CategoryProfile, now: FieldProfile) -> list[Band]:
    """The most frequent categories by name; the rest together."""
    names = [*then.values, "other", "missing"]
    bands = [Band(name, a, b, caption=name) for name, a, b in zip(names, _shares(then.bins), _shares(now.bins), strict=True)]
    ranked = sorted(bands, key=lambda band: -max(band.then, band.now))
    shown, rest = ranked[:_MOST_BANDS], _seen(ranked[_MOST_BANDS:])
    kept = _seen([band for band in bands if band in shown])
    if rest:
        kept.append(Band("the rest", sum(band.then for band in rest), sum(band.now for band in rest), caption="the rest"))
    return kept


def _seen(bands: Sequence[Band]) -> list[Band]:
    return [band for band in bands if band.then or band.now]


def _shares(counts: Sequence[int]) -> list[float]:
    return [count / max(1, sum(counts)) for count in counts]


def _grid(left: float, base: float, tall: float, top: float) -> str:
    lines = []
    for part in (0.5, 1.0):
        y = base - tall * part
        lines.append(f'<line x1="{left}" x2="{_WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e6eaee"/>')
        lines.append(_text(left - 6, y + 4, share(top * part), anchor="end", size=11))
    return "".join(lines)


def _bar(x: float, base: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{base - height:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(  # noqa: PLR0913 - SVG's own attributes
    x: float, y: float, words: str, *, anchor: str = "start", size: int = 13, colour: str = INK
) -> str:
    if not words:
        return ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'


def _short(words: str, longest: int = _LONGEST_NAME) -> str:
    return words if len(words) <= longest else f"{words[: max(1, longest - 1)]}…"


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(parts)}</svg>"
    )
