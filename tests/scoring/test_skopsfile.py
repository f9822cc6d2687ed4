"""A text model's file is rewritten before it is loaded, and gives the same model."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from samovar.scoring import trust
from samovar.scoring.skopsfile import SkopsFile

TEXTS = [" ".join(f"word{number}é" for number in range(start, start + 40)) for start in range(0, 400, 10)]


def _saved():
    """A vectorizer with as many words as are worth it; ``max_features`` makes their numbers numpy's."""
    return TfidfVectorizer(max_features=400).fit(TEXTS)


def _load(data):
    return skops.io.loads(data, trusted=trust.allowed_types())


def _members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.namelist()


def test_a_rewritten_file_holds_the_same_model_in_few_members():
    model = _saved()
    data = skops.io.dumps(model)
    file = SkopsFile(data)
    assert trust.strangers(file) == []
    light = file.lightened()
    assert len(_members(data)) > 400
    assert len(_members(light)) < 20
    loaded = _load(light)
    assert loaded.vocabulary_ == model.vocabulary_
    assert np.array_equal(loaded.transform(TEXTS).toarray(), model.transform(TEXTS).toarray())


def test_the_names_a_file_needs_are_enough_for_skops():
    file = SkopsFile(skops.io.dumps(_saved()))
    names = trust.named(file)
    assert len(names) < len(trust.allowed_types()) / 4
    assert skops.io.loads(file.lightened(), trusted=names).vocabulary_


def _damaged(data):
    """Change the last number of one array without its checksum."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = next(found for found in archive.infolist() if found.file_size == 136)
    end = member.header_offset + 30 + len(member.filename) + member.file_size
    return data[: end - 8] + b"\x07" + data[end - 7 :]


def _shared(data):
    """Let another part of the model point to one of the vocabulary's numbers."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    tree = json.loads(members["schema.json"])
    first = next(iter(tree["content"]["content"]["vocabulary_"]["content"].values()))
    tree["content"]["content"]["more"] = {
        "__class__": "int64",
        "__module__": "numpy",
        "__loader__": "CachedNode",
        "__id__": first["__id__"],
    }
    members["schema.json"] = json.dumps(tree).encode()
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return output.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: skops.io.dumps(CountVectorizer().fit(["a few words"])), id="small"),
        pytest.param(lambda: _damaged(skops.io.dumps(_saved())), id="damaged"),
        pytest.param(lambda: _shared(skops.io.dumps(_saved())), id="shared"),
        pytest.param(lambda: skops.io.dumps(_saved(), compression=zipfile.ZIP_DEFLATED), id="compressed"),
    ],
)
def test_what_is_not_of_the_usual_form_is_left_to_skops(make):
    data = make()
    assert SkopsFile(data).lightened() is data
