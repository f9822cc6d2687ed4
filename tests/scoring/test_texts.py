"""Models that take a list of texts: compiled, and asked in every form that MLflow has for them."""

from __future__ import annotations

import json

import mlflow
import numpy as np
import pytest
from mlflow.models import infer_signature
from mlflow.pyfunc import scoring_server
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from samovar.errors import RequestError
from samovar.scoring.engine import open_engine
from samovar.scoring.load import load_plan
from samovar.serving.protocols.invocations import Invocations
from samovar.serving.protocols.oip.infer import Infer, metadata

TEXTS = ["a good film", "a bad film", "good acting, good story", "bad and boring", "no words", "ünïcödé good"] * 8
LABELS = ["up" if "good" in text else "down" for text in TEXTS]


@pytest.fixture(scope="module", params=["str", "object"])
def version(request, tmp_path_factory):
    """A plan, and the same model as mlflow opens it."""
    folder = tmp_path_factory.mktemp("texts") / "model"
    example = np.array(TEXTS[:6], dtype=request.param)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, LABELS)
    signature = infer_signature(example)
    mlflow.sklearn.save_model(model, folder, signature=signature, pip_requirements=["scikit-learn"], serialization_format="skops")
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return load_plan(files, "texts", 1, trusted=True), mlflow.pyfunc.load_model(str(folder))


@pytest.mark.parametrize("form", ["inputs", "instances"])
@pytest.mark.parametrize("texts", [TEXTS[:1], TEXTS[:6]], ids=["one", "six"])
def test_lists_of_texts_are_scored_by_the_compiled_model(version, form, texts):
    plan, model = version
    assert plan.engine == "compiled", plan.notes
    body, engine = json.dumps({form: texts}), open_engine(plan)
    handler = Invocations(plan, engine)
    job = handler.decode(body.encode(), "application/json", {})
    theirs = scoring_server.invocations(body, "application/json", model, model.metadata.get_input_schema())
    assert json.loads(job.write(job.run(engine, job.columns, job.params))) == json.loads(theirs.response)
    assert (handler.quick(body.encode()) is not None) == (len(texts) == 1)


def test_a_tensor_of_bytes_needs_no_second_dimension(version):
    plan, _ = version
    engine = open_engine(plan)
    assert metadata(plan)["inputs"] == [{"name": "input-0", "datatype": "BYTES", "shape": [-1]}]
    body = {"inputs": [{"name": "input-0", "shape": [3], "datatype": "BYTES", "data": TEXTS[:3]}]}
    job = Infer(plan, engine).decode(json.dumps(body).encode(), "", {})
    answer = json.loads(job.write(job.run(engine, job.columns, job.params)))
    assert answer["outputs"][0]["data"] == LABELS[:3]


@pytest.mark.parametrize("rows", [[1, 2], [["a"], ["b", "c"]], [{"text": 1}]])
def test_what_is_no_text_is_refused(version, rows):
    plan, _ = version
    with pytest.raises(RequestError):
        Invocations(plan, open_engine(plan)).decode(json.dumps({"inputs": rows}).encode(), "application/json", {})
