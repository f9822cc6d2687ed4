"""A scikit-learn model as the folder that ``mlflow.sklearn.save_model`` writes, made in memory and without importing mlflow.

The format is MLflow's public one (https://mlflow.org/docs/latest/ml/model/): stock ``mlflow.pyfunc.load_model``, ``mlflow models
serve`` and MLflow's UI read it, and a test holds it to that. Made here, the same model gives the same bytes: no random id, no
clock, no temporary directory.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

MODEL_FILE = "model.skops"


@dataclass(frozen=True, slots=True)
class SklearnModel:
    """What goes into the folder.

    Attributes:
        data: the estimator as skops bytes.
        types: types in it that skops does not vouch for.
        inputs: signature columns, as MLflow's ``ColSpec`` JSON.
        output: MLflow's type of a prediction.
        example: a few rows, column -> values, each a JSON scalar.
        requirements: distribution -> version.
        run_id: the run that logs it.
        made_at: when it was trained.
        extra: further files of the folder, path -> content.
    """

    data: bytes
    types: Sequence[str]
    inputs: Sequence[Mapping[str, Any]]
    output: str
    example: Mapping[str, Sequence[Any]]
    requirements: Mapping[str, str]
    run_id: str
    made_at: dt.datetime
    extra: Mapping[str, bytes] = field(default_factory=dict)


def folder(model: SklearnModel) -> dict[str, bytes]:
    """Return path -> content."""
    requirements = [
        f"mlflow=={_version('mlflow')}",
        *(f"{name}=={version}" for name, version in sorted(model.requirements.items())),
    ]
    split = {"columns": list(model.example), "data": [list(row) for row in zip(*model.example.values(), strict=True)]}
    return {
        "MLmodel": _yaml(_mlmodel(model)),
        MODEL_FILE: model.data,
        "requirements.txt": "\n".join(requirements).encode(),
        "python_env.yaml": _yaml(
            {"python": platform.python_version(), "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
        ),
        "conda.yaml": _yaml(
            {
                "channels": ["conda-forge"],
                "dependencies": [f"python={platform.python_version()}", "pip", {"pip": requirements}],
                "name": "mlflow-env",
            }
        ),
        "input_example.json": json.dumps(split).encode(),
        "serving_input_example.json": json.dumps({"dataframe_split": split}).encode(),
        **model.extra,
    }


def _mlmodel(model: SklearnModel) -> dict[str, Any]:
    return {
        "artifact_path": "model",
        "flavors": {
            "python_function": {
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.sklearn",
                "model_path": MODEL_FILE,
                "predict_fn": "predict",
                "python_version": platform.python_version(),
            },
            "sklearn": {
                "code": None,
                "pickled_model": MODEL_FILE,
                "serialization_format": "skops",
                "skops_trusted_types": list(model.types),
                "sklearn_version": _version("scikit-learn"),
            },
        },
        "mlflow_version": _version("mlflow"),
        "model_size_bytes": len(model.data),
        "model_uuid": uuid.uuid5(uuid.NAMESPACE_URL, f"samovar:{model.run_id}").hex,
        "run_id": model.run_id,
        "saved_input_example_info": {
            "artifact_path": "input_example.json",
            "pandas_orient": "split",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
        },
        "signature": {
            "inputs": json.dumps([dict(column) for column in model.inputs]),
            "outputs": json.dumps([{"type": model.output, "required": True}]),
            "params": None,
        },
        "utc_time_created": model.made_at.strftime("%Y-%m-%d %H:%M:%S.%f"),
    }


def _version(distribution: str) -> str:
    return importlib.metadata.version(distribution)


def _yaml(document: Any) -> bytes:
    return msgspec.yaml.encode(document)
