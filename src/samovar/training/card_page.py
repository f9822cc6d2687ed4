"""The model card as one HTML file: no script, no request to anywhere, readable without statistics."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any

from samovar.training import card

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MISTAKES = 8

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; color: #2b333b; background: #f5f6f8; margin: 0; }
main { max-width: 920px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 0 0 6px; } h3 { font-size: 1rem; margin: 18px 0 4px; }
section { background: #fff; border: 1px solid #e3e7eb; border-radius: 10px; padding: 20px 24px; margin: 18px 0 0; }
.head { border-left: 6px solid #2e7d4f; } .head p { font-size: 1.2rem; line-height: 1.45; margin: 4px 0 0; }
.note { color: #5a6670; font-size: .9rem; margin: 0 0 12px; }
img { width: 100%; height: auto; display: block; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid #eceff2; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.weak td { color: #b3261e; font-weight: 600; }
code { background: #eef1f4; border-radius: 4px; padding: 1px 6px; font-size: .9em; overflow-wrap: anywhere; }
"""


def page(document: dict[str, Any], mistakes: Sequence[Mapping[str, Any]], pictures: Mapping[str, bytes]) -> str:
    """Write the page.

    Args:
        document: ``evaluation.json``.
        mistakes: rows it got wrong, the surest first.
        pictures: PNGs by what they show, which is also read to people who do not see them.
    """
    title = f"{document['model']['name']}: model card"
    parts = (_head, _quality, _parts, _looks_at)
    body = "".join(part(document) for part in parts) + _pictures(pictures) + _mistakes(mistakes) + _origin(document)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><main>\n{body}</main></body></html>\n"
    )


def _head(document: dict[str, Any]) -> str:
    model = document["model"]
    weak = card.weak_parts(document)
    warning = f"<p>It is weaker on {escape('; '.join(weak))}.</p>" if weak else ""
    return (
        f"<h1>{escape(model['name'])}</h1><p>{escape(model['description'])}</p>\n"
        f'<section class="head"><p>{escape(card.headline(document))}</p>{warning}</section>\n'
    )


def _quality(document: dict[str, Any]) -> str:
    rows = [
        (name, _number(one["value"]), _interval(one), card.MEANING.get(name, "")) for name, one in card.figures(document).items()
    ]
    compared = card.against_baseline(document)
    note = "Each figure comes with the range in which it would lie, 95 times of 100, on as many other rows of the same kind."
    table = _table(("figure", ">value", ">95 % range", "what it says"), rows)
    return _section("How good it is", note, f"{table}<p>{escape(compared)}</p>" if compared else table)


def _parts(document: dict[str, Any]) -> str:
    if not document["slices"]:
        return ""
    metric = document["metric"]
    binary = "threshold" in document
    rows, weak = [], []
    for name, levels in document["slices"].items():
        for one in levels:
            known = one["value"] is not None
            positives = [card.share(one["positives"])] if binary else []
            figures = [_number(one["value"]), _interval(one)] if known else ["", ""]
            rows.append((f"{name}: {one['level']}", f"{one['rows']:,}", *positives, *figures))
            weak.append(one["weaker"])
    note = f"The same measure ({metric}) on parts of the rows. A part in red does worse than the whole, and not by chance."
    if metric == "average_precision":
        note = f"The same measure ({metric}) on parts of the rows; where fewer rows are positive it is lower for any model."
    shares = (">positive",) if binary else ()
    table = _table(("part", ">rows", *shares, f">{metric}", ">95 % range"), rows, weak)
    return _section("Part by part", note, table)


def _looks_at(document: dict[str, Any]) -> str:
    fields = document["importance"]["fields"]
    shown = ""
    if fields:
        rows = [(one["field"], _number(one["value"]), _interval(one)) for one in fields]
        shown += _table(("field", ">loss when shuffled", ">95 % range"), rows)
    for field, classes in document.get("tokens", {}).items():
        shown += f"<h3>Words in {escape(field)}</h3>"
        for label, words in classes.items():
            shown += f"<p>For {escape(label)}: {' '.join(f'<code>{escape(word)}</code>' for word, _ in words)}</p>"
    note = (
        f"How much {document['metric']} is lost when the values of one field are dealt out anew, so that they tell nothing. Fields"
        " that say the same stand in for each other, and both look unimportant."
    )
    return _section("What it looks at", note, shown) if shown else ""


def _pictures(pictures: Mapping[str, bytes]) -> str:
    if not pictures:
        return ""
    drawn = "".join(
        f'<img alt="{escape(what)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">' for what, png in pictures.items()
    )
    note = (
        "Confusion: how often each true class (row) got each answer (column). Reliability: when it says 30 %, does it happen 30 %"
        " of the time? Points on the dashed line are honest; bars show what chance allows."
    )
    return _section("Pictures", note, drawn)


def _mistakes(mistakes: Sequence[Mapping[str, Any]]) -> str:
    if not mistakes:
        return ""
    names = list(mistakes[0]["row"])
    rows = [
        (str(one["true"]), str(one["predicted"]), card.share(one["probability"]), *(_text(one["row"][name]) for name in names))
        for one in mistakes[:_MISTAKES]
    ]
    note = "Rows that it got wrong and was surest of. Fields that the contract keeps out of the log are not shown."
    return _section("Its surest mistakes", note, _table(("true", "it said", ">how sure", *names), rows))


def _origin(document: dict[str, Any]) -> str:
    model = document["model"]
    rows = [
        ("Kind", model["candidate"]),
        ("Predicts", model["target"]),
        ("Dataset", document["dataset"]),
        ("Learned from", f"{document['train_rows']:,} rows"),
        ("Judged on", f"{document['rows']:,} rows held out by {document['split']}"),
        ("Calibration", document["calibration"]["method"]),
        *((name, str(value)) for name, value in sorted(model["params"].items())),
    ]
    return _section("Where it comes from, and its limits", card.LIMITS.replace("`", ""), _table(("", ""), rows))


def _section(heading: str, note: str, content: str) -> str:
    return f'<section><h2>{escape(heading)}</h2><p class="note">{escape(note)}</p>{content}</section>\n'


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], weak: Sequence[bool] = ()) -> str:
    """A table; a column marked ``>`` holds numbers."""
    styles = [' class="n"' if name.startswith(">") else "" for name in columns]
    head = "".join(f"<th{style}>{escape(name.lstrip('>'))}</th>" for name, style in zip(columns, styles, strict=True))
    body = ""
    for place, row in enumerate(rows):
        cells = "".join(f"<td{style}>{escape(cell)}</td>" for cell, style in zip(row, styles, strict=True))
        body += f"<tr{' class=weak' if weak and weak[place] else ''}>{cells}</tr>"
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _interval(one: Mapping[str, float]) -> str:
    return f"{_number(one['low'])} to {_number(one['high'])}"


def _number(value: float) -> str:
    return f"{value:.3f}"


def _text(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
