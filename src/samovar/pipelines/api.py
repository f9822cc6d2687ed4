"""The steps as one call each, by the names their commands have: what the command line and Python users call.

A project is given by name or as itself. Each call opens the world its settings name, and closes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar import settings as settings_module
from samovar import workspace
from samovar.errors import ProjectError
from samovar.pipelines.context import open_context
from samovar.project import Project
from samovar.store.database import open_database

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from samovar.project import Window
    from samovar.settings import Settings
    from samovar.training.fanout import Report

# Steps are imported when they are called: `samovar ingest` need not load what `samovar train` needs.
# ruff: noqa: PLC0415


def ingest(project: str | Project, window: Window | None = None, *, settings: Settings | None = None) -> dict[str, Any]:
    """Read, check and store a project's rows; see `samovar.pipelines.ingest.ingest`."""
    from samovar.pipelines.ingest import ingest as step

    found = find(project)
    with open_context(settings) as ctx:
        return step(ctx, found, window)


def train(  # noqa: PLR0913 - as the step, and one more for a part of it
    project: str | Project,
    dataset: str | None = None,
    *,
    kinds: Sequence[str] = (),
    kind: str | None = None,
    progress: Report | None = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Train candidates and register the best; see `samovar.pipelines.train.train`.

    With ``kind`` it trains that one and registers nothing; see `samovar.pipelines.select.train_one`, and `select`.
    """
    from samovar.pipelines.select import train_one
    from samovar.pipelines.train import train as step

    found = find(project)
    with open_context(settings) as ctx:
        if kind is not None:
            return train_one(ctx, found, kind, dataset, progress=progress)
        return step(ctx, found, dataset, kinds=kinds, progress=progress)


def select(project: str | Project, dataset: str | None = None, *, settings: Settings | None = None) -> dict[str, Any]:
    """Register the best of the candidates trained by themselves; see `samovar.pipelines.select.select`."""
    from samovar.pipelines.select import select as step

    found = find(project)
    with open_context(settings) as ctx:
        return step(ctx, found, dataset)


def promote(
    project: str | Project, version: int | Sequence[int] | None = None, *, settings: Settings | None = None
) -> dict[str, Any]:
    """Put a challenger, or several at once, before the gate; see `samovar.pipelines.promote.promote`."""
    from samovar.pipelines.promote import promote as step

    found = find(project)
    with open_context(settings) as ctx:
        return step(ctx, found, version)


def infer(project: str | Project, dataset: str | None = None, *, settings: Settings | None = None) -> dict[str, Any]:
    """Predict a dataset with champion and challenger; see `samovar.pipelines.infer.infer`."""
    from samovar.pipelines.infer import infer as step

    found = find(project)
    with open_context(settings) as ctx:
        return step(ctx, found, dataset)


def monitor(project: str | Project, dataset: str | None = None, *, settings: Settings | None = None) -> dict[str, Any]:
    """Compare a dataset with the champion's reference; see `samovar.pipelines.monitor.monitor`."""
    from samovar.pipelines.monitor import monitor as step

    found = find(project)
    with open_context(settings) as ctx:
        return step(ctx, found, dataset)


def retrain(
    project: str | Project, *, force: bool = False, progress: Report | None = None, settings: Settings | None = None
) -> dict[str, Any]:
    """Do what drift asked for; see `samovar.pipelines.retrain.retrain`."""
    from samovar.pipelines.retrain import retrain as step

    found = find(project)
    with open_context(settings) as ctx:
        return step(ctx, found, force=force, progress=progress)


def reproduce(run_id: str, *, progress: Report | None = None, settings: Settings | None = None) -> dict[str, Any]:
    """Fit a run's recorded parameters again; see `samovar.pipelines.reproduce.reproduce`."""
    from samovar.pipelines.reproduce import reproduce as step

    with open_context(settings) as ctx:
        return step(ctx, run_id, workspace.find, progress)


def rollback(
    target: str | Project, alias: str | None = None, *, to: int | None = None, settings: Settings | None = None
) -> dict[str, Any]:
    """Move an alias back to where it stood before; see `samovar.pipelines.rollback.rollback`.

    Args:
        target: a project (its champion's alias is moved), or the name of a registered model.
        alias: the alias to move; None is the champion's.
        to: version to move it to; None is the one before the present one.
        settings: the world; None reads it from the environment.
    """
    from samovar.pipelines.rollback import rollback as step

    model, usual = _model_of(target)
    with open_context(settings) as ctx:
        return step(ctx, model, alias or usual, to)


def drift_inject(
    project: str | Project,
    kind: str = "shift",
    strength: float | None = None,
    seed: int = 0,
    *,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Store a drifted copy of the latest dataset; see `samovar.pipelines.inject.drift_inject`."""
    from samovar.pipelines.inject import drift_inject as step

    found = find(project)
    with open_context(settings) as ctx:
        return step(ctx, found, kind, strength, seed)


def traffic(  # noqa: PLR0913 - as the step
    target: str | Project,
    split: Mapping[str, int] | None = None,
    shadow: Sequence[str] | None = None,
    alias: str | None = None,
    *,
    clear: bool = False,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Share a model's traffic with its other aliases, and tell what became of it; see `samovar.pipelines.traffic.traffic`.

    Args:
        target: a project, or the name of a registered model.
        split: percent by alias; None leaves it as it is.
        shadow: aliases that get copies; None leaves them as they are.
        alias: whose traffic is shared; None is the champion's.
        clear: end both.
        settings: the world; None reads it from the environment.
    """
    from samovar.pipelines.traffic import traffic as step

    model, usual = _model_of(target)
    with open_context(settings) as ctx:
        return step(ctx, model, split=split, shadow=shadow, alias=alias or usual, clear=clear)


def labels_load(
    project: str | Project, file: str | Path, *, progress: Callable[[int], None] | None = None, settings: Settings | None = None
) -> dict[str, Any]:
    """Store what came true; see `samovar.pipelines.labels.load`. A name that is no project is a registered model's."""
    from samovar.pipelines.labels import load as step

    name = _owner(project)
    database = open_database(settings or settings_module.get())
    try:
        return step(database, name, Path(file), progress=progress)
    finally:
        database.close()


def ab(  # noqa: PLR0913 - as the step
    target: str | Project,
    challenger: str = "Challenger",
    *,
    alias: str | None = None,
    since: dt.datetime | None = None,
    metric: str = "accuracy",
    positive: str | None = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Say who is better on live traffic; see `samovar.pipelines.ab.ab`. ``target`` is a project or a registered model."""
    from samovar.pipelines.ab import ab as step

    model, usual = _model_of(target)
    with open_context(settings) as ctx:
        return step(ctx, model, challenger, alias=alias or usual, since=since, metric=metric, positive=positive)


def replay(  # noqa: PLR0913 - as the step
    target: str | Project,
    version: int,
    *,
    since: dt.datetime | None = None,
    alias: str | None = None,
    positive: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Let a version answer logged requests again; see `samovar.pipelines.replay.replay`. ``target`` is a project or a model."""
    from samovar.pipelines.replay import replay as step

    model, usual = _model_of(target)
    with open_context(settings) as ctx:
        return step(ctx, model, version, since=since, alias=alias or usual, positive=positive, progress=progress)


def explain_decision(which: str | None = None, *, settings: Settings | None = None) -> dict[str, Any]:
    """Say why an alias was moved or not; see `samovar.pipelines.explain.explain_decision`."""
    from samovar.pipelines.explain import explain_decision as step

    with open_context(settings) as ctx:
        return step(ctx, which)


def ship(*, settings: Settings | None = None) -> dict[str, Any]:
    """Put what endpoints logged into the app database; see `samovar.pipelines.ship.ship`."""
    from samovar.pipelines.ship import ship as step

    settings = settings or settings_module.get()
    database = open_database(settings)
    try:
        return step(database, settings.spool_folder, keep_days=settings.prediction_log_days)
    finally:
        database.close()


def find(project: str | Project) -> Project:
    """Return the project itself, or the one of this name; raises ProjectError that lists the known ones."""
    return project if isinstance(project, Project) else workspace.find(project)


def _owner(target: str | Project) -> str:
    """Return the name under which a project's or a model's labels are kept."""
    try:
        return find(target).name
    except ProjectError:
        if isinstance(target, str) and target not in workspace.entries():
            return target
        raise


def _model_of(target: str | Project) -> tuple[str, str]:
    """Return the registered model and its usual alias; a name that is no project is a model's."""
    try:
        project = find(target)
    except ProjectError:
        if isinstance(target, str) and target not in workspace.entries():
            return target, "Production"
        raise
    return project.model, project.alias


__all__ = [
    "ab",
    "drift_inject",
    "explain_decision",
    "infer",
    "ingest",
    "labels_load",
    "monitor",
    "promote",
    "replay",
    "reproduce",
    "retrain",
    "rollback",
    "select",
    "ship",
    "traffic",
    "train",
]
