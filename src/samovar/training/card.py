"""The model card: what a person should know before using a version (after Mitchell et al. 2019), as Markdown.

It says what ``evaluation.json`` holds, in words; `samovar.training.card_page` says the same as a page with pictures.
"""

from __future__ import annotations

from typing import Any

MEANING = {
    "accuracy": "share of rows answered right",
    "f1_macro": "balance of missed and false answers, every class counting the same",
    "average_precision": "how well the rows it is surest of are the positive ones; chance gives their share",
    "roc_auc": "how often a positive row gets a higher score than another one; chance gives 0.5",
    "neg_log_loss": "how much probability it gave to the truth; zero is perfect",
    "brier": "squared error of its probabilities; zero is perfect",
    "ece": "how far stated probabilities are from what happened; zero is perfect",
    "precision": "of the rows it calls positive, the share that are",
    "recall": "of the positive rows, the share it finds",
    "f1": "balance of precision and recall",
}

LIMITS = (
    "It has seen only rows that fit its contract, `data_contract/input_schema.json`, from the time of its dataset;"
    " `reference_profile.json` says what they looked like. Drift against that profile is watched."
)


def markdown(document: dict[str, Any]) -> str:
    """Return the card of a judged candidate; ``document`` is its ``evaluation.json``."""
    parts = (_model(document), _data(document), _quality(document), _parts(document), _looks_at(document))
    lines = [line for part in parts for line in part]
    return "\n".join([*lines, "", "## Limits", "", LIMITS]) + "\n"


def headline(document: dict[str, Any]) -> str:
    """A few sentences for people in a hurry. A share of right answers is worth what it gains on the most frequent answer alone."""
    right, rows = document["metrics"]["accuracy"], document["rows"]
    counts = document["confusion"]["rows_true_columns_predicted"]
    said = f"Of {rows:,} rows that it had not seen, it answered {share(right['value'])} right"
    said += f" (on as many other rows, expect {share(right['low'])} to {share(right['high'])});"
    said += f" always giving the most frequent answer would be right for {share(max(map(sum, counts)) / rows)}."
    if threshold := document.get("threshold"):
        said += f" It found {share(threshold['recall'])} of the positive rows; of those it called positive,"
        said += f" {share(threshold['precision'])} were."
    return said


def against_baseline(document: dict[str, Any]) -> str:
    """How it compares with a plain logistic regression; empty where that was not trained."""
    if "baseline" not in document:
        return ""
    gain = document["baseline"]["gain"]
    proven = "is better than" if gain["low"] > 0 else "is worse than" if gain["high"] < 0 else "is not proven to differ from"
    return (
        f"By {document['metric']} it {proven} a plain logistic regression on the same rows:"
        f" {gain['value']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})."
    )


def figures(document: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Every figure with its interval, by name."""
    found: dict[str, dict[str, float]] = dict(document["metrics"])
    found |= document.get("threshold", {}).get("intervals", {})
    return found | dict(document["calibration"]["losses"])


def weak_parts(document: dict[str, Any]) -> list[str]:
    """The parts of the rows on which it does worse than on the whole, beyond chance."""
    return [f"{name}: {one['level']}" for name, levels in document.get("slices", {}).items() for one in levels if one["weaker"]]


def share(value: float) -> str:
    """A share as a percentage."""
    return f"{100 * value:.1f} %"


def _model(document: dict[str, Any]) -> list[str]:
    model = document["model"]
    lines = [f"# {model['name']}", "", model["description"], "", headline(document), "", "## What it is", ""]
    lines += [f"- Kind: {model['candidate']}", f"- Predicts: `{model['target']}`"]
    lines += [f"- Calibration: {document['calibration']['method']}"]
    return lines + [f"- `{name}`: {value}" for name, value in sorted(model["params"].items())]


def _data(document: dict[str, Any]) -> list[str]:
    learned = (
        f"- Learned from {document['train_rows']:,} rows; judged on {document['rows']:,} rows held out by {document['split']}."
    )
    return ["", "## Data", "", f"- Dataset: `{document['dataset']}`", learned]


def _quality(document: dict[str, Any]) -> list[str]:
    lines = ["", "## How good it is", "", "| Figure | Value | 95 % interval | Meaning |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {one['value']:.4f} | {one['low']:.4f} to {one['high']:.4f} | {MEANING.get(name, '')} |"
        for name, one in figures(document).items()
    ]
    chance = document["calibration"]["ece_by_chance"]
    lines += ["", f"A perfectly calibrated model would show an ece of up to {chance:.4f} on as many rows by chance alone."]
    if compared := against_baseline(document):
        lines += ["", compared]
    if "threshold" in document:
        lines += ["", f"It calls a row positive from a probability of {document['threshold']['value']:.4f} on."]
    return lines


def _parts(document: dict[str, Any]) -> list[str]:
    if not document["slices"]:
        return []
    metric = document["metric"]
    lines = ["", "## Part by part", "", f"| Part | Rows | {metric} | 95 % interval | Weaker |", "|---|---|---|---|---|"]
    for name, levels in document["slices"].items():
        for one in levels:
            figure = "" if one["value"] is None else f"{one['value']:.4f}"
            around = "" if one["value"] is None else f"{one['low']:.4f} to {one['high']:.4f}"
            cells = (f"{name}: {one['level']}", f"{one['rows']:,}", figure, around, "yes" if one["weaker"] else "")
            lines.append(f"| {' | '.join(' '.join(cell.replace('|', '/').split()) for cell in cells)} |")
    return lines


def _looks_at(document: dict[str, Any]) -> list[str]:
    fields, lines = document["importance"]["fields"], []
    if fields:
        lines += ["", "## What it looks at", "", f"Loss of {document['metric']} when a field's values are shuffled:", ""]
        lines += ["| Field | Loss | 95 % interval |", "|---|---|---|"]
        lines += [f"| {one['field']} | {one['value']:.4f} | {one['low']:.4f} to {one['high']:.4f} |" for one in fields]
    for field, classes in document.get("tokens", {}).items():
        lines += ["", f"Words in `{field}` that speak for a class:", ""]
        lines += [f"- {label}: {', '.join(f'`{word}`' for word, _ in words)}" for label, words in classes.items()]
    return lines
