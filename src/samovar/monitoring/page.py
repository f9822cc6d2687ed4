"""The report as one HTML file: no script, no request to anywhere, readable without statistics."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from samovar.monitoring import charts, words

if TYPE_CHECKING:
    from samovar.monitoring.drift import FeatureDrift
    from samovar.monitoring.subject import Subject

_MOST_HISTOGRAMS = 8
_SHOWN_WHEN_CALM = 2

_HEADLINE = {"ok": "No drift", "alarm": "Drift", "too_few_rows": "Too few rows"}

_STYLE = f"""
:root {{ color-scheme: light; }}
body {{ font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; color: {charts.INK}; background: #f5f6f8; margin: 0; }}
main {{ max-width: 820px; margin: 0 auto; padding: 32px 20px 64px; }}
h1 {{ font-size: 1.15rem; font-weight: 600; margin: 0 0 14px; }}
h2 {{ font-size: 1.1rem; margin: 0 0 6px; }}
h3 {{ font-size: 1rem; margin: 22px 0 2px; }}
section {{ background: #fff; border: 1px solid #e3e7eb; border-radius: 10px; padding: 20px 24px; margin: 0 0 18px; }}
.verdict {{ border-left: 6px solid; }}
.verdict p {{ font-size: 1.3rem; line-height: 1.4; margin: 4px 0 0; }}
.verdict b {{ font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; }}
.ok {{ border-left-color: #2e7d4f; }} .ok b {{ color: #2e7d4f; }}
.alarm {{ border-left-color: {charts.LINE}; }} .alarm b {{ color: {charts.LINE}; }}
.too_few_rows {{ border-left-color: #b07d00; }} .too_few_rows b {{ color: #8a6200; }}
.facts, .note {{ color: #5a6670; font-size: .9rem; margin: 0 0 12px; }}
svg {{ width: 100%; height: auto; display: block; font-family: inherit; }}
ol, ul {{ margin: 6px 0 0; padding-left: 22px; }} li {{ margin: 4px 0; }}
code {{ background: #eef1f4; border-radius: 4px; padding: 1px 6px; font-size: .9em; }}
.key i {{ display: inline-block; width: 12px; height: 12px; border-radius: 2px; margin: 0 5px 0 12px; vertical-align: -1px; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-size: .9rem; }}
th, td {{ text-align: left; padding: 6px 10px 6px 0; border-bottom: 1px solid #eceff2; white-space: nowrap; }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
td.said {{ white-space: normal; }} tr.shifted td:first-child {{ color: {charts.LINE}; font-weight: 600; }}
"""


def page(subject: Subject) -> str:
    """Write the whole page."""
    title = f"{subject.project}: drift report"
    body = "".join((_verdict(subject), _next(subject), _standing(subject), _bars(subject), _histograms(subject), _table(subject)))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><main>\n<h1>{escape(title)}</h1>\n{_facts(subject)}\n{body}</main></body></html>\n"
    )


def _facts(subject: Subject) -> str:
    report = subject.report
    drill = " (a drill: this drift was injected)" if subject.origin == "injected" else ""
    words_ = (
        f"{report.current_rows:,} rows of {subject.seen}, dataset {subject.dataset[:12]}{drill}, against the"
        f" {report.reference_rows:,} rows that {subject.model} version {subject.version} learned from."
    )
    return f'<p class="facts">{escape(words_)}</p>'


def _verdict(subject: Subject) -> str:
    kind = subject.report.verdict
    return f'<section class="verdict {kind}"><b>{_HEADLINE[kind]}</b><p>{escape(words.verdict(subject))}</p></section>\n'


def _next(subject: Subject) -> str:
    advice = words.advice(subject)
    items = "".join(f"<li>{_marked(step)}</li>" for step in advice)
    tag = "ol" if len(advice) > 1 else "ul"
    return f"<section><h2>What to do next</h2><{tag}>{items}</{tag}></section>\n"


def _marked(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _bars(subject: Subject) -> str:
    report = subject.report
    note = (
        "The longer the bar, the less the values look like those of the training rows (population stability index, less what"
        " chance alone explains). Orange bars are over the line, and not by chance; ▸ marks a bar that goes on beyond the chart."
    )
    bars = charts.psi_bars(report.features, report.threshold)
    return f'<section><h2>How far each feature has shifted</h2><p class="note">{note}</p>{bars}</section>\n'


def _histograms(subject: Subject) -> str:
    report = subject.report
    shown = report.shifted[:_MOST_HISTOGRAMS] or report.features[:_SHOWN_WHEN_CALM]
    drawn = "".join(_histogram(subject, entry) for entry in shown)
    answers = ""
    if report.prediction is not None and subject.reference.prediction and subject.current.prediction:
        answers = (
            f'<h3>The model\'s answers</h3><p class="note">{escape(_answers(report.prediction))}</p>'
            f"{charts.histogram(subject.reference.prediction, subject.current.prediction)}"
        )
    heading = "What has shifted" if report.shifted else "The features that differ most"
    return (
        f'<section><h2>{heading}</h2><p class="note key">Each pair of bars is a range of values; its height is the share of rows'
        f' in it.<i style="background:{charts.THEN}"></i>training rows<i style="background:{charts.NOW}"></i>these rows</p>'
        f"{drawn}{answers}</section>\n"
    )


def _histogram(subject: Subject, entry: FeatureDrift) -> str:
    chart = charts.histogram(subject.reference.field(entry.name), subject.current.field(entry.name))
    return f'<h3>{escape(entry.name)}</h3><p class="note">{escape(words.change(entry))}</p>{chart}'


def _answers(entry: FeatureDrift) -> str:
    told = words.change(entry)
    return f"{told}; they follow the features, and alarm nobody by themselves" if entry.shifted else told


def _standing(subject: Subject) -> str:
    told = []
    if subject.standing is not None:
        told.append(words.standing(subject.standing, subject.before))
    if subject.comparison is not None:
        told.append(words.comparison(subject.comparison))
    if not told:
        return ""
    lines = "".join(f"<p>{escape(line)}</p>" for line in told)
    return f"<section><h2>How well the model does</h2>{lines}</section>\n"


def _table(subject: Subject) -> str:
    report = subject.report
    entries = [*report.features, *([report.prediction] if report.prediction else [])]
    rows = "".join(_row(entry, report.threshold) for entry in entries)
    head = (
        '<tr><th>feature</th><th>verdict</th><th>what changed</th><th class="n">PSI</th><th class="n">by chance</th>'
        '<th class="n">shift</th><th class="n">p-value</th></tr>'
    )
    note = (
        f"A feature counts as shifted when its shift (PSI less what chance alone gives) is over {report.threshold:g} and its"
        f" p-value, corrected for the number of features, is under {report.alpha:g}."
    )
    return f'<section><h2>All figures</h2><p class="note">{note}</p><div class="wide"><table>{head}{rows}</table></div></section>\n'


def _row(entry: FeatureDrift, threshold: float) -> str:
    style = ' class="shifted"' if entry.shifted else ""
    figures = "".join(f'<td class="n">{value:.3f}</td>' for value in (entry.psi, entry.noise, entry.effect))
    chance = "&lt; 0.0001" if entry.p_corrected < 0.0001 else f"{entry.p_corrected:.4f}"
    return (
        f"<tr{style}><td>{escape(entry.name)}</td><td>{words.judgement(entry, threshold)}</td>"
        f'<td class="said">{escape(words.change(entry))}</td>{figures}<td class="n">{chance}</td></tr>'
    )
