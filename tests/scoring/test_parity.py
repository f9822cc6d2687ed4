"""An engine answers what mlflow's own pyfunc answers."""

import json

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc import scoring_server

from samovar.scoring import invocations
from samovar.scoring.engine import Call, open_engine
from samovar.scoring.load import load_plan

TABULAR = ("logreg", "forest", "boosting", "regression", "text", "proba", "cloudpickle", "custom", "bare")


def engine_of(model):
    return open_engine(load_plan(model.files, "m", 1, trusted=model.trusted))


def theirs(model, frame, **options):
    answer = mlflow.pyfunc.load_model(str(model.folder)).predict(frame, **options)
    return answer.to_dict("records") if isinstance(answer, pd.DataFrame) else np.asarray(answer).tolist()


def split(frame):
    return json.loads(frame.to_json(orient="split", double_precision=15)) | {"index": list(range(len(frame)))}


@pytest.mark.parametrize("name", TABULAR)
def test_frames_score_as_with_mlflow(logged, name):
    """The rows of a frame, as split and as records, score as ``mlflow.pyfunc`` scores the frame."""
    model = logged(name)
    frame, engine = model.frame.head(40), engine_of(model)
    table = split(frame)
    # What travels as JSON is compared, so that no float is rounded on the way of one side only.
    travelled = pd.DataFrame(table["data"], columns=table["columns"]).astype(frame.dtypes.to_dict())
    expected = theirs(model, travelled)
    records = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert engine.invoke(Call("dataframe_split", table)) == expected
    assert engine.invoke(Call("dataframe_records", records)) == expected


@pytest.mark.parametrize("name", ["logreg", "forest", "boosting", "text", "custom"])
def test_columns_and_instances_score_as_with_mlflow(logged, name):
    """A mapping of columns and a list of records are the same rows."""
    model = logged(name)
    frame, engine = model.frame.dropna().head(10), engine_of(model)
    expected = theirs(model, frame)
    columns = {column: frame[column].tolist() for column in frame}
    assert engine.invoke(Call("inputs", columns)) == expected
    assert engine.invoke(Call("instances", frame.to_dict("records"))) == expected


@pytest.mark.parametrize("name", ["logreg", "forest", "boosting", "text", "custom", "bare"])
def test_csv_scores_as_with_mlflow(logged, name):
    """A table written by ``to_csv`` is read as mlflow's server reads it."""
    model = logged(name)
    text = model.frame.head(30).to_csv(index=False)
    native = mlflow.pyfunc.load_model(str(model.folder))
    from io import StringIO

    parsed = scoring_server.parse_csv_input(StringIO(text), native.metadata.get_input_schema())
    assert engine_of(model).invoke(Call("csv", text)) == theirs(model, parsed)


@pytest.mark.parametrize("name", ["logreg", "forest", "boosting", "text", "tensor", "cloudpickle", "custom", "proba"])
def test_the_logged_example_scores_as_with_mlflow(logged, name):
    """The body that mlflow stored beside the model is answered, whatever its form."""
    model = logged(name)
    body = model.files["serving_input_example.json"]
    native = mlflow.pyfunc.load_model(str(model.folder))
    parsed = scoring_server._parse_json_data(body.decode(), native.metadata, native.metadata.get_input_schema())
    assert engine_of(model).invoke(invocations.parse_json(body)) == theirs(model, parsed.data)


def test_arrays_score_as_with_mlflow(logged):
    """A model logged with arrays takes nested lists and frames alike."""
    model = logged("tensor")
    array, engine = model.frame[:20], engine_of(model)
    expected = theirs(model, array)
    assert engine.invoke(Call("inputs", array.tolist())) == expected
    assert engine.invoke(Call("instances", array.tolist())) == expected
    assert engine.invoke(Call("dataframe_split", {"columns": list("abcd"), "data": array.tolist()})) == expected


def test_params_reach_a_model_that_takes_them(logged):
    model = logged("custom")
    expected = theirs(model, model.frame, params={"offset": 5})
    assert engine_of(model).invoke(Call("inputs", {"x": model.frame["x"].tolist()}, {"offset": 5})) == expected


@pytest.mark.parametrize("name", ["logreg", "forest", "boosting", "text", "cloudpickle"])
def test_scores_are_the_estimators_own(logged, name):
    """Labels and probabilities of typed requests are exactly the fitted object's."""
    model = logged(name)
    frame = model.frame.head(50)
    rows = {column: [None if pd.isna(value) else value for value in frame[column].tolist()] for column in frame}
    scores = engine_of(model).score(rows)
    native = mlflow.pyfunc.load_model(str(model.folder)).get_raw_model()
    assert list(scores.labels) == list(native.predict(frame))
    assert np.array_equal(scores.probabilities, native.predict_proba(frame))


def test_a_tie_is_the_models_own_to_break(logged):
    """Where two classes are equally likely, the label is what ``predict`` says, not the first of the largest."""
    model = logged("text")
    engine = engine_of(model)
    classifier = engine._model.steps[-1][1]
    classifier.coef_[:], classifier.intercept_[:] = 0.0, 0.0
    classifier.predict = lambda data: np.array(["pos"] * data.shape[0])
    scores = engine.score({"review": ["good"]})
    assert scores.probabilities.tolist() == [[0.5, 0.5]]
    assert list(scores.labels) == ["pos"]


def test_polars_and_pandas_frames_score_alike(logged):
    import polars as pl

    model = logged("boosting")
    frame, engine = model.frame.head(60), engine_of(model)
    by_pandas, by_polars = engine.score(frame), engine.score(pl.from_pandas(frame))
    assert np.array_equal(by_pandas.probabilities, by_polars.probabilities)
    assert list(by_pandas.labels) == list(by_polars.labels)
