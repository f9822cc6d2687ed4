"""Infer: the champion's batch predictions of a dataset, and the challenger's in its shadow.

Predictions are stored once per (model version, dataset, row), all rows of a version in one transaction: a kill leaves none or all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from samovar.errors import DataError, NotFound
from samovar.pipelines import steps, versions
from samovar.pipelines.train import find_dataset
from samovar.store import predictions, query
from samovar.store.predictions import Prediction
from samovar.training import table

if TYPE_CHECKING:
    import polars as pl

    from samovar.contracts.spec import ModelContract, Scalar
    from samovar.pipelines.context import Context
    from samovar.project import Project
    from samovar.registry.client import Version
    from samovar.scoring.engine import Scores
    from samovar.scoring.plan import ScorerPlan
    from samovar.store.datasets import Dataset

Role = Literal["champion", "shadow"]


def infer(ctx: Context, project: Project, dataset: str | None = None) -> dict[str, Any]:
    """Predict a dataset with the champion, and with the challenger where there is another one.

    Args:
        ctx: the world.
        project: whose dataset and model.
        dataset: digest, or the beginning of one; None is the latest.

    Returns:
        ``status`` (``unchanged`` when nobody had anything left to do), ``project``, ``dataset``, ``rows``, ``model``, ``version``
        of the champion, ``shadow`` (version of the challenger, or None), ``shares`` of the champion's answers.

    Raises:
        NotFound: there is no dataset or no champion.
        Untrusted: a version may run code and nobody trusted it.
        ModelError: a version does not load or fails.
        RegistryUnavailable: MLflow cannot be reached.
    """
    data = find_dataset(ctx, project, dataset)
    champion = run_inference(ctx, project, data)
    shadow = run_shadow_inference(ctx, project, data)
    done = [champion.status] + ([shadow.status] if shadow else [])
    return {
        "status": "done" if "done" in done else "unchanged",
        **champion.result,
        "shadow": shadow.result["version"] if shadow else None,
    }


def run_inference(ctx: Context, project: Project, data: Dataset) -> steps.StepResult:
    """Predict a dataset with the champion; raises NotFound when there is none."""
    return _run(ctx, project, data, champion_of(ctx, project), "champion")


def run_shadow_inference(ctx: Context, project: Project, data: Dataset) -> steps.StepResult | None:
    """Predict a dataset with the challenger, for comparison only; None when there is none, or the champion is it."""
    challenger = challenger_of(ctx, project, champion_of(ctx, project))
    return None if challenger is None else _run(ctx, project, data, challenger, "shadow")


def champion_of(ctx: Context, project: Project) -> Version:
    """Return the version that the project's alias points to; raises NotFound."""
    champion = ctx.registry.by_alias(project.model, project.alias)
    if champion is None:
        raise NotFound(
            f"Project {project.name} has no champion: no version of {project.model} has the alias {project.alias}.",
            remedy=f"Run `samovar train {project.name}`, then `samovar promote {project.name}`.",
        )
    return champion


def challenger_of(ctx: Context, project: Project, champion: Version) -> Version | None:
    """Return the challenger, unless there is none but the champion itself."""
    challenger = ctx.registry.by_alias(project.model, project.challenger)
    return None if challenger is None or challenger.version == champion.version else challenger


def _run(ctx: Context, project: Project, data: Dataset, version: Version, role: Role) -> steps.StepResult:
    # A version never changes, nor does a dataset: its predictions depend on nothing else.
    key = steps.step_key("infer", project.name, data.digest, "", f"{version.model}/{version.version}")
    return steps.run_once(ctx, "infer", project.name, key, lambda: _predict(ctx, project, data, version, role))


def _predict(ctx: Context, project: Project, data: Dataset, version: Version, role: Role) -> dict[str, Any]:
    loaded = versions.load(ctx, version)
    frame = ctx.lake.read(data.url)
    _check_columns(frame, loaded.plan)
    contract = loaded.plan.contract
    scores = loaded.engine.score(table.columns(frame, contract.contract))
    labels, chances = answers(contract, loaded.engine.classes, scores)
    at = query.now()
    rows = [
        Prediction(
            project=project.name,
            model=version.model,
            version=version.version,
            role=role,
            dataset=data.digest,
            row_index=index,
            key=key,
            prediction=label,
            probability=chance,
            created_at=at,
        )
        for index, (key, label, chance) in enumerate(zip(_keys(frame, project), labels, chances, strict=True))
    ]
    with ctx.db.begin() as connection:
        predictions.add(connection, rows)
    return {
        "project": project.name,
        "dataset": data.digest,
        "rows": len(rows),
        "model": version.model,
        "version": version.version,
        "shares": _shares(labels),
    }


def _check_columns(frame: pl.DataFrame, plan: ScorerPlan) -> None:
    missing = [field.name for field in plan.contract.contract.features if field.name not in frame.columns]
    if missing:
        raise DataError(
            f"Version {plan.version} of {plan.model} needs the column {missing[0]}, which the dataset does not have.",
            remedy="The contract has changed since: train a new version.",
        )


def answers(contract: ModelContract, classes: tuple[Scalar, ...], scores: Scores) -> tuple[list[str], list[float | None]]:
    """Turn scores into the answers an endpoint gives: labels (by the version's threshold, if binary) and their probabilities.

    The probability is that of the positive class where there is one, else that of the label given.
    """
    if scores.probabilities is None or not classes:
        return [text(label) for label in scores.labels], [None] * len(scores.labels)
    if contract.positive is None or contract.threshold is None:
        best = scores.probabilities.argmax(axis=1)
        return [text(classes[index]) for index in best], scores.probabilities.max(axis=1).tolist()
    positive = classes.index(contract.positive)
    chance = scores.probabilities[:, positive]
    names = np.array([text(classes[1 - positive]), text(contract.positive)])
    return names[(chance >= contract.threshold).astype(int)].tolist(), chance.tolist()


def text(label: Any) -> str:
    """Write a label as text; NumPy's scalars as Python's."""
    return str(label.item() if hasattr(label, "item") else label)


def _keys(frame: pl.DataFrame, project: Project) -> list[str]:
    key = project.contract.key
    return [""] * frame.height if key is None else [str(value) for value in frame[key.name].to_list()]


def _shares(labels: list[str]) -> dict[str, float]:
    names, counts = np.unique(np.array(labels), return_counts=True)
    return {str(name): round(float(count) / len(labels), 6) for name, count in zip(names, counts, strict=True)}
