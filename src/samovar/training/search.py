"""A small seeded search of each candidate's parameters (Optuna, TPE), judged on an inner part of the training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna

from samovar.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from samovar.project import CandidateSpec

Dimension = Any
"""``("float" | "log" | "int", low, high)``, or a list of choices."""

SPACES: dict[str, dict[str, Dimension]] = {
    "logreg": {"C": ("log", 1e-2, 1e2)},
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


def search(  # noqa: PLR0913 - the sampler's and the storage's choices
    spec: CandidateSpec,
    score: Callable[[dict[str, Any]], float],
    *,
    seed: int,
    storage: str | None = None,
    study: str | None = None,
    on_trial: Callable[[int, float], None] = lambda _done, _best: None,
) -> dict[str, Any]:
    """Return the best parameters of a candidate, its fixed ones included.

    The first trial is the estimator's own defaults, so that a search never ends below them. A study in a storage that was
    interrupted goes on where it stopped.

    Args:
        spec: the candidate.
        score: parameters -> score, larger is better.
        seed: of the sampler.
        storage: Optuna storage URL; None is memory.
        study: name of the study in the storage.
        on_trial: told how many trials are done and the best score so far.
    """
    space = {name: dimension for name, dimension in space_of(spec).items() if name not in spec.params}
    fixed = dict(spec.params)
    if not space or spec.trials < 1:
        return fixed
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed)
    runs = optuna.create_study(direction="maximize", sampler=sampler, storage=storage, study_name=study, load_if_exists=True)

    def trial(one: optuna.Trial) -> float:
        chosen = {} if one.number == 0 else {name: _suggest(one, name, dimension) for name, dimension in space.items()}
        one.set_user_attr("params", chosen)
        return score(fixed | chosen)

    def told(study: optuna.Study, _one: optuna.trial.FrozenTrial) -> None:
        on_trial(len(_finished(study)), float(study.best_value))

    runs.optimize(trial, n_trials=max(0, spec.trials - len(_finished(runs))), callbacks=[told])
    return fixed | dict(runs.best_trial.user_attrs["params"])


def space_of(spec: CandidateSpec) -> Mapping[str, Dimension]:
    """What is searched: the kind's own space, or the custom candidate's."""
    return spec.space if spec.build is not None else SPACES.get(spec.kind, {})


def _finished(study: optuna.Study) -> list[Any]:
    return list(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))


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
