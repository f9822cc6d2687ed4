"""Train: candidates side by side, every one a run in MLflow, the best a new version with the challenger's alias.

What makes it safe to be killed anywhere: runs and the version carry the step's key as a tag. Called again, a step first deletes the
runs that a killed attempt left, unless that attempt came as far as the version; then only what was still missing is done.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from samovar.errors import NotFound, UsageError
from samovar.pipelines import candidates, searches, steps, winners
from samovar.registry import runs
from samovar.store import datasets
from samovar.training.job import Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.pipelines.context import Context
    from samovar.project import CandidateSpec, Project
    from samovar.store.datasets import Dataset
    from samovar.training.fanout import Report


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
    project = dataclasses.replace(project, candidates=selected(project, kinds or ctx.settings.kinds))
    data = find_dataset(ctx, project, dataset)
    ctx.registry.ping()  # before minutes of work whose result could not be stored
    key = identity_of(ctx, project, data)
    done = steps.run_once(
        ctx,
        "train",
        project.name,
        key,
        lambda: _train(ctx, project, data, key, progress),
        still_there=lambda: winners.version_of(ctx, project, key) is not None,
    )
    return {"status": done.status, **done.result}


def identity_of(ctx: Context, project: Project, data: Dataset) -> str:
    """Return what makes a training the same training: dataset, code and settings."""
    code, declared = steps.code_digest(project), steps.settings_digest(project, ctx.settings)
    return steps.step_key("train", project.name, data.digest, code, declared)


def find_dataset(ctx: Context, project: Project, dataset: str | None) -> Dataset:
    """Return a dataset of the project, the latest one unless a digest is given; raises NotFound."""
    with ctx.db.read() as connection:
        found = datasets.get(connection, project.name, dataset) if dataset else datasets.latest(connection, project.name)
    if found is None:
        what = f"no dataset that begins with {dataset}" if dataset else "no dataset yet"
        raise NotFound(f"Project {project.name} has {what}.", remedy=f"Run `samovar ingest {project.name}`.")
    return found


def selected(project: Project, kinds: Sequence[str]) -> tuple[CandidateSpec, ...]:
    """Return the candidates of these names or kinds, all of them if none is given; raises UsageError where there is none."""
    chosen = tuple(spec for spec in project.candidates if not kinds or spec.name in kinds or spec.kind in kinds)
    if not chosen:
        known = ", ".join(spec.name for spec in project.candidates)
        raise UsageError(f"Project {project.name} has no candidate of the kinds asked for.", remedy=f"It has: {known}.")
    return chosen


def _train(ctx: Context, project: Project, data: Dataset, key: str, progress: Report | None) -> dict[str, Any]:
    version = winners.version_of(ctx, project, key)
    if version is None:
        summary = _run_all(ctx, project, data, key, progress)
        version = winners.register(ctx, project, summary, key)
    else:
        summary = winners.summary(ctx, version)
    winners.challenge(ctx, project, version, key)
    return {**summary, "version": version.version}


def _run_all(ctx: Context, project: Project, data: Dataset, key: str, progress: Report | None) -> dict[str, Any]:
    experiment = runs.experiment(ctx.registry, project.name)
    for leftover in runs.find(ctx.registry, experiment, winners.STEP, key):
        runs.delete(ctx.registry, leftover)
    study = candidates.prepare(ctx, project, data, key)
    tags = winners.tags(project, data, key)
    with runs.ending(ctx.registry, runs.begin(ctx.registry, experiment, f"train {data.digest[:8]}", tags)) as parent:
        winners.lineage(ctx, parent, data)
        nested = functools.partial(runs.begin, ctx.registry, experiment, parent=parent)
        rows, failed, found = [], [], {}
        for one in candidates.train(ctx, study, progress):
            if isinstance(one, Failed):
                failed.append({"kind": one.name, "reason": one.reason})
                runs.finish(ctx.registry, nested(one.name, tags | {"samovar.failure": one.reason}), "FAILED")
                continue
            with runs.ending(ctx.registry, nested(one.trained.name, tags)) as run:
                winners.lineage(ctx, run, data)
                candidates.log(ctx, study, one, run)
                searches.log(ctx, run, one.trained, project.search, tags)
            found[one.trained.name] = searches.document(one.trained, project.search)
            rows.append(winners.row(project, one, run.run_id))
        summary = winners.summarise(project, data, rows, failed)
        searches.log_front(ctx, parent, found)
        winners.log_summary(ctx, project, parent, summary)
    return summary


__all__ = ["find_dataset", "identity_of", "selected", "train"]
