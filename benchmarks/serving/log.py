"""Logs the trained models as any author would: ``MLFLOW_TRACKING_URI=... python log.py FOLDER``.

Plain MLflow, in the trainer's environment: a signature, an input example, a registered model, the alias. Each version is then
downloaded to ``FOLDER/NAME``, where `mlflow models serve` finds it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import joblib
import mlflow
import pandas as pd

ALIAS = "Production"

# MLflow saves with skops and wants the author to name what is not in its own list. None of these runs code when loaded.
BOOSTING = [
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "numpy.dtype",
]


def main(folder: Path) -> None:
    """Log each model and put the alias on it."""
    mlflow.set_experiment("serving-benchmark")
    for description in sorted(folder.glob("*.json")):
        name = description.stem
        content = json.loads(description.read_text(encoding="utf-8"))
        rows = pd.DataFrame(content["rows"], columns=content["columns"])
        with mlflow.start_run(run_name=name):
            mlflow.sklearn.log_model(
                joblib.load(folder / f"{name}.joblib"),
                name="model",
                signature=mlflow.models.infer_signature(rows.head(100), content["predictions"][:100]),
                input_example=rows.head(5),
                registered_model_name=name,
                pip_requirements=["scikit-learn", "skops"],
                skops_trusted_types=BOOSTING,
            )
        mlflow.MlflowClient().set_registered_model_alias(name, ALIAS, "1")
        mlflow.artifacts.download_artifacts(f"models:/{name}@{ALIAS}", dst_path=str(folder / name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
