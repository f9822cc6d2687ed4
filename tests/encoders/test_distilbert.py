"""The kind `distilbert`, on a tiny network with random weights. Where torch is not installed it is refused with a clear sentence.

torch is no part of the locked environment: `make test-transformers` makes one that has it, and runs this file there.
"""

from __future__ import annotations

import importlib.util
import json
import zipfile
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

import samovar as sv
from samovar.errors import ModelError, ProjectError
from samovar.scoring import trust
from samovar.training import builders, canonical

INSTALLED = importlib.util.find_spec("torch") is not None and importlib.util.find_spec("transformers") is not None
needs_torch = pytest.mark.skipif(not INSTALLED, reason="torch and transformers are not installed: make test-transformers")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "fine", "great", "bad", "dull", "awful", "a", "story", "part", "the", "!"]


class Review(sv.Contract):
    summary: sv.Text | None = None
    text: sv.Text
    stars: int


def reviews(count):
    draw = np.random.default_rng(4)
    labels = draw.integers(0, 2, count)
    words = [["bad", "dull", "awful"], ["good", "fine", "great"]]
    texts = [f"a {draw.choice(words[label])} story {'the part ' * int(draw.integers(0, 6))}" for label in labels]
    return pd.DataFrame({"summary": [None] * count, "text": texts, "stars": 3}), np.where(labels == 1, "pos", "neg")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A DistilBERT of two layers and 32 dimensions, never trained, as a folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import DistilBertConfig, DistilBertForMaskedLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("weights")
    made = Tokenizer(models.WordPiece({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    config = DistilBertConfig(vocab_size=len(WORDS), dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=64)
    DistilBertForMaskedLM(config).save_pretrained(folder)
    return folder


def build(weights, **params):
    params = {"weights": str(weights), "max_tokens": 32, "learning_rate": 5e-3, "epochs": 6} | params
    return builders.build(sv.kinds.distilbert(**params), Review.spec, params, seed=1)


@pytest.fixture(scope="module")
def fitted(weights):
    return build(weights).fit(*reviews(200))


@needs_torch
def test_it_learns_and_stops_when_it_learns_no_more(weights, fitted):
    rows, labels = reviews(300)
    assert np.mean(fitted.predict(rows[200:]) == labels[200:]) > 0.95
    hopeless = build(weights, epochs=20, patience=2).fit(rows, np.random.default_rng(1).permutation(labels))
    assert 3 <= len(hopeless.losses_) < 20


@needs_torch
def test_probabilities_sum_to_one_and_do_not_depend_on_neighbours(fitted):
    rows, _ = reviews(50)
    found = fitted.predict_proba(rows)
    assert np.allclose(found.sum(axis=1), 1)
    alone = np.vstack([fitted.predict_proba(rows.iloc[[index]]) for index in range(len(rows))])
    assert np.allclose(found, alone, atol=1e-5)


@needs_torch
def test_a_stored_model_holds_no_pickle_needs_no_trust_and_answers_the_same(fitted):
    import skops.io

    rows, _ = reviews(50)
    data = canonical.dumps(fitted)
    assert trust.untrusted(data) == []
    assert not [name for name in zipfile.ZipFile(BytesIO(data)).namelist() if name.endswith((".pkl", ".pickle"))]
    again = skops.io.loads(data, trusted=canonical.untrusted_types(data))
    assert np.allclose(again.predict_proba(rows), fitted.predict_proba(rows), atol=1e-6)
    assert again.predict(rows).tolist() == fitted.predict(rows).tolist()


@needs_torch
def test_the_same_rows_give_the_same_weights(weights, fitted):
    import torch

    before = torch.random.get_rng_state()
    again = build(weights).fit(*reviews(200))
    assert again.state_ == fitted.state_
    assert torch.equal(before, torch.random.get_rng_state())  # what others draw is not disturbed
    assert build(weights, seed=2).fit(*reviews(200)).state_ != fitted.state_


@needs_torch
def test_balanced_classes_find_what_is_rare(weights):
    """One step, from the same weights: the rare class weighs as much as the common one."""
    rows, labels = reviews(400)
    rare = np.flatnonzero(labels == "pos")[:8]
    kept = np.sort(np.concatenate([rare, np.flatnonzero(labels == "neg")]))
    rows, labels = rows.iloc[kept], labels[kept]
    score = {
        choice: build(weights, class_weight=choice, epochs=1, patience=0).fit(rows, labels).predict_proba(rows)[:, 1].mean()
        for choice in ("balanced", None)
    }
    assert score["balanced"] > score[None] + 0.05


@needs_torch
@pytest.mark.parametrize("text", ["", "a\0b", "🙂" * 40, "שלום עולם", "half \ud800 pair", "x" * 1_000_000, None])
def test_whatever_a_text_holds_it_is_answered(fitted, text):
    found = fitted.predict_proba(pd.DataFrame({"summary": [None], "text": [text], "stars": [1]}, dtype=object))
    assert np.isfinite(found).all()


@needs_torch
def test_weights_that_are_not_there_or_are_pickled_are_refused(tmp_path, weights):
    import torch

    with pytest.raises(ModelError, match="cannot be had"):
        build(tmp_path / "nowhere").fit(*reviews(30))
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((weights / name).read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        build(tmp_path).fit(*reviews(30))


@needs_torch
def test_code_beside_the_weights_is_never_run(tmp_path, weights):
    for file in weights.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil", "AutoModelForSequenceClassification": "evil.Evil"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    with pytest.raises(ModelError):
        build(tmp_path).fit(*reviews(30))
    assert not (tmp_path / "ran").exists()


@needs_torch
def test_a_damaged_state_is_an_error_of_ours(fitted):
    import skops.io

    data = canonical.dumps(fitted)
    for name, value in (("state_", b"{}"), ("config_", b'{"model_type": "gpt2"}'), ("config_", b"[]")):
        broken = skops.io.loads(data, trusted=canonical.untrusted_types(data))
        setattr(broken, name, value)
        with pytest.raises(ModelError):
            broken.predict_proba(reviews(1)[0])


@pytest.mark.skipif(INSTALLED, reason="torch and transformers are installed here")
def test_without_the_libraries_it_says_what_to_install():
    with pytest.raises(ModelError, match="distilbert need torch") as caught:
        build("anything").fit(*reviews(30))
    assert "samovar[transformers]" in caught.value.remedy


def test_a_contract_without_text_and_an_unknown_parameter_are_refused():
    class Numbers(sv.Contract):
        x: float

    with pytest.raises(ProjectError, match="reads text"):
        builders.build(sv.kinds.distilbert(), Numbers.spec, {}, seed=1)
    with pytest.raises(ProjectError, match="momentum"):
        builders.build(sv.kinds.distilbert(), Review.spec, {"momentum": 1}, seed=1)
