"""Logs a random forest; MLflow wants its tree types named before it saves them with skops."""

import mlflow
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier

features, target = load_wine(return_X_y=True, as_frame=True)
with mlflow.start_run():
    model = RandomForestClassifier(n_estimators=30, random_state=0).fit(features, target)
    mlflow.sklearn.log_model(
        model,
        name="model",
        input_example=features.head(3),
        registered_model_name="Wine Forest",
        skops_trusted_types=["sklearn.tree._tree.Tree"],
    )
