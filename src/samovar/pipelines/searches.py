"""What MLflow shows of a search: a chart and a table in the candidate's run, and the front of all candidates above them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from samovar.registry import runs
from samovar.training import choice, plots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from samovar.pipelines.context import Context
    from samovar.project import Search
    from samovar.registry.runs import Run
    from samovar.training.choice import Trial
    from samovar.training.job import Trained

PATH = "search.json"
FRONT = "plots/front.png"


def document(trained: Trained, plan: Search) -> dict[str, Any]:
    """What a candidate's search did, as JSON: every trial, the Pareto front, which trial was taken and why."""
    return {
        "objectives": plan.objectives,
        "chosen": trained.chosen,
        "reason": trained.reason,
        "front": [one.number for one in choice.front(trained.trials, plan.objectives)],
        "trials": [one.as_dict() for one in trained.trials],
    }


def log(ctx: Context, run: Run, trained: Trained, plan: Search, tags: Mapping[str, str]) -> None:
    """Log a candidate's search into its run; nothing where nothing was searched."""
    if trained.chosen is None:
        return
    runs.log_series(ctx.registry, run, _series(trained.trials))
    runs.log_files(ctx.registry, run, {PATH: json.dumps(document(trained, plan), indent=1).encode()})
    if plan.runs:
        experiment = runs.experiment(ctx.registry, tags["samovar.project"])
        for one in trained.trials:
            _log_trial(ctx, one, runs.begin(ctx.registry, experiment, f"trial {one.number}", tags, run))


def log_front(ctx: Context, parent: Run, searches: Mapping[str, Mapping[str, Any]]) -> None:
    """Plot all candidates' trials, metric against cost, into the run above them; nothing where no cost was measured."""
    drawn = plots.front({name: [choice.Trial(**one) for one in found["trials"]] for name, found in searches.items()})
    if drawn is not None:
        runs.log_files(ctx.registry, parent, {FRONT: drawn})


def _series(trials: tuple[Trial, ...]) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for one in trials:
        for name, value in _figures(one).items():
            found.setdefault(f"trial_{name}", {})[one.number] = value
    return found


def _figures(one: Trial) -> dict[str, float]:
    figures = {"metric": one.metric, "latency_us": one.latency_us, "size_bytes": one.size_bytes, "seconds": one.seconds}
    return {name: value for name, value in figures.items() if value is not None}


def _log_trial(ctx: Context, one: Trial, run: Run) -> None:
    runs.log(ctx.registry, run, one.params | {"pruned": one.pruned}, _figures(one))
    runs.finish(ctx.registry, run)
