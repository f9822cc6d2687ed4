"""Training in parts that an orchestrator spreads over machines: each kind by itself, then one selection among them.

The parts of one training know each other by its key: dataset, code and settings. It is the key that `train` has for the whole, so
that whichever of the two ways comes second finds it done.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from samovar.errors import ModelError, NotFound, UsageError
from samovar.pipelines import candidates, searches, steps, winners
from samovar.pipelines.train import find_dataset, identity_of, selected
from samovar.registry import runs
from samovar.training.job import Failed

if TYPE_CHECKING:
    from samovar.pipelines.context import Context
    from samovar.project import CandidateSpec, Project
    from samovar.registry.client import Version
    from samovar.registry.runs import Run
    from samovar.store.datasets import Dataset
    from samovar.training.fanout import Report

TRAINING = "samovar.training"
"""Tag that names the training a part belongs to."""
_PART = "candidate.json"


def train_one(
    ctx: Context, project: Project, kind: str, dataset: str | None = None, *, progress: Report | None = None
) -> dict[str, Any]:
    """Train one candidate into MLflow and register nothing.

    Args:
        ctx: the world.
        project: whose candidate.
        kind: its name, or its kind where only one candidate is of that kind.
        dataset: digest, or the beginning of one; None is the latest.
        progress: told ``(candidate, done, total, best score so far)``.

    Returns:
        ``status``, ``project``, ``training`` (the key that the parts share), ``dataset``, ``metric``, ``kind``, ``run_id``,
        ``value`` and ``interval`` on the held-out rows, ``selection``.

    Raises:
        NotFound: the project has no such dataset.
        UsageError: not exactly one candidate is of this name or kind.
        ModelError: it could not be trained.
        RegistryUnavailable: MLflow cannot be reached.
    """
    project = dataclasses.replace(project, candidates=selected(project, ctx.settings.kinds))
    spec = _one(project, kind)
    data = find_dataset(ctx, project, dataset)
    ctx.registry.ping()
    training = identity_of(ctx, project, data)
    key = steps.digest_of(["part", training, spec.name])
    done = steps.run_once(
        ctx,
        "train",
        project.name,
        key,
        lambda: _train(ctx, project, spec, data, training, key, progress),
        still_there=lambda: bool(_runs(ctx, project, winners.STEP, key)),
    )
    return {"status": done.status, **done.result}


def select(ctx: Context, project: Project, dataset: str | None = None) -> dict[str, Any]:
    """Register the best of the candidates that were trained by themselves, and give it the challenger's alias.

    Args:
        ctx: the world.
        project: whose candidates.
        dataset: digest, or the beginning of one; None is the latest.

    Returns:
        What `samovar.pipelines.train.train` returns; ``missing`` are the candidates that were not trained.

    Raises:
        NotFound: no candidate was trained on this dataset with this code and these settings.
        RegistryUnavailable: MLflow cannot be reached.
    """
    project = dataclasses.replace(project, candidates=selected(project, ctx.settings.kinds))
    data = find_dataset(ctx, project, dataset)
    training = identity_of(ctx, project, data)
    if (whole := winners.version_of(ctx, project, training)) is not None:
        rows = winners.summary(ctx, whole)["candidates"]
    else:
        rows = _trained(ctx, project, training)
    missing = [spec.name for spec in project.candidates if spec.name not in {row["kind"] for row in rows}]
    if not rows:
        raise NotFound(
            f"No candidate of project {project.name} was trained with this dataset, code and settings.",
            remedy=f"Run `samovar train {project.name} --kind {project.candidates[0].name}`, once for each kind.",
        )
    key = steps.digest_of(["select", training, sorted(row["run_id"] for row in rows)]) if missing else training
    done = steps.run_once(
        ctx,
        "train",
        project.name,
        key,
        lambda: _join(ctx, project, data, rows, key, whole=not missing),
        still_there=lambda: _registered(ctx, project, rows) is not None,
    )
    return {"status": done.status, **done.result, "missing": missing}


def _one(project: Project, kind: str) -> CandidateSpec:
    named = [spec for spec in project.candidates if spec.name == kind] or [spec for spec in project.candidates if spec.kind == kind]
    if len(named) != 1:
        known = ", ".join(spec.name for spec in project.candidates)
        raise UsageError(f"Project {project.name} has {len(named)} candidates {kind!r}.", remedy=f"Name one of: {known}.")
    return named[0]


def _train(  # noqa: PLR0913, PLR0917 - a part, and the whole that it belongs to
    ctx: Context, project: Project, spec: CandidateSpec, data: Dataset, training: str, key: str, progress: Report | None
) -> dict[str, Any]:
    for leftover in _runs(ctx, project, winners.STEP, key):
        runs.delete(ctx.registry, leftover)
    part = dataclasses.replace(project, candidates=(spec,))
    study = candidates.prepare(ctx, part, data, training, code=steps.code_digest(project))
    tags = winners.tags(project, data, key) | {TRAINING: training}
    experiment = runs.experiment(ctx.registry, project.name)
    (one,) = candidates.train(ctx, study, progress)
    if isinstance(one, Failed):
        runs.finish(ctx.registry, runs.begin(ctx.registry, experiment, spec.name, tags | {"samovar.failure": one.reason}), "FAILED")
        raise ModelError(
            f"Candidate {spec.name} could not be trained. {one.reason}", remedy="Mend it or the data, then train again."
        )
    with runs.ending(ctx.registry, runs.begin(ctx.registry, experiment, spec.name, tags)) as run:
        winners.lineage(ctx, run, data)
        candidates.log(ctx, study, one, run)
        searches.log(ctx, run, one.trained, project.search, tags)
        row = winners.row(project, one, run.run_id)
        runs.log_files(ctx.registry, run, {_PART: json.dumps(row).encode()})  # the last file: a run that has it is whole
    where = {"project": project.name, "training": training, "dataset": data.digest, "metric": project.metric}
    return where | row


def _runs(ctx: Context, project: Project, tag: str, value: str) -> list[Run]:
    return runs.find(ctx.registry, runs.experiment(ctx.registry, project.name), tag, value)


def _trained(ctx: Context, project: Project, training: str) -> list[dict[str, Any]]:
    """The newest whole run of each candidate."""
    found: dict[str, dict[str, Any]] = {}
    for run in _runs(ctx, project, TRAINING, training):
        try:
            row = json.loads(runs.read_file(ctx.registry, run, _PART))
        except NotFound:  # at work, killed or failed
            continue
        found.setdefault(row["kind"], row)
    return list(found.values())


def _join(  # noqa: PLR0913 - rows of a training, and whether they are all of it
    ctx: Context, project: Project, data: Dataset, rows: list[dict[str, Any]], key: str, *, whole: bool
) -> dict[str, Any]:
    summary = winners.summarise(project, data, rows, [])
    version = _registered(ctx, project, [summary])
    # An earlier selection among fewer may have registered the same one: it is the whole training's from now on.
    grown = version is not None and whole and version.tags.get(winners.STEP) != key
    if version is None or grown:
        _nest(ctx, project, data, summary, key)
    if version is None:
        version = winners.register(ctx, project, summary, key)
    elif grown:
        ctx.registry.set_version_tag(project.model, version.version, winners.STEP, key)
    winners.challenge(ctx, project, version, key)
    return {**summary, "version": version.version}


def _nest(ctx: Context, project: Project, data: Dataset, summary: dict[str, Any], key: str) -> None:
    """Put the candidates' runs under one, as `train` does."""
    for leftover in _runs(ctx, project, winners.STEP, key):
        runs.delete(ctx.registry, leftover)
    name = f"train {data.digest[:8]}"
    begun = runs.begin(ctx.registry, runs.experiment(ctx.registry, project.name), name, winners.tags(project, data, key))
    with runs.ending(ctx.registry, begun) as parent:
        winners.lineage(ctx, parent, data)
        for row in summary["candidates"]:
            runs.nest(ctx.registry, row["run_id"], parent)
        searches.log_front(ctx, parent, {row["kind"]: _search_of(ctx, row["run_id"]) for row in summary["candidates"]})
        winners.log_summary(ctx, project, parent, summary)


def _search_of(ctx: Context, run_id: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(runs.read_file(ctx.registry, runs.get(ctx.registry, run_id), searches.PATH))
    except NotFound:  # nothing was searched
        return {"trials": []}
    return found


def _registered(ctx: Context, project: Project, rows: list[dict[str, Any]]) -> Version | None:
    known = {row["run_id"] for row in rows}
    return next((one for one in ctx.registry.versions(project.model) if one.run_id in known), None)


__all__ = ["select", "train_one"]
