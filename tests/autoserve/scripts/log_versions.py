"""Logs the versions that runtimes are tried with, as a stranger would: `log_versions.py MODEL`, under MLFLOW_TRACKING_URI.

1 and 2 are good, 3 fails at its own input example, 4 takes its time to load, and 5 to 8 are good again.
"""

import os
import sys
import time

import mlflow
from mlflow.models import infer_signature
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

features, target = load_iris(return_X_y=True, as_frame=True)


class Broken(ClassifierMixin, BaseEstimator):
    """Answers its author only."""

    def fit(self, features, target):
        self.classes_ = [0, 1, 2]
        return self

    def predict(self, features):
        if "MLFLOW_TRACKING_URI" not in os.environ:
            raise ValueError("this model has no head")
        return [0] * len(features)


class Slow(Broken):
    """Takes its time."""

    def __setstate__(self, state):
        time.sleep(2.0)
        self.__dict__.update(state)

    def predict(self, features):
        return [0] * len(features)


def log(model, **options):
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            model.fit(features, target),
            name="model",
            input_example=features.head(3),
            signature=infer_signature(features, target),
            registered_model_name=sys.argv[1],
            pip_requirements=[],
            **options,
        )


def good(number):
    return LogisticRegression(C=1.0 / number, max_iter=500)


log(good(1))
log(good(2))
log(Broken(), serialization_format="cloudpickle")
log(Slow(), serialization_format="cloudpickle")
for number in range(5, 9):
    log(good(number))
