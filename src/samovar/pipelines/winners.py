"""What becomes of trained candidates: the best is a version with the challenger's alias."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from samovar.errors import Conflict, ModelError
from samovar.logs import get_logger
from samovar.pipelines import aliases, candidates, cards, people, steps
from samovar.registry import runs

if TYPE_CHECKING:
    from samovar.pipelines.context import Context
    from samovar.project import Project
    from samovar.registry.client import Version
    from samovar.registry.runs import Run
    from samovar.store.datasets import Dataset

STEP = "samovar.step"
"""Tag that names the step a run or a version came from."""
SUMMARY = "training.json"

_log = get_logger(__name__)


def tags(project: Project, data: Dataset, key: str) -> dict[str, str]:
    """Tags of every run of a training."""
    return {STEP: key, "samovar.project": project.name, "samovar.dataset": data.digest, "mlflow.user": people.actor()}


def version_of(ctx: Context, project: Project, key: str) -> Version | None:
    """The version that an attempt killed after registering left behind."""
    return next((one for one in ctx.registry.versions(project.model) if one.tags.get(STEP) == key), None)


def lineage(ctx: Context, run: Run, data: Dataset) -> None:
    """Log which dataset a run learned from."""
    runs.log_dataset(ctx.registry, run, name=data.project, digest=data.digest, source=data.url, rows=data.rows)


def log_summary(ctx: Context, project: Project, parent: Run, summary: dict[str, Any]) -> None:
    """Log into the run above the candidates which of them is the best."""
    runs.log(ctx.registry, parent, {"kind": summary["kind"], "metric": project.metric}, {project.metric: summary["value"]})
    runs.log_files(ctx.registry, parent, {SUMMARY: json.dumps(summary, indent=1).encode()})


def row(project: Project, one: candidates.Judged, run_id: str) -> dict[str, Any]:
    """What is told of a candidate."""
    figure = one.evaluation.document["metrics"][project.metric]
    return {
        "kind": one.trained.name,
        "value": figure["value"],
        "interval": [figure["low"], figure["high"]],
        "selection": round(one.trained.selection, 6),
        "run_id": run_id,
    }


def summarise(project: Project, data: Dataset, rows: list[dict[str, Any]], failed: list[dict[str, str]]) -> dict[str, Any]:
    """Put the candidates into the order of their declaration and choose the best: the first among equals."""
    declared = [spec.name for spec in project.candidates]
    rows, failed = (sorted(found, key=lambda row: declared.index(row["kind"])) for found in (rows, failed))
    if not rows:
        reasons = "; ".join(f"{one['kind']}: {one['reason']}" for one in failed)
        raise ModelError(f"No candidate could be trained. {reasons}", remedy="Mend the candidates or the data, then train again.")
    best = max(rows, key=lambda row: row["selection"])
    return {
        "project": project.name,
        "model": project.model,
        "dataset": data.digest,
        "metric": project.metric,
        **{name: best[name] for name in ("kind", "value", "interval", "run_id")},
        "candidates": rows,
        "failed": failed,
    }


def register(ctx: Context, project: Project, summary: dict[str, Any], key: str) -> Version:
    """Make the best candidate a version."""
    run = runs.get(ctx.registry, summary["run_id"])
    ctx.registry.ensure_model(project.model, project.description)
    tags = {
        STEP: key,
        "samovar.project": project.name,
        "samovar.dataset": summary["dataset"],
        "samovar.kind": summary["kind"],
        "samovar.metric": f"{project.metric}={summary['value']:.6f}",
    }
    source = f"{run.artifact_uri}/{candidates.MODEL_FOLDER}"
    described, tags[cards.TAG] = cards.publish(ctx, run)
    version = ctx.registry.create_version(project.model, source=source, run_id=run.run_id, tags=tags, description=described)
    _log.info("version registered", model=project.model, version=version.version, kind=summary["kind"])
    return version


def summary(ctx: Context, version: Version) -> dict[str, Any]:
    """Read what was told of a version's candidates."""
    winner = runs.get(ctx.registry, version.run_id)
    parent = runs.get(ctx.registry, winner.parent or version.run_id)
    found: dict[str, Any] = json.loads(runs.read_file(ctx.registry, parent, SUMMARY))
    return found


def challenge(ctx: Context, project: Project, version: Version, key: str) -> None:
    """Put the challenger's alias on the new version, by a recorded decision; a move made meanwhile by somebody else stands."""
    wanted = aliases.Move(
        key=steps.digest_of(["challenge", key]),
        kind="set",
        model=project.model,
        alias=project.challenger,
        to_version=version.version,
        reason=f"Version {version.version} was trained and waits for the gate.",
        actor="samovar train",
        project=project.name,
    )
    with contextlib.suppress(Conflict):
        aliases.move(ctx, wanted)
