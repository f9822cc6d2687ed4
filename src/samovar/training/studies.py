"""Optuna studies in a storage that processes share and die on."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
import warnings
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.samplers import BaseSampler, TPESampler

from samovar.errors import StoreUnavailable
from samovar.store import claimants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, TrialState

_HEARTBEAT = 10  # seconds; for processes of other hosts, which cannot be asked whether they live
_GRACE = 60
_ATTEMPTS = 5
_SQLITE_WAIT = 60  # seconds that one writer waits for another


def open_study(storage: str | None, name: str | None, directions: Sequence[str], seed: int) -> optuna.Study:
    """Open a study, made if it is not there; raises StoreUnavailable."""
    if storage is None:
        return optuna.create_study(directions=list(directions), sampler=TPESampler(seed=seed))
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return optuna.create_study(
                study_name=name,
                storage=_open(storage),
                directions=list(directions),
                sampler=_ByNumber(seed),
                load_if_exists=True,
            )
        except Exception as error:  # noqa: BLE001 - two make the tables at once: one fails, however its database says so
            if attempt == _ATTEMPTS:
                raise StoreUnavailable(
                    f"The search's storage cannot be used ({type(error).__name__}).",
                    remedy="Check OPTUNA_STORAGE, and that the database it names can be reached.",
                ) from None
            time.sleep(0.05 * 2**attempt)
    raise AssertionError


def bury(study: optuna.Study) -> None:
    """Fail trials whose process is dead, and put their parameters first in the queue."""
    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    for one in running:
        if _dead(one):
            with contextlib.suppress(ValueError, UpdateFinishedTrialError):  # another process buried it first
                study.tell(one.number, state=optuna.trial.TrialState.FAIL)
                _again(study, one)
    if running:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)


def _dead(one: FrozenTrial) -> bool:
    claimant = one.user_attrs.get("claimant")
    if claimant is None:  # killed between two statements, unless it is at work on the second one now
        return one.datetime_start is not None and dt.datetime.now() - one.datetime_start > dt.timedelta(seconds=_GRACE)  # noqa: DTZ005 - as Optuna writes it
    return claimants.alive(claimant) is False


def _again(study: optuna.Study, one: FrozenTrial) -> None:
    attributes = {"again": one.number, "defaults": one.user_attrs.get("params") == {} or one.number == 0}
    study.enqueue_trial(dict(one.params), user_attrs=attributes)


def _open(storage: str) -> optuna.storages.RDBStorage:
    options: dict[str, Any] = {"connect_args": {"timeout": _SQLITE_WAIT}} if storage.startswith("sqlite") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.storages.RDBStorage(
            storage,
            engine_kwargs=options | {"pool_pre_ping": True},
            heartbeat_interval=_HEARTBEAT,
            grace_period=_GRACE,
            heartbeat_stale_trial_callback=_again,
        )


class _ByNumber(BaseSampler):
    """TPE with a seed of each trial's own: processes that share a study, or begin it again, do not draw the same numbers."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._inner: BaseSampler = TPESampler(seed=seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._inner = TPESampler(seed=(self._seed + 7919 * trial.number) % 2**32)
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        found: dict[str, BaseDistribution] = self._inner.infer_relative_search_space(study, trial)
        return found

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        found: dict[str, Any] = self._inner.sample_relative(study, trial, search_space)
        return found

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._inner.after_trial(study, trial, state, values)
