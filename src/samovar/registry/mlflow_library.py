"""The only place that imports the ``mlflow`` package: its model format, and artifact stores that a server does not proxy."""

from __future__ import annotations

import os
from typing import Any


def library(timeout: float = 10.0) -> Any:
    """Import mlflow, made quiet and bounded first: it reads these variables on import, and its defaults wait for minutes."""
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, round(timeout))),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: PLC0415 - two seconds and 125 MB, only where needed

    return mlflow


def artifact_repository(uri: str, tracking_uri: str, timeout: float) -> Any:
    """MLflow's own reader and writer of one artifact store (S3, GCS, Azure, a folder, another server's proxy, ...)."""
    library(timeout)
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository  # noqa: PLC0415

    return get_artifact_repository(uri, tracking_uri=tracking_uri)
