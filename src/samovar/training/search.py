"""The search of a candidate's parameters (Optuna): for the project's metric alone, or against what a model costs.

A study in a storage outlives its processes: one that is killed loses no finished trial and leaves none running for ever, and
several processes do the budgeted number of trials together.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import optuna

from samovar.errors import ProjectError
from samovar.project import Search
from samovar.store import claimants
from samovar.training import choice, studies
from samovar.training.choice import Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from samovar.project import CandidateSpec

Dimension = Any
"""``("float" | "log" | "int", low, high)``, or a list of choices."""

SPACES: dict[str, dict[str, Dimension]] = {
    "logreg": {"C": ("log", 1e-2, 1e2)},
    "nb_logreg": {"C": ("log", 1e-2, 1e2)},
    "random_forest": {"min_samples_leaf": ("int", 1, 12), "max_features": ["sqrt", 0.5]},
    "hist_gradient_boosting": {
        "learning_rate": ("log", 0.03, 0.3),
        "max_leaf_nodes": ("int", 4, 24),
        "min_samples_leaf": ("int", 5, 60),
        "l2_regularization": ("log", 1e-3, 10.0),
    },
    "minilm": {"C": ("log", 1e-4, 1.0)},
    "mlp": {
        "hidden_layer_sizes": ["32", "16", "32-16"],
        "alpha": ("log", 1e-5, 1e-1),
        "learning_rate_init": ("log", 1e-3, 1e-2),
    },
}

PATIENCE = 5
"""Finished trials before one is ended early: a median of fewer says little."""
_DIRECTIONS = {"metric": "maximize", "latency": "minimize", "size": "minimize"}
_POLL = 0.1  # seconds between two looks at trials that other processes work on


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to.

    Attributes:
        params: the chosen parameters, the candidate's fixed ones included.
        trials: all finished trials, in order.
        chosen: number of the trial chosen; None where nothing was searched.
        reason: why that one, in one sentence.
    """

    params: dict[str, Any]
    trials: tuple[Trial, ...] = ()
    chosen: int | None = None
    reason: str = ""


class Judge(Protocol):
    """Measures one set of parameters."""

    def __call__(self, params: dict[str, Any], reached: Reached) -> Mapping[str, float]:
        """Return ``metric``, and ``latency`` and ``size`` where they are objectives; ``error`` is the metric's standard error.

        Calls ``reached(step, value)`` on its way, which ends a trial that is no good.
        """
        ...


class Reached(Protocol):
    """Told what a trial's metric is after a step; raises what ends the trial when others were better there."""

    def __call__(self, step: int, value: float) -> None:
        """Judge a step."""
        ...


def search(  # noqa: PLR0913 - the sampler's and the storage's choices
    spec: CandidateSpec,
    judge: Judge,
    *,
    seed: int,
    plan: Search | None = None,
    storage: str | None = None,
    study: str | None = None,
    on_trial: Callable[[int, float], None] = lambda _done, _best: None,
) -> Found:
    """Search a candidate's parameters.

    The first trial is the estimator's own defaults, so that a search for the metric never ends below them. A study in a storage
    goes on where it stopped.

    Args:
        spec: the candidate.
        judge: parameters -> figures.
        seed: of the sampler.
        plan: objectives and budget.
        storage: Optuna storage URL; None is memory.
        study: name of the study in the storage.
        on_trial: told how many trials are done and the best metric so far.

    Raises:
        StoreUnavailable: the storage cannot be used.
        ProjectError: a dimension is not understood.
    """
    plan = plan or Search()
    if budget(spec, plan) < 1:
        return Found(dict(spec.params))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    directions = [_DIRECTIONS[name] for name in plan.objectives]
    opened = studies.open_study(storage, study, directions, seed)
    return _Search(spec, plan, judge, opened, on_trial).run()


def budget(spec: CandidateSpec, plan: Search) -> int:
    """Return how many trials a candidate gets: the project's number, else its own; none where nothing is left to search."""
    if spec.trials < 1 or not _open_space(spec):
        return 0
    return spec.trials if plan.trials is None else plan.trials


def space_of(spec: CandidateSpec) -> Mapping[str, Dimension]:
    """What is searched: the kind's own space, or the custom candidate's."""
    return spec.space if spec.build is not None else SPACES.get(spec.kind, {})


class _Surplus(Exception):
    """Others have taken all trials of the budget."""


class _Search:
    def __init__(
        self, spec: CandidateSpec, plan: Search, judge: Judge, study: optuna.Study, told: Callable[[int, float], None]
    ) -> None:
        self._fixed = dict(spec.params)
        self._space = _open_space(spec)
        self._plan = plan
        self._budget = budget(spec, plan)
        self._judge = judge
        self._study = study
        self._told = told

    def run(self) -> Found:
        began, before = time.monotonic(), sum(one.seconds for one in self._finished())
        while len(finished := self._finished()) < self._budget:
            spent = before + time.monotonic() - began
            if finished and self._plan.minutes is not None and spent >= self._plan.minutes * 60:
                break
            studies.bury(self._study)
            if self._others_do_the_rest(len(finished)):
                time.sleep(_POLL)
                continue
            self._study.optimize(self._trial, n_trials=1, catch=(_Surplus,))
            done = self._finished()
            if values := [one.metric for one in done if one.metric is not None]:
                self._told(min(len(done), self._budget), max(values))
        trials = self._finished()
        chosen, reason = choice.choose(trials, self._plan)
        return Found(self._fixed | chosen.params, tuple(trials), chosen.number, reason)

    def _others_do_the_rest(self, finished: int) -> bool:
        states = [one.state for one in self._study.get_trials(deepcopy=False)]
        running = states.count(optuna.trial.TrialState.RUNNING)
        return finished + running >= self._budget and optuna.trial.TrialState.WAITING not in states

    def _trial(self, one: optuna.Trial) -> tuple[float, ...]:
        taken = [
            t for t in self._study.get_trials(deepcopy=False) if t.number < one.number and t.state != optuna.trial.TrialState.FAIL
        ]
        if len(taken) >= self._budget:
            raise _Surplus
        one.set_user_attr("claimant", claimants.myself())
        defaults = one.number == 0 or one.user_attrs.get("defaults", False)
        chosen = {} if defaults else {name: _suggest(one, name, dimension) for name, dimension in self._space.items()}
        one.set_user_attr("params", chosen)
        figures = self._judge(self._fixed | chosen, lambda step, value: self._reached(one, step, value))
        if not all(math.isfinite(figures[name]) for name in self._plan.objectives):
            raise optuna.TrialPruned  # Optuna would fail it: it would count for nothing, and be tried again for ever
        one.set_user_attr("figures", {name: float(value) for name, value in figures.items()})
        return tuple(float(figures[name]) for name in self._plan.objectives)

    def _reached(self, one: optuna.Trial, step: int, value: float) -> None:
        """The median rule (as in Vizier, Golovin et al. 2017), on attributes: Optuna's own pruners take one objective only."""
        one.set_user_attr(f"step {step}", value)
        others = [found for trial in self._ended() if (found := trial.user_attrs.get(f"step {step}")) is not None]
        if self._plan.prune and len(others) >= PATIENCE and value < float(np.median(others)):
            raise optuna.TrialPruned

    def _ended(self) -> list[optuna.trial.FrozenTrial]:
        states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        return list(self._study.get_trials(deepcopy=False, states=states))

    def _finished(self) -> list[Trial]:
        return [_plain(one) for one in self._ended()]


def _plain(one: optuna.trial.FrozenTrial) -> Trial:
    figures = one.user_attrs.get("figures", {})
    return Trial(
        number=one.number,
        params=dict(one.user_attrs["params"]),
        pruned=one.state == optuna.trial.TrialState.PRUNED,
        metric=figures.get("metric"),
        error=figures.get("error"),
        latency_us=figures.get("latency"),
        size_bytes=figures.get("size"),
        seconds=one.duration.total_seconds() if one.duration else 0.0,
    )


def _open_space(spec: CandidateSpec) -> dict[str, Dimension]:
    return {name: dimension for name, dimension in space_of(spec).items() if name not in spec.params}


def _suggest(trial: optuna.Trial, name: str, dimension: Dimension) -> Any:
    match dimension:
        case [*choices] if isinstance(dimension, list):
            return trial.suggest_categorical(name, choices)
        case ("float", low, high):
            return trial.suggest_float(name, low, high)
        case ("log", low, high):
            return trial.suggest_float(name, low, high, log=True)
        case ("int", low, high):
            return trial.suggest_int(name, low, high)
    raise ProjectError(f"Search dimension {name!r} is not understood.", remedy='Write ("float"|"log"|"int", low, high) or a list.')
