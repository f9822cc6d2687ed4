"""How good one set of parameters is, and what it costs: measured fold by fold, so that a poor one need not run to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline

from samovar.training import features
from samovar.training.bootstrap import estimate
from samovar.training.features import Cached
from samovar.training.metrics import value
from samovar.training.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from samovar.training.job import Job
    from samovar.training.search import Reached

Fold = tuple[np.ndarray, np.ndarray]

RUNG = 0
"""The first step of a trial: a quarter of the iterations on the first fold. The steps after it are the folds."""
_SHARE = 4
_BUDGETS = {"HistGradientBoostingClassifier": "max_iter", "RandomForestClassifier": "n_estimators", "MLPClassifier": "max_iter"}
_GOES_ON = {"HistGradientBoostingClassifier", "RandomForestClassifier"}
"""Estimators that go on from a quarter to just what they would have been without a stop."""
_ROUNDS = 200
_ONE_ERROR = 0.6827  # coverage of one standard error to either side


class Judge:
    """Judges parameters of one candidate.

    Args:
        job: metric, contract, labels, and the plan of the search.
        build: parameters -> unfitted estimator.
        rows: the training rows.
        truth: their class indices, shape (n,).
        folds: training and validation positions.
        rungs: whether there are enough trials for a stop at a quarter to pay.
    """

    def __init__(  # noqa: PLR0913 - what a judgement needs
        self,
        job: Job,
        build: Callable[[dict[str, Any]], Any],
        *,
        rows: pd.DataFrame,
        truth: np.ndarray,
        folds: Sequence[Fold],
        rungs: bool,
    ) -> None:
        self._job = job
        self._build = build
        self._rows = rows
        self._truth = truth
        self._folds = folds
        self._plan = job.search
        self._rungs = rungs and job.search.prune
        self._best = -np.inf

    def __call__(self, params: dict[str, Any], reached: Reached) -> dict[str, float]:
        """Return the figures of one set of parameters; see `samovar.training.search.Judge`."""
        estimator = self._build(params)
        parts: list[np.ndarray] = []
        for number, (others, fold) in enumerate(self._folds):
            stepped = self._stepped(estimator, others, fold, reached) if number == 0 and self._rungs else None
            parts.append(self._fold(estimator, others, fold) if stepped is None else stepped)
            if number + 1 < len(self._folds):
                reached(number + 1, value(self._job.metric, self._outcome(parts)))
        return self._figures(estimator, self._outcome(parts))

    def _figures(self, estimator: Any, outcome: Outcome) -> dict[str, float]:
        found = {"metric": value(self._job.metric, outcome)}
        if self._plan.objectives == ("metric",):
            return found
        if self._plan.tolerance is None and found["metric"] >= self._best:  # only the best trial's error is asked for
            self._best = found["metric"]
            spread = estimate(self._job.metric, outcome, seed=self._job.seed, confidence=_ONE_ERROR, rounds=_ROUNDS)
            found["error"] = (spread.high - spread.low) / 2
        from samovar.training import cost  # noqa: PLC0415 - the compiler, which a search for the metric alone does not need

        measured = cost.measure(features.whole(estimator), self._job.contract, self._rows.iloc[self._folds[-1][1]])
        return found | {"latency": measured.latency_us, "size": float(measured.size_bytes)}

    def _fold(self, estimator: Any, others: np.ndarray, fold: np.ndarray) -> np.ndarray:
        estimator.fit(self._rows.iloc[others], self._job.labels[others])
        return np.asarray(estimator.predict_proba(self._rows.iloc[fold]), dtype=np.float64)

    def _stepped(self, estimator: Any, others: np.ndarray, fold: np.ndarray, reached: Reached) -> np.ndarray | None:
        """Do a fold with a stop after a quarter of the model's iterations; None for a model that has none. Prepares once."""
        pipeline = estimator.pipeline if isinstance(estimator, Cached) else estimator
        if type(pipeline) is not Pipeline or (parameter := _BUDGETS.get(type(pipeline[-1]).__name__)) is None:
            return None
        model, labels = pipeline[-1], self._job.labels[others]
        if (budget := getattr(model, parameter)) < 2 * _SHARE:
            return None
        learn, see = _prepared(estimator, self._rows.iloc[others], labels, self._rows.iloc[fold])
        goes_on = type(model).__name__ in _GOES_ON
        model.set_params(**{parameter: budget // _SHARE}, **({"warm_start": True} if goes_on else {})).fit(learn, labels)
        reached(RUNG, value(self._job.metric, Outcome(self._truth[fold], model.predict_proba(see), self._job.positive)))
        model.set_params(**{parameter: budget}).fit(learn, labels)
        model.set_params(**{"warm_start": False} if goes_on else {})  # the next fold begins anew
        return np.asarray(model.predict_proba(see), dtype=np.float64)

    def _outcome(self, parts: list[np.ndarray]) -> Outcome:
        rows = np.concatenate([fold for _, fold in self._folds[: len(parts)]])
        return Outcome(self._truth[rows], np.concatenate(parts), self._job.positive)


def _prepared(estimator: Any, rows: pd.DataFrame, labels: np.ndarray, others: pd.DataFrame) -> tuple[Any, Any]:
    """Return rows that the estimator's preparation is fitted on, and others, as it makes them."""
    if isinstance(estimator, Cached):
        return estimator.prepare(rows, labels), estimator.features.apply(estimator.prepared_, others)
    preparation = estimator[:-1]
    return preparation.fit_transform(rows, labels), preparation.transform(others)
