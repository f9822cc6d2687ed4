"""Logs a logistic regression with plain MLflow, twice: two versions that answer differently."""

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

features, target = load_iris(return_X_y=True, as_frame=True)
for strength in (1.0, 1e-4):
    with mlflow.start_run():
        model = LogisticRegression(C=strength, max_iter=500).fit(features, target)
        mlflow.sklearn.log_model(model, name="model", input_example=features.head(3), registered_model_name="plain-logreg")
