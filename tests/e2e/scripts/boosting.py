"""Logs a gradient boosting over numbers and a category, as a pipeline."""

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

random = np.random.default_rng(0)
shops = random.choice(["a", "b", "c"], 800)
features = pd.DataFrame({"amount": random.gamma(2, 40, 800), "hour": random.integers(0, 24, 800), "shop": shops})
target = np.where((features["amount"] > 120) & (features["shop"] == "b"), "odd", "usual")
encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["shop"]), remainder="passthrough")
with mlflow.start_run():
    model = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=40, random_state=0)).fit(features, target)
    mlflow.sklearn.log_model(
        model,
        name="model",
        signature=infer_signature(features, target),
        input_example=features.head(3),
        registered_model_name="boosting",
        skops_trusted_types=[
            "sklearn.compose._column_transformer._RemainderColsList",
            "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
            "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
            "sklearn._loss.link.Interval",
            "sklearn._loss.link.LogitLink",
            "sklearn._loss.loss.HalfBinomialLoss",
            "sklearn._loss._loss.CyHalfBinomialLoss",
            "numpy.dtype",
        ],
    )
