"""A model folder made by Samovar is one for stock MLflow: its loader, its signature, its input example."""

from __future__ import annotations

import datetime as dt

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from sklearn.ensemble import HistGradientBoostingClassifier

from samovar.registry import runs
from samovar.registry.client import Registry
from samovar.registry.model_folder import SklearnModel, folder
from samovar.training import canonical

ROWS = pd.DataFrame({"x": [0.1, 0.2, 0.9, 0.8] * 20, "n": [1, 2, 3, 4] * 20})
LABELS = ["low", "low", "high", "high"] * 20


@pytest.fixture(scope="module")
def estimator():
    return HistGradientBoostingClassifier(max_iter=5, random_state=1).fit(ROWS, LABELS)


def described(estimator, run_id="0" * 32):
    data = canonical.dumps(estimator)
    return SklearnModel(
        data=data,
        types=canonical.untrusted_types(data),
        inputs=[{"name": "x", "type": "double", "required": True}, {"name": "n", "type": "long", "required": True}],
        output="string",
        example={"x": [0.1, 0.9], "n": [1, 3]},
        requirements={"scikit-learn": "1.9.1"},
        run_id=run_id,
        made_at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        extra={"data_contract/input_schema.json": b"{}"},
    )


@pytest.fixture
def local(estimator, tmp_path):
    for path, content in folder(described(estimator)).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    return tmp_path


def test_stock_mlflow_loads_it_and_it_answers_alike(estimator, local):
    loaded = mlflow.pyfunc.load_model(str(local))
    assert loaded.predict(ROWS).tolist() == estimator.predict(ROWS).tolist()
    native = mlflow.sklearn.load_model(str(local))
    assert np.array_equal(native.predict_proba(ROWS), estimator.predict_proba(ROWS))


def test_stock_mlflow_enforces_the_signature(local):
    loaded = mlflow.pyfunc.load_model(str(local))
    with pytest.raises(MlflowException, match="missing"):
        loaded.predict(ROWS[["x"]])


def test_stock_mlflow_reads_the_input_example_and_the_environment(local):
    model = Model.load(str(local))
    assert model.load_input_example(str(local)).to_dict("list") == {"x": [0.1, 0.9], "n": [1, 3]}
    assert str(model.get_output_schema()) == "[string (required)]"
    assert mlflow.pyfunc.get_model_dependencies(str(local)).endswith("requirements.txt")


def test_the_same_model_gives_the_same_bytes(estimator):
    again = HistGradientBoostingClassifier(max_iter=5, random_state=1).fit(ROWS, LABELS)
    assert folder(described(estimator)) == folder(described(again))
    assert folder(described(estimator)) != folder(
        described(HistGradientBoostingClassifier(max_iter=6, random_state=1).fit(ROWS, LABELS))
    )


def test_a_registered_folder_is_found_by_its_alias_with_the_stock_client(estimator, mlflow_server):
    registry = Registry(mlflow_server)
    run = runs.begin(registry, runs.experiment(registry, "folders"), "one", {})
    runs.log_files(registry, run, {f"model/{path}": content for path, content in folder(described(estimator, run.run_id)).items()})
    runs.log(registry, run, {f"p{index}": index for index in range(150)}, {f"m{index}": index for index in range(150)})
    runs.log_dataset(registry, run, name="flowers", digest="d" * 64, source="lake/flowers.parquet", rows=80)
    runs.finish(registry, run)
    registry.ensure_model("folders")
    registry.create_version("folders", source=f"{run.artifact_uri}/model", run_id=run.run_id, tags={})
    registry.set_alias("folders", "Production", 1)
    registry.close()
    mlflow.set_tracking_uri(mlflow_server)
    assert mlflow.pyfunc.load_model("models:/folders@Production").predict(ROWS).tolist() == estimator.predict(ROWS).tolist()
    found = mlflow.get_run(run.run_id)
    assert (len(found.data.params), len(found.data.metrics), found.info.status) == (150, 150, "FINISHED")
    assert found.inputs.dataset_inputs[0].dataset.name == "flowers"
