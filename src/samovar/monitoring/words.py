"""Findings in sentences that need no statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samovar.monitoring.comparison import Comparison, Figure, Standing
    from samovar.monitoring.drift import FeatureDrift
    from samovar.monitoring.subject import Subject

_VISIBLE_LOSS = 0.005  # differences of missing shares under half a per cent are not worth a word


def verdict(subject: Subject) -> str:
    """Say in one sentence what was found."""
    report = subject.report
    if report.verdict == "too_few_rows":
        return f"There are only {report.current_rows:,} rows: too few to tell (at least {report.min_rows} are needed)."
    if report.verdict == "ok":
        return f"The {report.current_rows:,} rows look like those that version {subject.version} learned from."
    count, total, worst = len(report.shifted), len(report.features), report.shifted[0]
    if count == 1:
        return f"One of {total} features has shifted: {worst.name} ({change(worst)})."
    have = f"All {total}" if count == total else f"{count} of {total}"
    return f"{have} features have shifted, most of all {worst.name} ({change(worst)})."


def change(entry: FeatureDrift) -> str:
    """Say how a feature differs, by what a person would look at first."""
    lost = entry.missing_current - entry.missing_reference
    if abs(lost) > max(_VISIBLE_LOSS, entry.unseen / 2):
        return f"missing in {share(entry.missing_reference)} of the rows then, in {share(entry.missing_current)} now"
    if entry.mean_reference is not None and entry.mean_current is not None:
        return f"on average {number(entry.mean_reference)} then, {number(entry.mean_current)} now"
    if entry.top_reference is not None and entry.top_current is not None:
        if entry.top_reference != entry.top_current:
            return f"most often {entry.top_reference} then, {entry.top_current} now"
        if entry.unseen > _VISIBLE_LOSS:
            return f"{share(entry.unseen)} of the rows have a value that was rare or unknown then"
    return "its values are distributed differently" if entry.shifted else "as before"


def judgement(entry: FeatureDrift, threshold: float) -> str:
    """Say what follows from the figures of one feature."""
    if entry.shifted:
        return "shifted"
    return "could be chance" if entry.effect > threshold else "as before"


def standing(now: Standing, before: Figure | None) -> str:
    """Say how well the champion does on the labels that are known."""
    told = f"On {now.rows:,} rows with known labels the {now.metric} is {interval(now.score)}"
    return f"{told}; when it was trained it was {number(before.value)}." if before else f"{told}."


def comparison(found: Comparison) -> str:
    """Say how the challenger compares."""
    told = f"Version {found.challenger} gave the same answer as version {found.champion} on {share(found.agreement)} of the rows."
    if found.gain is None or found.champion_standing is None or found.challenger_standing is None:
        return told
    judged = {
        "better": "is better",
        "worse": "is worse",
        "not told apart": "cannot be told apart from it",
        "no labels": "was not judged",
    }
    mine, theirs = found.challenger_standing, found.champion_standing
    return (
        f"{told} By {mine.metric} on {mine.rows:,} labelled rows it {judged[found.verdict]}:"
        f" {number(mine.score.value)} against {number(theirs.score.value)},"
        f" a difference of {found.gain.value:+.3f} (between {found.gain.low:+.3f} and {found.gain.high:+.3f})."
    )


def advice(subject: Subject) -> list[str]:
    """Say what to do next, in order; commands stand between backquotes."""
    project = subject.project
    if subject.report.verdict == "too_few_rows":
        return [f"Wait for more rows, ingest them with `samovar ingest {project}`, then look again: `samovar monitor {project}`."]
    if subject.report.verdict == "ok":
        return ["Nothing. The next look comes with the next rows."]
    return [
        "Look at the charts below. Is this the world (a season, prices, new customers) or the feed (another unit, a lost column)?",
        f"If it is the feed, mend the source and run `samovar ingest {project}`: no model can make up for wrong values.",
        "If it is the world, the model must learn it. This alarm has asked for a retrain, unless one was asked for a moment ago.",
        f"A running stack works on that request by itself; `samovar retrain {project}` does it now.",
        "The new version replaces the old one only if it is better on rows that neither has learned from.",
    ]


def interval(figure: Figure) -> str:
    """Write a score with its interval."""
    return f"{number(figure.value)} (between {number(figure.low)} and {number(figure.high)})"


def share(value: float) -> str:
    """Write a share as a percentage, with a digit more where it is small."""
    return f"{value:.1%}" if 0 < value < 0.1 or 0.9 < value < 1 else f"{value:.0%}"


def number(value: float) -> str:
    """Write a number with three or four digits that matter."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}" if size < 1e9 else f"{value:.3g}"
    return f"{value:.3g}" if size < 100 else f"{value:.1f}"
