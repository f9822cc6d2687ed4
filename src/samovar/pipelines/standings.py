"""How champion and challenger did on a dataset's labels, from the predictions that infer stored."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from samovar.errors import DataError
from samovar.monitoring.comparison import Comparison, Figure, Standing, agreement
from samovar.pipelines.infer import text
from samovar.store import predictions
from samovar.training import bootstrap
from samovar.training.metrics import value
from samovar.training.outcomes import Outcome, class_indices, from_labels
from samovar.training.split import split

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from samovar.pipelines.context import Context
    from samovar.project import Project
    from samovar.registry.client import Version
    from samovar.store.datasets import Dataset
    from samovar.store.predictions import Prediction

_ROUNDS = 400  # intervals for a report, not for a decision: the gate draws more
_PREDICTED_LABEL = {"accuracy", "f1_macro"}
"""Scores that need the predicted label alone."""


def stored(ctx: Context, version: Version, data: Dataset) -> list[Prediction]:
    """Return what a version said about a dataset, in the order of its rows."""
    with ctx.db.read() as connection:
        return predictions.of(connection, version.model, version.version, data.digest)


def compare(  # noqa: PLR0913, PLR0917 - two versions and their rows
    ctx: Context, project: Project, data: Dataset, frame: pl.DataFrame, champion: Version, challenger: Version
) -> Comparison:
    """Set two versions side by side on a dataset that both have answered."""
    theirs = [stored(ctx, one, data) for one in (champion, challenger)]
    labels = [[one.prediction for one in answers] for answers in theirs]
    rows = unlearned(project, data, frame, (champion, challenger), ctx.settings.seed)
    judged = outcomes(project, frame, theirs, rows)
    seed = ctx.settings.seed
    gain = bootstrap.difference(metric_of(project, judged[0]), judged[1], judged[0], seed=seed, rounds=_ROUNDS)
    return Comparison(
        champion=champion.version,
        challenger=challenger.version,
        rows=len(labels[0]),
        agreement=agreement(labels[0], labels[1]),
        champion_standing=_standing(project, champion, judged[0], seed),
        challenger_standing=_standing(project, challenger, judged[1], seed),
        gain=_figure(gain),
    )


def standing(ctx: Context, project: Project, data: Dataset, frame: pl.DataFrame, version: Version) -> Standing:
    """Measure one version on a dataset that it has answered."""
    rows = unlearned(project, data, frame, (version,), ctx.settings.seed)
    (judged,) = outcomes(project, frame, [stored(ctx, version, data)], rows)
    return _standing(project, version, judged, ctx.settings.seed)


def unlearned(project: Project, data: Dataset, frame: pl.DataFrame, versions: Sequence[Version], seed: int) -> np.ndarray:
    """Return positions of the rows that none of the versions was trained on: the held-out ones of their own dataset."""
    if all(version.tags.get("samovar.dataset") != data.digest for version in versions):
        return np.arange(frame.height)
    try:
        held_out = split(frame.with_row_index("samovar_row"), project, seed).held_out
    except DataError:  # too few rows to hold any out, so nobody was trained on this dataset by our split
        return np.arange(frame.height)
    return held_out["samovar_row"].to_numpy()


def _standing(project: Project, version: Version, outcome: Outcome, seed: int) -> Standing:
    metric = metric_of(project, outcome)
    score = bootstrap.estimate(metric, outcome, seed=seed, rounds=_ROUNDS)
    return Standing(version.version, metric, int(outcome.truth.size), _figure(score))


def metric_of(project: Project, outcome: Outcome) -> str:
    """Choose the project's score, or accuracy where it cannot be had.

    That is so where one stored probability a row is not enough for it, or where the labels are all of one class.
    """
    enough = outcome.positive is not None or project.metric in _PREDICTED_LABEL
    return project.metric if enough and not math.isnan(value(project.metric, outcome)) else "accuracy"


def _figure(estimate: bootstrap.Estimate) -> Figure:
    return Figure(**{name: float(number) for name, number in asdict(estimate).items()})


def outcomes(project: Project, frame: pl.DataFrame, answers: Sequence[Sequence[Prediction]], rows: np.ndarray) -> list[Outcome]:
    """Put stored answers of one or more versions and the dataset's labels together, of the rows given.

    The versions share their classes, so that their outcomes can be paired.
    """
    truth = [text(label) for label in frame[project.target].gather(rows).to_list()]
    chosen = [[given[index] for index in rows] for given in answers]
    classes = sorted({*truth, *(one.prediction for given in chosen for one in given)})
    return [_outcome(class_indices(truth, classes), given, classes, _positive(project, classes)) for given in chosen]


def _outcome(truth: np.ndarray, given: Sequence[Prediction], classes: list[str], positive: int | None) -> Outcome:
    if positive is None or any(one.probability is None for one in given):
        return Outcome(truth, from_labels([one.prediction for one in given], classes))
    score = np.array([one.probability for one in given], dtype=np.float64)
    columns = [score, 1 - score] if positive == 0 else [1 - score, score]
    said = np.array([one.prediction == classes[positive] for one in given])
    # The least probability that was called positive gives back the labels that were stored.
    limit = float(score[said].min()) if said.any() else np.inf
    return Outcome(truth, np.stack(columns, axis=1), positive, limit)


def _positive(project: Project, classes: list[str]) -> int | None:
    """Index of the positive class of a binary target, by the rule that training follows."""
    if len(classes) != 2:
        return None
    name = text(project.positive) if project.positive is not None else ""
    return classes.index(name) if name in classes else 1


__all__ = ["compare", "metric_of", "outcomes", "standing", "stored", "unlearned"]
