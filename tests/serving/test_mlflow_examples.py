"""The requests that MLflow's documentation shows, sent as they stand to models that fit them."""

import mlflow.pyfunc
import numpy as np
import pytest
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

from samovar.scoring.load import load_plan

SPLIT = """{
  "dataframe_split": {
      "columns": ["a", "b", "c"],
      "data": [[1, 2, 3], [4, 5, 6]]
  }
}"""
RECORDS = """{
  "dataframe_records": [
    {"a": 1,"b": 2,"c": 3},
    {"a": 4,"b": 5,"c": 6}
  ]
}"""
INSTANCES = """{
    "instances": [
        {"a": "s1", "b": 1, "c": [1, 2, 3]},
        {"a": "s2", "b": 2, "c": [4, 5, 6]},
        {"a": "s3", "b": 3, "c": [7, 8, 9]}
    ]
}"""
INPUTS = """{
    "inputs": {
        "a": ["s1", "s2", "s3"],
        "b": [1, 2, 3],
        "c": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    }
}"""
PARAMS = """{
    "inputs": {"question": ["What color is it?"],
               "context": ["Some people said it was green but I know that it is pink."]},
    "params": {"max_answer_len": 10}
}"""
CHAT = """{
    "messages": [{"role": "user", "content": "Tell me a joke!"}],
    "max_tokens": 128
}"""
CSV = "a,b,c\n1,2,3\n4,5,6\n"


class Sums(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return (model_input["a"] + 10 * model_input["b"] + 100 * model_input["c"]).tolist()


class Tensors(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [f"{a}{b}{sum(c)}" for a, b, c in zip(model_input["a"], model_input["b"], model_input["c"], strict=True)]


class Answers(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [text[: params["max_answer_len"]] for text in model_input["context"]]


class Chat(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return {"choices": [model_input["messages"][0]["content"]], "tokens": model_input["max_tokens"]}


def tensor(name, kind):
    return TensorSpec(np.dtype(kind), (-1, 3) if name == "c" else (-1,), name)


SIGNATURES = {
    Sums: ModelSignature(Schema([ColSpec("double", name) for name in "abc"])),
    Tensors: ModelSignature(Schema([tensor("a", "str"), tensor("b", "int64"), tensor("c", "int64")])),
    Answers: ModelSignature(
        Schema([ColSpec("string", "question"), ColSpec("string", "context")]),
        params=ParamSchema([ParamSpec("max_answer_len", "long", 5)]),
    ),
    Chat: None,
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Return a function from a model to its plan."""

    def make(model):
        folder = tmp_path_factory.mktemp("examples") / model.__name__
        mlflow.pyfunc.save_model(folder, python_model=model(), signature=SIGNATURES[model], pip_requirements=[])
        paths = [path for path in folder.rglob("*") if path.is_file()]
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        return load_plan(files, model.__name__, 1, trusted=True)

    return make


@pytest.mark.parametrize(
    ("model", "bodies", "answer"),
    [
        (Sums, [SPLIT, RECORDS, CSV], {"predictions": [321.0, 654.0]}),
        (Tensors, [INSTANCES, INPUTS], {"predictions": ["s116", "s2215", "s3324"]}),
        (Answers, [PARAMS], {"predictions": ["Some peopl"]}),
        (Chat, [CHAT], {"choices": ["Tell me a joke!"], "tokens": 128}),
    ],
    ids=["tables", "tensors", "params", "chat"],
)
def test_a_documented_request_works_unchanged(serve, plan, model, bodies, answer):
    client = serve(plan(model)).client
    for body in bodies:
        kind = "text/csv" if body is CSV else "application/json"
        got = client.post("/invocations", content=body, headers={"Content-Type": kind})
        assert (got.status_code, got.json()) == (200, answer), got.text


def test_a_table_is_not_asked_like_a_language_model(payments_endpoint):
    """Only what mlflow's pyfunc serves may be a language model."""
    answer = payments_endpoint.client.post("/invocations", content=CHAT, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "dataframe_split" in answer.json()["message"]
