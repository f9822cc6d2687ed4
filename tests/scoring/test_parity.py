"""An engine answers what mlflow's own pyfunc answers."""

import json
from io import StringIO

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc import scoring_server

from samovar.scoring.build import build
from samovar.scoring.engine import open_engine
from samovar.scoring.forms import reader
from samovar.scoring.forms.reader import Reader
from samovar.scoring.request import BuildRequest

TABULAR = ("logreg", "forest", "boosting", "regression", "text", "proba", "cloudpickle", "custom", "bare")


@pytest.fixture(params=[False, True], ids=["native", "compiled"])
def compiled(request):
    return request.param


def plan_of(model, *, compiled=False):
    request = {"model": "m", "version": 1, "run_id": "", "label": "v1", "files": model.files, "trusted": model.trusted}
    return build(BuildRequest(**request, compile=compiled))


def engine_of(model):
    return open_engine(plan_of(model))


def asking(model, *, compiled):
    """Return a function that asks as the endpoint does, with a JSON body or CSV text."""
    plan = plan_of(model, compiled=compiled)
    engine = open_engine(plan)

    def ask(text=None, **body):
        if text is None:
            return reader.ask(engine, plan, json.dumps(body).encode())
        parsed = Reader(plan).csv(text.encode())
        return engine.invoke(parsed.call) if parsed.call else engine.predict(parsed.columns)

    return ask


def same(answers, expected, *, compiled):
    """A native model's answers are mlflow's to the last bit, a compiled one's as near as promised."""
    if compiled and answers and isinstance(answers[0], float | list):
        return np.allclose(answers, expected, rtol=1e-9, atol=1e-12)
    return answers == expected


def theirs(model, frame, **options):
    answer = mlflow.pyfunc.load_model(str(model.folder)).predict(frame, **options)
    return answer.to_dict("records") if isinstance(answer, pd.DataFrame) else np.asarray(answer).tolist()


def split(frame):
    return json.loads(frame.to_json(orient="split", double_precision=15)) | {"index": list(range(len(frame)))}


@pytest.mark.parametrize("name", TABULAR)
def test_frames_score_as_with_mlflow(logged, name, compiled):
    """The rows of a frame, as split and as records, score as ``mlflow.pyfunc`` scores the frame."""
    model = logged(name)
    frame, ask = model.frame.head(40), asking(model, compiled=compiled)
    table = split(frame)
    # What travels as JSON is compared, so that no float is rounded on the way of one side only.
    travelled = pd.DataFrame(table["data"], columns=table["columns"]).astype(frame.dtypes.to_dict())
    expected = theirs(model, travelled)
    records = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert same(ask(dataframe_split=table), expected, compiled=compiled)
    assert same(ask(dataframe_records=records), expected, compiled=compiled)


@pytest.mark.parametrize("name", ["logreg", "forest", "boosting", "text", "custom"])
def test_columns_and_instances_score_as_with_mlflow(logged, name, compiled):
    """A mapping of columns and a list of records are the same rows."""
    model = logged(name)
    frame, ask = model.frame.dropna().head(10), asking(model, compiled=compiled)
    expected = theirs(model, frame)
    assert ask(inputs={column: frame[column].tolist() for column in frame}) == expected
    assert ask(instances=frame.to_dict("records")) == expected


@pytest.mark.parametrize("name", ["logreg", "forest", "boosting", "text", "custom", "bare"])
def test_csv_scores_as_with_mlflow(logged, name, compiled):
    """A table written by ``to_csv`` is read as mlflow's server reads it."""
    model = logged(name)
    text = model.frame.head(30).to_csv(index=False)
    native = mlflow.pyfunc.load_model(str(model.folder))
    parsed = scoring_server.parse_csv_input(StringIO(text), native.metadata.get_input_schema())
    assert asking(model, compiled=compiled)(text) == theirs(model, parsed)


@pytest.mark.parametrize("name", ["logreg", "forest", "boosting", "text", "tensor", "cloudpickle", "custom", "proba"])
def test_the_logged_example_scores_as_with_mlflow(logged, name, compiled):
    """The body that mlflow stored beside the model is answered, whatever its form."""
    model = logged(name)
    body = model.files["serving_input_example.json"]
    native = mlflow.pyfunc.load_model(str(model.folder))
    parsed = scoring_server._parse_json_data(body.decode(), native.metadata, native.metadata.get_input_schema())
    assert same(asking(model, compiled=compiled)(**json.loads(body)), theirs(model, parsed.data), compiled=compiled)


def test_arrays_score_as_with_mlflow(logged, compiled):
    """A model logged with arrays takes nested lists and frames alike."""
    model = logged("tensor")
    array, ask = model.frame[:20], asking(model, compiled=compiled)
    expected = theirs(model, array)
    assert ask(inputs=array.tolist()) == expected
    assert ask(instances=array.tolist()) == expected
    assert ask(dataframe_split={"columns": list("abcd"), "data": array.tolist()}) == expected


def test_params_reach_a_model_that_takes_them(logged):
    model = logged("custom")
    expected = theirs(model, model.frame, params={"offset": 5})
    assert asking(model, compiled=False)(inputs={"x": model.frame["x"].tolist()}, params={"offset": 5}) == expected


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
