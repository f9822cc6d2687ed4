"""Models as people log them: plain mlflow into a folder, whose files a registry would hand out."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

if TYPE_CHECKING:
    from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

TREE = "sklearn.tree._tree.Tree"
BOOSTED = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"


@dataclass
class Logged:
    """One model folder."""

    folder: Path
    frame: Any
    trusted: bool = False
    files: dict[str, bytes] = field(init=False)

    def __post_init__(self):
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        self.files = {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}


def iris():
    from sklearn.datasets import load_iris

    return load_iris(return_X_y=True, as_frame=True)


def shop(rows=120):
    """A mixed frame: numbers with gaps, integers, booleans, categories."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "amount": rng.gamma(2.0, 30.0, rows),
            "hour": rng.integers(0, 24, rows),
            "member": rng.random(rows) < 0.5,
            "category": rng.choice(["grocery", "travel", "fuel"], rows),
        }
    )
    frame.loc[::9, "amount"] = np.nan
    return frame, (frame["amount"].fillna(0) + 3 * frame["hour"] > 95).astype(int)


def shop_pipeline(model):
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    columns = make_column_transformer(
        (SimpleImputer(), ["amount", "hour"]), (OneHotEncoder(handle_unknown="ignore"), ["category"]), ("passthrough", ["member"])
    )
    return make_pipeline(columns, model)


def _logreg(folder):
    from sklearn.linear_model import LogisticRegression

    frame, target = iris()
    return _sklearn(folder, LogisticRegression(max_iter=500).fit(frame, target), frame)


def _forest(folder):
    from sklearn.ensemble import RandomForestClassifier

    frame, target = shop()
    model = shop_pipeline(RandomForestClassifier(12, random_state=0, n_jobs=-1)).fit(frame, target)
    return _sklearn(folder, model, frame, skops_trusted_types=[TREE, "numpy.dtype"])


def _boosting(folder):
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame, target = shop()
    model = shop_pipeline(HistGradientBoostingClassifier(max_iter=12, random_state=0)).fit(frame, target)
    return _sklearn(folder, model, frame, skops_trusted_types=[BOOSTED, "numpy.dtype"])


def _regression(folder):
    from sklearn.ensemble import GradientBoostingRegressor

    frame, _ = shop()
    model = shop_pipeline(GradientBoostingRegressor(n_estimators=10)).fit(frame, frame["hour"] * 0.5)
    return _sklearn(folder, model, frame, skops_trusted_types=[TREE, "numpy.dtype"])


def _text(folder):
    from sklearn.compose import make_column_transformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    frame = pd.DataFrame({"review": ["a good book", "a bad book", "so good", "very bad", "good", "bad"] * 4})
    model = make_pipeline(make_column_transformer((TfidfVectorizer(), "review")), LogisticRegression())
    return _sklearn(folder, model.fit(frame, ["pos", "neg"] * 12), frame)


def _tensor(folder):
    from sklearn.linear_model import LogisticRegression

    frame, target = iris()
    array = frame.to_numpy()
    return _sklearn(folder, LogisticRegression(max_iter=500).fit(array, target), array)


def _bare(folder):
    """No signature, no example."""
    from mlflow import sklearn
    from sklearn.linear_model import LogisticRegression

    frame, target = iris()
    sklearn.save_model(LogisticRegression(max_iter=500).fit(frame, target), folder, pip_requirements=[])
    return Logged(folder, frame)


def _proba(folder):
    from sklearn.linear_model import LogisticRegression

    frame, target = iris()
    return _sklearn(folder, LogisticRegression(max_iter=500).fit(frame, target), frame, pyfunc_predict_fn="predict_proba")


def _cloudpickle(folder):
    from sklearn.linear_model import LogisticRegression

    frame, target = iris()
    model = LogisticRegression(max_iter=500).fit(frame, target)
    return _sklearn(folder, model, frame, trusted=True, serialization_format="cloudpickle")


def _custom(folder):
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

    class Doubler(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return pd.DataFrame({"twice": model_input["x"] * 2 + (params or {}).get("offset", 0)})

    signature = ModelSignature(Schema([ColSpec("double", "x")]), params=ParamSchema([ParamSpec("offset", "long", 0)]))
    frame = pd.DataFrame({"x": [1.0, 2.5]})
    options = {"signature": signature, "input_example": frame, "pip_requirements": []}
    mlflow.pyfunc.save_model(folder, python_model=Doubler(), **options)
    return Logged(folder, frame, trusted=True)


def _sklearn(folder, model, data, *, trusted=False, **options):
    import mlflow.sklearn
    from mlflow.models import infer_signature

    options.setdefault("signature", infer_signature(data, model.predict(data)))
    mlflow.sklearn.save_model(model, folder, input_example=data[:3], pip_requirements=[], **options)
    return Logged(folder, data, trusted)


MAKERS = {
    "logreg": _logreg,
    "forest": _forest,
    "boosting": _boosting,
    "regression": _regression,
    "text": _text,
    "tensor": _tensor,
    "bare": _bare,
    "proba": _proba,
    "cloudpickle": _cloudpickle,
    "custom": _custom,
}


@pytest.fixture(scope="session")
def logged(tmp_path_factory):
    """Return a function from a model's name to its folder, saved once."""
    made: dict[str, Logged] = {}

    def get(name):
        if name not in made:
            made[name] = MAKERS[name](tmp_path_factory.mktemp("models") / name)
        return made[name]

    return get


@pytest.fixture(scope="session")
def saved_skops(tmp_path_factory):
    """Return a function that saves any estimator as a model folder whose author trusts everything in it."""

    def save(model, trusted_types=(), serialised=None):
        import skops.io
        import yaml

        folder = tmp_path_factory.mktemp("skops") / "model"
        folder.mkdir()
        (folder / "model.skops").write_bytes(serialised or skops.io.dumps(model))
        flavors = {
            "python_function": {"loader_module": "mlflow.sklearn", "model_path": "model.skops", "predict_fn": "predict"},
            "sklearn": {
                "pickled_model": "model.skops",
                "serialization_format": "skops",
                "skops_trusted_types": list(trusted_types),
            },
        }
        (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
        return Logged(folder, None)

    return save


@pytest.fixture(scope="session")
def zoo():
    """The program that visits the zoo, as a module."""
    import importlib.util
    import sys
    from pathlib import Path

    spec = importlib.util.spec_from_file_location("zoo", Path(__file__).parents[2] / "benchmarks" / "zoo.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["zoo"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["zoo"]
