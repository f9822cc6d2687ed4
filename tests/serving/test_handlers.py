"""Protocol handlers without HTTP: the short way and the long way of one row, answers that are none for each row."""

import json

import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from samovar.errors import RequestError
from samovar.scoring.engine import open_engine
from samovar.scoring.load import load_plan
from samovar.serving.jobs import Job
from samovar.serving.joining import Joiner
from samovar.serving.protocols.answers import Predictions
from samovar.serving.routes import routes

ROW = {"transaction_id": "t-1", "amount": 190.0, "hour": 3, "channel": "web"}
FEATURES = [190.0, 3, "web"]


@pytest.fixture(scope="module")
def asked(plans):
    """The compiled payments model: its engine, and its handlers by path."""
    engine = open_engine(plans["payments"])
    return engine, {route.path: route.handler for route in routes(plans["payments"], engine, None)}


def long(engine, handler, body):
    job = handler.decode(json.dumps(body).encode(), "application/json", {})
    text, answers = Joiner(engine).alone(job)
    return json.loads(text), job, answers


def test_one_typed_row_is_answered_and_logged_alike_both_ways(asked):
    """Answer (but for the time), values, key, label by the threshold, probabilities."""
    engine, handlers = asked
    handler = handlers["/predict"]
    text, values, key, label, shares = handler.quick(json.dumps(ROW).encode())
    answer, job, answers = long(engine, handler, ROW)
    quick = json.loads(text)
    assert quick.pop("prediction_time") <= answer.pop("prediction_time")
    assert quick == answer
    assert (list(values), key) == ([column[0] for column in job.columns], job.keys[0]) == (FEATURES, "t-1")
    assert (label, shares) == answers.logged(0)
    assert 0.2 <= shares[1] < 0.5, "the threshold was not exercised"
    assert label == 1


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["amount", "hour", "channel"], "data": [FEATURES]}},
        {"dataframe_records": [ROW]},
        {"inputs": {"amount": [190], "hour": [3], "channel": ["web"]}},
    ],
)
def test_one_row_of_mlflow_is_answered_alike_both_ways(asked, body):
    engine, handlers = asked
    text, values, key, label, shares = handlers["/invocations"].quick(json.dumps(body).encode())
    answer, job, answers = long(engine, handlers["/invocations"], body)
    assert json.loads(text) == answer == {"predictions": [label]}
    assert (list(values), key, job.keys) == (FEATURES, None, None)
    assert (label, shares) == answers.logged(0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"SECRET",
        b'{"dataframe_records": []}',
        b'{"dataframe_records": [{"amount": "x", "hour": 3, "channel": "web"}]}',
        b'{"dataframe_records": [{"amount": 1, "hour": 3.0, "channel": "web"}]}',
        json.dumps({"dataframe_records": [ROW, ROW]}).encode(),
        json.dumps({"dataframe_records": [ROW], "inputs": [ROW]}).encode(),
        json.dumps({"dataframe_records": [ROW], "params": {"a": 1}}).encode(),
    ],
)
def test_the_short_way_leaves_what_it_does_not_know_to_the_long_way(asked, body):
    """Good or bad, it is not judged twice."""
    assert asked[1]["/invocations"].quick(body) is None


def test_the_short_typed_way_refuses_as_the_long_one(asked):
    handler = asked[1]["/predict"]
    for way in (handler.quick, lambda body: handler.decode(body, "application/json", {})):
        with pytest.raises(RequestError, match="Expected a number > 0") as caught:
            way(json.dumps(ROW | {"amount": -1}).encode())
        assert caught.value.path == "amount"


def test_an_answer_that_is_none_for_each_row_is_not_cut():
    """A model that gives one thing for a whole request is asked request by request; each gets its own."""

    def total(engine, columns, params):
        return Predictions({"total": sum(columns[0])})

    jobs = [Job([[number]], 1, total, lambda answers: json.dumps(answers.values).encode()) for number in (1, 2, 3)]
    outcomes = Joiner(None).score(jobs)
    assert [json.loads(body) for body, _ in outcomes] == [{"total": 1}, {"total": 2}, {"total": 3}]


@pytest.fixture(scope="module")
def reader_of_texts():
    """A compiled model of texts: its handlers by path."""
    texts = pd.DataFrame({"review": ["a good film", "a bad film", "good and long", "bad and short"] * 5})
    model = make_pipeline(ColumnTransformer([("words", TfidfVectorizer(), "review")]), LogisticRegression())
    signature = {"inputs": json.dumps([{"name": "review", "type": "string", "required": True}])}
    flavors = {
        "python_function": {"loader_module": "mlflow.sklearn", "predict_fn": "predict"},
        "sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"},
    }
    files = {
        "model.skops": skops.io.dumps(model.fit(texts, [1, 0, 1, 0] * 5)),
        "input_example.json": texts.head(2).to_json(orient="split", index=False).encode(),
        "MLmodel": json.dumps(
            {"flavors": flavors, "signature": signature, "saved_input_example_info": {"artifact_path": "input_example.json"}}
        ).encode(),
    }
    plan = load_plan(files, "texts", 1, run_id="run", label="1")
    assert plan.engine == "compiled", plan.notes
    engine = open_engine(plan)
    return {route.path: route.handler for route in routes(plan, engine, None)}


@pytest.mark.parametrize("count", [1, 4, 5, 40])
@pytest.mark.parametrize("path", ["/invocations", "/predict"])
def test_rows_of_a_turn_are_answered_and_logged_as_each_alone(reader_of_texts, path, count):
    """Answers, values, labels and probabilities, in order."""
    handler = reader_of_texts[path]
    rows = [{"review": f"a {word} film, {number} times"} for number, word in enumerate(["good", "bad", "", "long", "short"] * 8)]
    bodies = [json.dumps({"dataframe_records": [row]} if path == "/invocations" else row).encode() for row in rows[:count]]
    read, finish = handler.together
    for (text, values, key, label, shares), body in zip(finish([read(body) for body in bodies]), bodies, strict=True):
        alone = handler.quick(body)
        assert without_time(text) == without_time(alone[0])
        assert (list(values), key, label) == (list(alone[1]), alone[2], alone[3])
        assert shares == pytest.approx(alone[4], rel=1e-12)


def without_time(text):
    answer = json.loads(text)
    answer.pop("prediction_time", None)
    return {name: round(value, 12) if isinstance(value, float) else value for name, value in answer.items()}
