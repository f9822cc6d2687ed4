"""The model card: what a person should know before using a version (after Mitchell et al. 2019), as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from samovar.project import Project
    from samovar.training.job import Trained


def write(project: Project, trained: Trained, document: dict[str, Any]) -> str:
    """Return the card of a trained candidate; ``document`` is its ``evaluation.json``."""
    lines = [f"# {project.model}", "", project.description, ""]
    lines += ["## What it is", ""]
    lines += [f"- Kind: {trained.name}", f"- Predicts: `{project.target}`", f"- Calibration: {trained.calibration}"]
    lines += [f"- `{name}`: {value}" for name, value in sorted(trained.params.items())]
    lines += ["", "## Data", "", f"- Dataset: `{document['dataset']}`"]
    lines += [
        f"- Learned from {document['train_rows']:,} rows; judged on {document['rows']:,} rows held out by {document['split']}."
    ]
    lines += ["", "## How good it is", "", "| Figure | Value | 95 % interval |", "|---|---|---|"]
    figures = document["metrics"] | document["calibration"]["losses"]
    lines += [f"| {name} | {one['value']:.4f} | {one['low']:.4f} to {one['high']:.4f} |" for name, one in figures.items()]
    chance = document["calibration"]["ece_by_chance"]
    lines += ["", f"A perfectly calibrated model would show an ece of up to {chance:.4f} on as many rows by chance alone."]
    if "baseline" in document:
        gain = document["baseline"]["gain"]
        lines += ["", f"Gain in {document['metric']} over a plain logistic regression on the same rows: "]
        lines[-1] += f"{gain['value']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})."
    if "threshold" in document:
        one = document["threshold"]
        lines += ["", f"Decision threshold {one['value']:.4f}: precision {one['precision']:.3f}, recall {one['recall']:.3f}."]
    lines += [
        "",
        "## Limits",
        "",
        "It has seen only rows that fit its contract, `data_contract/input_schema.json`, from the time of",
    ]
    lines += ["its dataset; `reference_profile.json` says what they looked like. Drift against that profile is watched."]
    return "\n".join(lines) + "\n"
