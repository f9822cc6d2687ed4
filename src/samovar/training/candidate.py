"""One candidate from specification to fitted model: search, out-of-fold probabilities, calibration, final fit.

Runs in a process of its own, which imports neither mlflow nor polars.
"""

from __future__ import annotations

import importlib.metadata
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline

from samovar import encoders
from samovar.errors import ModelError
from samovar.training import builders, calibration, canonical, features, groups, importance, tokens
from samovar.training.features import Features
from samovar.training.job import Job, Progress, Trained
from samovar.training.judge import Judge
from samovar.training.metrics import value
from samovar.training.outcomes import Outcome, class_indices
from samovar.training.search import PATIENCE, Found, budget, search, space_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.project import CandidateSpec

_FOLDS = 3
_FEW = 2000
"""Below so many training rows a trial is judged on all folds, for one of them would be noise; above, on one fold."""
_LATENCY_CALLS = 15
_AFTER = 2  # steps after the search: out-of-fold answers, and the final fit


class Candidate:
    """The work on one candidate."""

    def __init__(self, job: Job, spec: CandidateSpec, report: Callable[[Progress], None]) -> None:
        self._job = job
        self._spec = spec
        self._report = report
        self._rows = pd.DataFrame(dict(job.train))
        self._held_out = pd.DataFrame(dict(job.held_out))
        self._held_out.index += len(self._rows)
        self._features = Features(job) if job.features is not None else None
        self._truth = class_indices(job.labels.tolist(), job.classes)
        self._folds = _folds(job, self._truth)
        self._total = budget(spec, job.search) + _AFTER

    def train(self) -> Trained:
        """Do all of it; raises what building or fitting the estimator raises."""
        warnings.simplefilter("ignore", ConvergenceWarning)  # a short search is meant to be short
        began = time.monotonic()
        found = self._search()
        self._tell(self._total - _AFTER)
        estimator = self._build(found.params)
        raw = self._out_of_fold(estimator)
        self._tell(self._total - 1)
        mended, method = calibration.mended(raw, estimator, self._folds, self._spec.calibration)
        if method is not None:
            estimator = calibration.calibrated(clone(estimator), self._folds, method)
        estimator.fit(self._rows, self._job.labels)
        trained = self._trained(found, estimator, mended, method or "none", began)
        self._tell(self._total, trained.selection)
        return trained

    def _trained(self, found: Found, estimator: Any, out_of_fold: Outcome, method: str, began: float) -> Trained:
        held_out = _probabilities(estimator, self._held_out)
        selection = value(self._job.metric, out_of_fold)
        if not (np.isfinite(selection) and np.isfinite(held_out).all()):
            raise ModelError("It gives probabilities that are no numbers, or its metric is not defined on the folds.")
        estimator = features.whole(estimator)
        model = canonical.dumps(estimator)
        return Trained(
            name=self._spec.name,
            kind=self._spec.kind,
            params=self._effective(found.params),
            model=model,
            types=canonical.untrusted_types(model),
            calibration=method,
            selection=selection,
            out_of_fold=out_of_fold,
            held_out=held_out,
            latency_ms=_latency(estimator, self._held_out),
            seconds=time.monotonic() - began,
            requirements=_requirements(estimator, model),
            trials=found.trials,
            chosen=found.chosen,
            reason=found.reason,
            permuted=self._permuted(estimator),
            tokens=tokens.top(estimator, self._job.contract),
        )

    def _permuted(self, estimator: Any) -> importance.Permuted | None:
        if self._job.asked is None:
            return None
        return importance.ask(estimator, self._held_out.iloc[self._job.asked], self._job.contract, self._job.seed)

    def _effective(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters found, and what the estimator uses for the searched ones that stayed at its defaults."""
        built = features.whole(self._build(params))
        own = built[-1].get_params() if isinstance(built, Pipeline) else {}
        return {name: own[name] for name in space_of(self._spec) if name in own} | params

    def _search(self) -> Found:
        judged = self._folds if len(self._rows) < _FEW else self._folds[:1]
        rungs = self._total - _AFTER > PATIENCE
        judge = Judge(self._job, self._build, rows=self._rows, truth=self._truth, folds=judged, rungs=rungs)
        return search(
            self._spec,
            judge,
            seed=self._job.seed,
            plan=self._job.search,
            storage=self._job.storage,
            study=f"{self._job.study}-{self._spec.name}",
            on_trial=self._tell,
        )

    def _build(self, params: dict[str, Any]) -> Any:
        built = builders.build(self._spec, self._job.contract, params, self._job.seed)
        return features.cached(built, self._features)

    def _out_of_fold(self, estimator: Any) -> Outcome:
        probabilities = np.empty((len(self._rows), len(self._job.classes)))
        for others, fold in self._folds:
            probabilities[fold] = self._fold(estimator, others, fold)
        return self._outcome(np.arange(len(self._rows)), probabilities)

    def _fold(self, estimator: Any, others: np.ndarray, fold: np.ndarray) -> np.ndarray:
        fitted = estimator.fit(self._rows.iloc[others], self._job.labels[others])
        return _probabilities(fitted, self._rows.iloc[fold])

    def _outcome(self, rows: np.ndarray, probabilities: np.ndarray) -> Outcome:
        return Outcome(self._truth[rows], probabilities, self._job.positive)

    def _tell(self, done: int, best: float | None = None) -> None:
        self._report(Progress(self._spec.name, done, self._total, best))


def _folds(job: Job, truth: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds of training rows: spans of time where there is time, else whole blocks of groups where there are groups.

    Rows that share a group with a fold are not learned from for it.

    Rows of one episode lie side by side; a shuffle would put some of them into either part, and out-of-fold figures, thresholds
    and calibration would be those of a model that has seen the answers.
    """
    how = {} if job.timed else {"shuffle": True, "random_state": job.seed}
    if job.groups is None:
        return list(StratifiedKFold(_FOLDS, **how).split(truth, truth))
    blocks = None if job.timed else groups.blocks(job.groups)[0]
    kind = StratifiedKFold if job.timed else StratifiedGroupKFold
    folds = kind(_FOLDS, **how).split(truth, truth, blocks)
    return [(groups.apart(job.groups, others, fold), fold) for others, fold in folds]


def _probabilities(estimator: Any, rows: pd.DataFrame) -> np.ndarray:
    return np.asarray(estimator.predict_proba(rows), dtype=np.float64)


def _latency(estimator: Any, rows: pd.DataFrame) -> float:
    """Median milliseconds of one one-row prediction."""
    times = []
    for position in range(_LATENCY_CALLS):
        row = rows.iloc[[position % len(rows)]]
        began = time.perf_counter()
        estimator.predict_proba(row)
        times.append(time.perf_counter() - began)
    return float(np.median(times) * 1000)


def _requirements(estimator: Any, model: bytes) -> dict[str, str]:
    """Distributions to pin: those that every model needs, and those that its own types come from."""
    modules = {"sklearn", "skops", "numpy", "pandas", type(estimator).__module__.partition(".")[0]}
    modules |= {name.partition(".")[0] for name in canonical.untrusted_types(model)}
    owners = importlib.metadata.packages_distributions()
    names = {name for module in modules for name in owners.get(module, ())} - {"samovar"}
    names |= encoders.distributions(canonical.untrusted_types(model))
    return {name: importlib.metadata.version(name) for name in sorted(names)}
