import datetime as dt

import msgspec
import pandas as pd
import pytest

from samovar.scoring.engine import open_engine

ROW = {"transaction_id": "t-1", "amount": 120.0, "hour": 3, "channel": "web"}


def test_an_answer_follows_the_response_contract(payments_endpoint):
    """The promised fields, in order, with the version's label and a time in UTC."""
    answer = payments_endpoint.client.post("/predict", json=ROW).raise_for_status().json()
    assert list(answer) == [
        "transaction_id",
        "is_fraud",
        "fraud_probability",
        "confidence",
        "model_version",
        "prediction_time",
    ]
    assert (answer["transaction_id"], answer["model_version"]) == ("t-1", "1.4.0")
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(answer["prediction_time"])
    assert abs(age) < dt.timedelta(minutes=1)


def test_the_versions_threshold_decides(payments_endpoint, plans):
    """``is_fraud`` is probability >= the saved threshold (0.2), and confidence is the probability of that answer."""
    rows = [ROW | {"amount": float(amount)} for amount in range(20, 400, 5)]
    answers = payments_endpoint.client.post("/batch_predict", json=rows).raise_for_status().json()["predictions"]
    frame = pd.DataFrame(rows)[["amount", "hour", "channel"]]
    shares = open_engine(plans["payments"]).score(frame).probabilities[:, 1].tolist()
    assert [answer["fraud_probability"] for answer in answers] == shares
    assert [answer["is_fraud"] for answer in answers] == [share >= 0.2 for share in shares]
    assert {answer["is_fraud"] for answer in answers} == {True, False}
    assert any(0.2 <= share < 0.5 for share in shares), "the threshold was not exercised"
    expected = [share if share >= 0.2 else 1 - share for share in shares]
    assert [answer["confidence"] for answer in answers] == pytest.approx(expected)


def test_a_batch_answers_what_single_rows_answer(payments_endpoint):
    """Order is kept, and both forms of a batch are the same."""
    rows = [ROW | {"transaction_id": f"t-{index}", "amount": 10.0 + 30 * index} for index in range(8)]
    client = payments_endpoint.client
    one_by_one = [client.post("/predict", json=row).json() for row in rows]
    for body in (rows, {"rows": rows}):
        batch = client.post("/batch_predict", json=body).raise_for_status().json()["predictions"]
        for single, other in zip(one_by_one, batch, strict=True):
            for name in ("transaction_id", "is_fraud", "model_version"):
                assert single[name] == other[name]
            # BLAS sums one row and many in another order: equal to the last bits.
            assert single["fraud_probability"] == pytest.approx(other["fraud_probability"], rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"amount": "SECRET-VALUE"}, "amount"),
        ({"amount": -1}, "amount"),
        ({"hour": 24}, "hour"),
        ({"hour": 2.5}, "hour"),
        ({"channel": "SECRET-VALUE"}, "channel"),
        ({"channel": None}, "channel"),
        ({"transaction_id": 5}, "transaction_id"),
    ],
)
def test_a_bad_field_is_named_and_not_echoed(payments_endpoint, changes, path):
    """400 with the contract field's path; the value stays with the client, in batches too."""
    client = payments_endpoint.client
    single = client.post("/predict", json=ROW | changes)
    assert (single.status_code, single.json()["path"]) == (400, path)
    batch = client.post("/batch_predict", json=[ROW, ROW | changes])
    assert (batch.status_code, batch.json()["path"]) == (400, f"rows[1].{path}")
    assert "SECRET" not in single.text + batch.text


@pytest.mark.parametrize("missing", list(ROW))
def test_a_missing_field_is_named(payments_endpoint, missing):
    row = {name: value for name, value in ROW.items() if name != missing}
    answer = payments_endpoint.client.post("/predict", json=row)
    assert (answer.status_code, answer.json()["path"]) == (400, missing)


def test_an_unknown_field_is_refused_without_its_name(payments_endpoint):
    """A field name may be a secret as well."""
    answer = payments_endpoint.client.post("/predict", json=ROW | {"SECRET-NAME": 1})
    assert answer.status_code == 400
    assert "SECRET" not in answer.text
    assert "nknown field" in answer.json()["message"]


def test_a_model_logged_elsewhere_has_typed_routes(serve, plans):
    """Contract and answer come from the signature; without a threshold the model's own prediction is the answer."""
    client = serve(plans["elsewhere"]).client
    row = {name: value for name, value in ROW.items() if name != "transaction_id"}
    answer = client.post("/predict", json=row).raise_for_status().json()
    assert list(answer) == ["prediction", "probability", "confidence", "model_version", "prediction_time"]
    assert answer["prediction"] == int(answer["probability"] > 0.5)
    assert answer["confidence"] == max(answer["probability"], 1 - answer["probability"])


def test_a_model_without_signature_says_so(serve, plans):
    """No typed request can exist: 404, and what to do instead. MLflow's protocol still answers."""
    client = serve(plans["bare"]).client
    for route in ("/predict", "/batch_predict"):
        answer = client.post(route, json=ROW)
        assert answer.status_code == 404
        assert "signature" in answer.json()["message"]
        assert "/invocations" in answer.json()["message"]
    frame = {"columns": ["amount", "hour", "channel"], "data": [[10.0, 3, "web"]]}
    assert client.post("/invocations", json={"dataframe_split": frame}).json() == {"predictions": [0]}


def decider(classes, **contract):
    from samovar.contracts.spec import ContractSpec, ModelContract, ResponseSpec
    from samovar.serving.protocols.decision import Decider

    return Decider.of(ModelContract(ContractSpec("C", ()), ResponseSpec("R", ()), classes=classes, **contract), classes)


def test_many_classes_answer_label_and_confidence():
    """The answer's probability is the label's own."""
    decide = decider(("a", "b", "c")).decide
    assert decide("b", [0.2, 0.7, 0.1]) == ("b", None, 0.7, 0.7)
    assert decide("c", [0.1, 0.3, 0.6]) == ("c", None, 0.6, 0.6)


def test_the_positive_class_may_come_first():
    """Probability, decision and confidence speak of the contract's positive class, wherever its column is."""
    decide = decider(("bad", "good"), positive="bad", threshold=0.3).decide
    assert decide("good", [0.4, 0.6]) == ("bad", True, 0.4, 0.4)
    assert decide("good", [0.1, 0.9]) == ("good", False, 0.9, 0.1)


def test_without_a_threshold_the_model_decides():
    """A model may know a threshold of its own."""
    assert decider(("no", "yes"), positive="yes").decide("yes", [0.7, 0.3]) == ("yes", True, 0.3, 0.3)


def test_answers_are_json_of_the_declared_types(payments_endpoint):
    answer = msgspec.json.decode(payments_endpoint.client.post("/predict", json=ROW).content)
    assert type(answer["is_fraud"]) is bool
    assert type(answer["fraud_probability"]) is float
