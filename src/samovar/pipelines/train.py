"""Train: candidates side by side, every one a run in MLflow, the best a new version with the challenger's alias.

What makes it safe to be killed anywhere: runs and the version carry the step's key as a tag. Called again, a step first deletes the
runs that a killed attempt left, unless that attempt came as far as the version; then only what was still missing is done.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from typing import TYPE_CHECKING, Any

from samovar.errors import Conflict, ModelError, NotFound, UsageError
from samovar.logs import get_logger
from samovar.pipelines import aliases, candidates, people, steps
from samovar.registry import runs
from samovar.store import datasets
from samovar.training.job import Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.pipelines.context import Context
    from samovar.project import Project
    from samovar.registry.client import Version
    from samovar.registry.runs import Run
    from samovar.store.datasets import Dataset
    from samovar.training.fanout import Report

STEP = "samovar.step"
"""Tag that names the step a run or a version came from."""
_SUMMARY = "training.json"

_log = get_logger(__name__)


def train(
    ctx: Context, project: Project, dataset: str | None = None, *, kinds: Sequence[str] = (), progress: Report | None = None
) -> dict[str, Any]:
    """Train a project's candidates on a dataset and register the best one.

    The best is chosen on out-of-fold training rows; the figures returned are of the held-out rows, which took no part in that.

    Args:
        ctx: the world.
        project: what to train.
        dataset: digest, or the beginning of one; None is the latest.
        kinds: names or kinds of the candidates to train; none selects what the settings select, else all.
        progress: told ``(candidate, done, total, best score so far)``.

    Returns:
        ``status``, ``model``, ``version``, ``kind``, ``metric``, ``value`` and ``interval`` on the held-out rows, ``run_id``,
        ``candidates`` (each ``kind``, ``value``, ``interval``, ``selection``, ``run_id``), ``failed``, ``dataset``.

    Raises:
        NotFound: the project has no such dataset.
        UsageError: no candidate is of these kinds.
        DataError: the dataset is too small to hold rows out.
        ModelError: no candidate could be trained.
        RegistryUnavailable: MLflow cannot be reached.
    """
    project = dataclasses.replace(project, candidates=_selected(project, kinds or ctx.settings.kinds))
    data = find_dataset(ctx, project, dataset)
    ctx.registry.ping()  # before minutes of work whose result could not be stored
    code, declared = steps.code_digest(project), steps.settings_digest(project, ctx.settings)
    key = steps.step_key("train", project.name, data.digest, code, declared)
    done = steps.run_once(
        ctx,
        "train",
        project.name,
        key,
        lambda: _train(ctx, project, data, key, progress),
        still_there=lambda: _version_of(ctx, project, key) is not None,
    )
    return {"status": done.status, **done.result}


def find_dataset(ctx: Context, project: Project, dataset: str | None) -> Dataset:
    """Return a dataset of the project, the latest one unless a digest is given; raises NotFound."""
    with ctx.db.read() as connection:
        found = datasets.get(connection, project.name, dataset) if dataset else datasets.latest(connection, project.name)
    if found is None:
        what = f"no dataset that begins with {dataset}" if dataset else "no dataset yet"
        raise NotFound(f"Project {project.name} has {what}.", remedy=f"Run `samovar ingest {project.name}`.")
    return found


def _selected(project: Project, kinds: Sequence[str]) -> tuple[Any, ...]:
    chosen = tuple(spec for spec in project.candidates if not kinds or spec.name in kinds or spec.kind in kinds)
    if not chosen:
        known = ", ".join(spec.name for spec in project.candidates)
        raise UsageError(f"Project {project.name} has no candidate of the kinds asked for.", remedy=f"It has: {known}.")
    return chosen


def _train(ctx: Context, project: Project, data: Dataset, key: str, progress: Report | None) -> dict[str, Any]:
    version = _version_of(ctx, project, key)
    if version is None:
        summary = _run_all(ctx, project, data, key, progress)
        version = _register(ctx, project, summary, key)
    else:
        summary = _summary(ctx, version)
    _challenge(ctx, project, version, key)
    return {**summary, "version": version.version}


def _version_of(ctx: Context, project: Project, key: str) -> Version | None:
    """The version that an attempt killed after registering left behind."""
    return next((one for one in ctx.registry.versions(project.model) if one.tags.get(STEP) == key), None)


def _run_all(ctx: Context, project: Project, data: Dataset, key: str, progress: Report | None) -> dict[str, Any]:
    experiment = runs.experiment(ctx.registry, project.name)
    for leftover in runs.find(ctx.registry, experiment, STEP, key):
        runs.delete(ctx.registry, leftover)
    study = candidates.prepare(ctx, project, data, key)
    tags = {STEP: key, "samovar.project": project.name, "samovar.dataset": data.digest, "mlflow.user": people.actor()}
    with runs.ending(ctx.registry, runs.begin(ctx.registry, experiment, f"train {data.digest[:8]}", tags)) as parent:
        _lineage(ctx, parent, data)
        nested = functools.partial(runs.begin, ctx.registry, experiment, parent=parent)
        rows, failed = [], []
        for one in candidates.train(ctx, study, progress):
            if isinstance(one, Failed):
                failed.append({"kind": one.name, "reason": one.reason})
                runs.finish(ctx.registry, nested(one.name, tags | {"samovar.failure": one.reason}), "FAILED")
                continue
            with runs.ending(ctx.registry, nested(one.trained.name, tags)) as run:
                _lineage(ctx, run, data)
                candidates.log(ctx, study, one, run)
            rows.append(_row(project, one, run.run_id))
        summary = _summarise(project, data, rows, failed)
        runs.log(ctx.registry, parent, {"kind": summary["kind"], "metric": project.metric}, {project.metric: summary["value"]})
        runs.log_files(ctx.registry, parent, {_SUMMARY: json.dumps(summary, indent=1).encode()})
    return summary


def _lineage(ctx: Context, run: Run, data: Dataset) -> None:
    runs.log_dataset(ctx.registry, run, name=data.project, digest=data.digest, source=data.url, rows=data.rows)


def _row(project: Project, one: candidates.Judged, run_id: str) -> dict[str, Any]:
    figure = one.evaluation.document["metrics"][project.metric]
    return {
        "kind": one.trained.name,
        "value": figure["value"],
        "interval": [figure["low"], figure["high"]],
        "selection": round(one.trained.selection, 6),
        "run_id": run_id,
    }


def _summarise(project: Project, data: Dataset, rows: list[dict[str, Any]], failed: list[dict[str, str]]) -> dict[str, Any]:
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


def _register(ctx: Context, project: Project, summary: dict[str, Any], key: str) -> Version:
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
    version = ctx.registry.create_version(project.model, source=source, run_id=run.run_id, tags=tags)
    _log.info("version registered", model=project.model, version=version.version, kind=summary["kind"])
    return version


def _summary(ctx: Context, version: Version) -> dict[str, Any]:
    winner = runs.get(ctx.registry, version.run_id)
    parent = runs.get(ctx.registry, winner.parent or version.run_id)
    found: dict[str, Any] = json.loads(runs.read_file(ctx.registry, parent, _SUMMARY))
    return found


def _challenge(ctx: Context, project: Project, version: Version, key: str) -> None:
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


__all__ = ["STEP", "find_dataset", "train"]
