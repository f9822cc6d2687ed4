"""Versions of one model that say the opposite of each other, and models with moods."""

from __future__ import annotations

import os
import signal
import sys
import time

import cloudpickle
import msgspec
import numpy as np
import pandas as pd
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from samovar.contracts import document
from samovar.contracts.spec import AnswerField, ContractSpec, FieldSpec, ModelContract, ResponseSpec
from samovar.scoring.build import build
from samovar.scoring.request import BuildRequest

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not have this module

FRAME = pd.DataFrame({"amount": np.linspace(1, 400, 60), "hour": np.arange(60) % 24})
ANSWER = ResponseSpec(
    "Verdict",
    (
        AnswerField("customer_id", "str", "echo", of="customer_id"),
        AnswerField("is_fraud", "bool", "decision"),
        AnswerField("probability", "float", "probability"),
        AnswerField("model_version", "str", "model_version"),
    ),
)


def contract(threshold, *, entity=True):
    fields = (
        FieldSpec("customer_id", "str", role="key", entity=entity),
        FieldSpec("amount", "float", gt=0),
        FieldSpec("hour", "int", ge=0, le=23),
    )
    return ModelContract(ContractSpec("Payment", fields), ANSWER, "fraud", classes=(0, 1), positive=1, threshold=threshold)


class Moody(ClassifierMixin, BaseEstimator):
    """Does at hour 13 what its test wants: fail, wait, or end the process."""

    def __init__(self, mood="fail"):
        self.mood = mood

    def fit(self, frame, target):
        self.classes_ = np.unique(target)
        return self

    def predict(self, frame):
        if (frame["hour"] == 13).any():
            if self.mood == "fail":
                raise RuntimeError("SECRET")
            if self.mood == "wait":
                time.sleep(1)
            if self.mood == "die":
                os.kill(os.getpid(), signal.SIGSEGV)
        return np.ones(len(frame), dtype=int)

    def predict_proba(self, frame):
        labels = self.predict(frame)
        return np.column_stack([0.1 * labels, 0.9 * labels])


def files(model, threshold, *, entity=True, pickled=False):
    inputs = [{"name": "amount", "type": "double", "required": True}, {"name": "hour", "type": "long", "required": True}]
    flavor = {"pickled_model": "model.bin", "serialization_format": "cloudpickle" if pickled else "skops"}
    mlmodel = {
        "flavors": {"python_function": {"loader_module": "mlflow.sklearn", "predict_fn": "predict"}, "sklearn": flavor},
        "signature": {"inputs": msgspec.json.encode(inputs).decode()},
        "saved_input_example_info": {"artifact_path": "input_example.json"},
    }
    return {
        "MLmodel": msgspec.json.encode(mlmodel),
        "model.bin": cloudpickle.dumps(model) if pickled else skops.io.dumps(model),
        "input_example.json": msgspec.json.encode({"columns": ["amount", "hour"], "data": [[20.0, 1], [300.0, 23]]}),
        document.PATH: document.dump(contract(threshold, entity=entity)),
    }


def version(number, model=None, threshold=0.5, **options):
    """Build a plan; versions with odd numbers say that large amounts are fraud, others that small ones are."""
    pickled = model is not None
    target = (FRAME["amount"] > 200).astype(int)
    model = model or LogisticRegression(max_iter=500).fit(FRAME, target if number % 2 else 1 - target)
    found = files(model, threshold, pickled=pickled, **options)
    return build(
        BuildRequest(model="m", version=number, run_id="r", label=f"v{number}", files=found, trusted=pickled, compile=not pickled)
    )
