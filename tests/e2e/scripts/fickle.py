"""Logs one model in many versions with plain MLflow: the first ones are good, and each of the others breaks in its own way.

Prints the versions by name, as JSON. The models are their author's own classes, as a pickle holds them.
"""

import json
import os
import signal
import sys
import time
import types

import mlflow
import numpy as np
from mlflow.models import infer_signature
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

features, target = load_iris(return_X_y=True, as_frame=True)
GONE = types.ModuleType("library_that_is_not_there")
exec("class Away:\n    pass", GONE.__dict__)
sys.modules[GONE.__name__] = GONE


class Fickle(ClassifierMixin, BaseEstimator):
    """Answers one number always; ``way`` says what it does besides."""

    def __init__(self, answer=0, way="", away=None):
        self.answer, self.way, self.away = answer, way, away

    def fit(self, features, target):
        """Learn nothing."""
        self.classes_ = np.unique(target)
        return self

    def __setstate__(self, state):
        """Break while being loaded."""
        self.__dict__.update(state)
        if "FICKLE_IS_LOGGED" in os.environ:
            return
        if self.way == "raises at load":
            raise ValueError("this model cannot be loaded")
        if self.way == "hangs at load":
            time.sleep(3600)
        if self.way == "segfaults":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.way == "eats":
            self.eaten = [np.ones(4_000_000) for _ in range(100)]  # 3.2 GB: more than it may, less than this machine has
            time.sleep(3600)

    def predict(self, features):
        """Break while answering, but not for MLflow, which asks for an answer to the example while it logs."""
        if "FICKLE_IS_LOGGED" in os.environ:
            return np.full(len(features), self.answer)
        if self.way == "raises at predict":
            raise ValueError("this model does not answer")
        if self.way == "hangs at predict":
            time.sleep(3600)
        if self.way == "segfaults later" and np.asarray(features)[0, 0] > 600:
            os.kill(os.getpid(), signal.SIGSEGV)
        return np.full(len(features), self.answer)


def log(model, name, **more):
    """Log a version; returns its number."""
    with mlflow.start_run():
        made = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(features, target),
            input_example=features.head(3),
            pip_requirements=["scikit-learn"],
            registered_model_name=name,
            **more,
        )
    return int(made.registered_model_version)


def pickled(model):
    """Log a version of the model that breaks."""
    return log(model, "fickle", serialization_format="cloudpickle")


WAYS = ["raises at load", "raises at predict", "hangs at load", "hangs at predict", "segfaults", "segfaults later", "eats"]
versions = {f"good {number}": pickled(Fickle(number).fit(features, target)) for number in (1, 2)}
versions["raises at import"] = pickled(Fickle(3, away=GONE.Away()).fit(features, target))
versions |= {way: pickled(Fickle(9, way=way).fit(features, target)) for way in WAYS}
log(LogisticRegression(max_iter=500).fit(features, target), "plain")
client = mlflow.MlflowClient()
source = client.get_model_version("plain", "1")
logged = source.source.rpartition("/")[2]
for _ in range(60):
    client.create_model_version("plain", source.source, source.run_id, await_creation_for=0, model_id=logged)
json.dump(versions, sys.stdout)
