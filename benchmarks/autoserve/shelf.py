"""Versions to swap between: the reference models of the serving benchmark, each version with weights of its own.

A version is made by moving the fitted weights a little (a bias and a noise, by a seed), so that it answers differently from every
other one; what the native model answers to some fixed rows is kept beside it, and an endpoint that answers anything else serves
the wrong version. Files are written into the artifact store of a local MLflow server, and registered through its REST protocol,
as its stock client does it; only the upload is saved.
"""

from __future__ import annotations

import copy
import io
import subprocess
import sys
import tempfile
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import mlflow
import numpy as np
import pandas as pd
import skops.io
from benchmarks.serving import bodies, environments
from benchmarks.serving.log import BOOSTING as TYPES
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from benchmarks import figures

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

WORK = figures.ROOT / "build/bench"
NAMES = ("fraud", "iris", "sentiment")
ASKED = 200
"""Rows by whose answers a version is known."""


@dataclass(frozen=True)
class Made:
    """One registered version.

    Attributes:
        model: registered model.
        version: its number.
        asked: body of a request for the fixed rows.
        answers: what the native model answers to them.
    """

    model: str
    version: int
    asked: bytes = field(repr=False)
    answers: list[Any] = field(repr=False)


class Kind:
    """One reference model, from which versions are made.

    Args:
        folder: where the trainer wrote.
        name: fraud, iris or sentiment.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.content = bodies.read(folder, name)
        self.fitted: Pipeline = _words(self.content) if name == "sentiment" else joblib.load(folder / f"{name}.joblib")
        self._files = self._saved()
        self._model_file = next(path for path in self._files if path.endswith(".skops"))
        self._members = _members(self._files[self._model_file])

    def _saved(self) -> dict[str, bytes]:
        """Have MLflow write a model folder once; each version's differs only in the weights."""
        rows = pd.DataFrame(self.content.rows[:200], columns=self.content.columns)
        with tempfile.TemporaryDirectory() as private, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            saved = Path(private, "model")
            mlflow.sklearn.save_model(
                self.fitted,
                saved,
                signature=mlflow.models.infer_signature(rows, self.content.predictions[:200]),
                input_example=rows.head(5),
                pip_requirements=["scikit-learn", "skops"],
                skops_trusted_types=TYPES,
            )
            return {path.name: path.read_bytes() for path in saved.iterdir()}

    def make(self, seed: int) -> tuple[dict[str, bytes], bytes, list[Any]]:
        """Make a version: its files, a request, and what the native model answers to it."""
        model, changed = _moved(self.fitted, np.random.default_rng(seed))
        content = _patched(self._members, changed) if changed else skops.io.dumps(model)
        start = seed * 31 % (len(self.content.rows) - ASKED)
        rows = self.content.rows[start : start + ASKED]
        frame = pd.DataFrame(rows, columns=self.content.columns)
        return self._files | {self._model_file: content}, bodies.split(self.content, rows), model.predict(frame).tolist()


def _words(content: bodies.Model) -> Pipeline:
    """TF-IDF of 5,000 words and a logistic regression, on what the large model says of reviews it never saw."""
    texts = pd.DataFrame(content.rows, columns=content.columns)
    words = TfidfVectorizer(max_features=5_000, sublinear_tf=True, min_df=2)
    steps = [("text", ColumnTransformer([("review", words, content.columns[0])])), ("model", LogisticRegression(max_iter=1_000))]
    return Pipeline(steps).fit(texts, content.predictions)


def _moved(fitted: Pipeline, rng: np.random.Generator) -> tuple[Pipeline, list[tuple[Array, Array]]]:
    """Return the same steps with other weights: a noise on each and a bias on all, so that decisions differ.

    Where the last step is linear, also which array became which.
    """
    last = fitted[-1]
    if hasattr(last, "coef_"):
        linear = copy.copy(last)
        linear.coef_ = last.coef_ * rng.normal(1.0, 0.1, last.coef_.shape)
        linear.intercept_ = last.intercept_ + rng.normal(0.0, 0.7, last.intercept_.shape)
        changed = [(last.coef_, linear.coef_), (last.intercept_, linear.intercept_)]
        return Pipeline([*fitted.steps[:-1], ("model", linear)]), changed
    trees = copy.deepcopy(last)
    for stage in trees._predictors:  # noqa: SLF001 - scikit-learn shows the leaves nowhere else
        for tree in stage:
            tree.nodes["value"] *= rng.normal(1.0, 0.1, len(tree.nodes))
    trees._baseline_prediction = last._baseline_prediction + rng.uniform(0.5, 3.5)  # noqa: SLF001
    return Pipeline([*fitted.steps[:-1], ("model", trees)]), []


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _patched(members: dict[str, bytes], changed: list[tuple[Array, Array]]) -> bytes:
    """Write a skops file with other weights: what skops itself would write, without its seconds for a vocabulary."""
    replaced = {_npy(before): _npy(after) for before, after in changed}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, replaced.pop(content, content))
    if replaced:
        raise RuntimeError("the weights were not found in the file that skops wrote")
    return out.getvalue()


def _npy(array: Array) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def kinds(*, quick: bool) -> dict[str, Kind]:
    """Return the reference models; they are trained when nobody did it yet."""
    folder = WORK / "serving" / ("quick" if quick else "models")
    if not all((folder / f"{name}.json").exists() for name in NAMES):
        trainer = Path(bodies.__file__).with_name("train.py")
        python = sys.executable if quick else environments.python("train")
        subprocess.run([python, str(trainer), str(folder), *(["--quick"] if quick else [])], check=True)
    return {name: Kind(folder, name) for name in NAMES}


class Shelf:
    """Puts versions into a local MLflow server.

    Args:
        address: of the server.
        artifacts: folder in which it keeps artifacts.
        made_of: the reference models.
    """

    def __init__(self, address: str, artifacts: Path, made_of: dict[str, Kind]) -> None:
        self.address = address
        self.client = mlflow.MlflowClient(address)
        self.kinds = made_of
        self._artifacts = artifacts
        self._seed = 0
        self._names: set[str] = set()
        self._experiment = self.client.create_experiment(f"autoserve-benchmark-{id(self)}")

    def put(self, kind: str, model: str | None = None) -> Made:
        """Register one more version of a kind, by default under the kind's own name."""
        self._seed += 1
        run = self.client.create_run(self._experiment)
        folder = self._artifacts / str(run.info.artifact_uri).removeprefix("mlflow-artifacts:/") / "model"
        files, asked, answers = self.kinds[kind].make(self._seed)
        folder.mkdir(parents=True)
        for path, content in files.items():
            (folder / path).write_bytes(content)
        name = model or kind
        if name not in self._names:
            self.client.create_registered_model(name)
            self._names.add(name)
        source = f"{run.info.artifact_uri}/model"
        version = self.client.create_model_version(name, source, run.info.run_id, await_creation_for=0)
        return Made(name, int(version.version), asked, answers)
