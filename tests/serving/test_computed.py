"""An endpoint of a text model: computed fields in every protocol, and texts that nobody expects."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import skops.io

import samovar as sv
from samovar.contracts import document
from samovar.contracts.answers import default_response
from samovar.contracts.signature import to_columns
from samovar.contracts.spec import ModelContract
from samovar.scoring.load import load_plan
from samovar.training import builders

WORDS = ["good", "great", "love", "bad", "awful", "boring", "book", "story", "the", "a", "it", "was"]


class Review(sv.Contract):
    reviewText: sv.Text  # noqa: N815 - as it is published
    summary: sv.Text | None = None
    text_len: Annotated[float, sv.Computed("text_len", of=("reviewText",))]
    word_count: Annotated[float, sv.Computed("word_count", of=("reviewText", "summary"))]


def files() -> dict[str, bytes]:
    """A version as a project logs it: the built-in text pipeline and its contract."""
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, 12)) for _ in range(120)]
    frame = pd.DataFrame({"reviewText": texts, "summary": None, "text_len": np.nan, "word_count": np.nan})
    labels = np.where([text.count("good") + text.count("great") > text.count("bad") for text in texts], "positive", "negative")
    model = builders.build(sv.kinds.logreg(), Review.spec, {}, seed=0).fit(frame, labels)
    contract = ModelContract(
        Review.spec, default_response(Review.spec, ("negative", "positive")), classes=("negative", "positive"), positive="positive"
    )
    example = {"columns": ["reviewText", "summary", "text_len", "word_count"], "data": [["good book", "great", 9.0, 3.0]]}
    mlmodel: dict[str, Any] = {
        "flavors": {
            "python_function": {"loader_module": "mlflow.sklearn", "predict_fn": "predict"},
            "sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"},
        },
        "signature": {"inputs": msgspec.json.encode(to_columns(Review.spec)).decode()},
        "saved_input_example_info": {"artifact_path": "input_example.json"},
    }
    return {
        "MLmodel": msgspec.json.encode(mlmodel),
        "model.skops": skops.io.dumps(model),
        "input_example.json": msgspec.json.encode(example),
        document.PATH: document.dump(contract),
    }


@pytest.fixture(scope="module")
def plan():
    return load_plan(files(), "reviews", 1)


@pytest.fixture(scope="module")
def client(plan, serve_all_along):
    return serve_all_along(plan, body_limit=2 * 2**20)


def mismatches(client, field):
    """The counter of one field, as Prometheus would read it."""
    lines = client.get("/metrics").text.splitlines()
    (found,) = [line for line in lines if line.startswith("samovar_computed_mismatch_total{") and f'field="{field}"' in line]
    return float(found.rpartition(" ")[2])


def test_the_text_pipeline_is_compiled_and_no_type_needs_trust(plan):
    assert plan.engine == "compiled", plan.notes


def test_a_text_alone_is_answered_and_what_is_sent_beside_it_changes_nothing(client):
    alone = client.post("/predict", json={"reviewText": "a good book"}).raise_for_status().json()
    before = mismatches(client, "text_len"), mismatches(client, "word_count")
    right = {"reviewText": "a good book", "text_len": 11.0, "word_count": 3}
    assert client.post("/predict", json=right).raise_for_status().json()["probability"] == alone["probability"]
    assert (mismatches(client, "text_len"), mismatches(client, "word_count")) == before
    wrong = {"reviewText": "a good book", "text_len": 30.0, "word_count": 5.0}
    assert client.post("/predict", json=wrong).raise_for_status().json()["probability"] == alone["probability"]
    assert (mismatches(client, "text_len"), mismatches(client, "word_count")) == (before[0] + 1, before[1] + 1)


def test_every_protocol_computes_and_counts(client):
    before = mismatches(client, "text_len")
    row = {"reviewText": "bad", "text_len": 99.0}
    batch = client.post("/batch_predict", json=[row, {"reviewText": "bad"}]).raise_for_status().json()["predictions"]
    assert batch[0]["probability"] == batch[1]["probability"]
    assert mismatches(client, "text_len") == before + 1
    label = batch[0]["prediction"]
    asked = client.post("/invocations", json={"dataframe_records": [row]}).raise_for_status().json()
    assert asked == {"predictions": [label]}
    assert client.post("/invocations", json={"dataframe_records": [{"reviewText": "bad"}]}).json() == asked
    assert mismatches(client, "text_len") == before + 2
    given = {"name": "reviewText", "shape": [1], "datatype": "BYTES", "data": ["bad"]}
    lengths = {"name": "text_len", "shape": [1], "datatype": "FP64", "data": [99.0]}
    client.post("/v2/models/reviews/infer", json={"inputs": [given, lengths]}).raise_for_status()
    assert mismatches(client, "text_len") == before + 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "x" * 2**20,
        "good " * 200_000,
        "😀👩‍🔬🏳️‍🌈" * 50,
        "كتاب رائع جدا",
        "a\x00b",
        "<script>alert(1)</script><br/>",
        "1234567890 42",
        "これは素晴らしい本です",
        "\u202e\u200b\ufeff",
        "!" * 3000,
        "e\u0301" * 400,
        "\ud7ff\ue000\uffff",
    ],
    ids=range(14),
)
def test_any_text_is_answered(client, text):
    answer = client.post("/predict", json={"reviewText": text, "summary": text[:200]})
    assert answer.status_code == 200
    assert 0 <= answer.json()["probability"] <= 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"reviewText": "\\ud800"}',
        b'{"reviewText": "\xff"}',
        b'{"reviewText": null}',
        b'{"reviewText": 5}',
        b"{}",
        b'{"summary": "x"}',
        b'{"reviewText": "x", "text_len": "five"}',
        b'{"reviewText": "x", "stars": 5}',
    ],
    ids=range(8),
)
def test_what_is_no_review_is_refused_with_words(client, body):
    answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert "five" not in answer.text


def test_a_body_over_the_limit_is_refused(client):
    assert client.post("/predict", json={"reviewText": "x" * 2**21}).status_code == 413
