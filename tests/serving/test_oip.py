"""Open Inference Protocol v2: by hand, and by Triton's own client, unchanged."""

import json

import numpy as np
import pytest
import tritonclient.http as triton

from samovar.scoring.engine import open_engine

COLUMNS = {"amount": [120.0, 20.0], "hour": [3, 23], "channel": ["web", "shop"]}
TYPES = {"amount": "FP64", "hour": "INT64", "channel": "BYTES"}
INFER = "/v2/models/payments/infer"
SECRET = "SECRET-VALUE"


def inputs(**changes):
    columns = COLUMNS | changes
    return [{"name": name, "shape": [len(data)], "datatype": TYPES[name], "data": data} for name, data in columns.items()]


def native(plans):
    return open_engine(plans["payments"]).score(COLUMNS)


def test_a_request_by_hand(payments_endpoint, plans):
    """One input a column; id and parameters come back; the version may be named."""
    expected = native(plans)
    for path in (INFER, "/v2/models/payments/versions/3/infer"):
        body = {"id": "a-1", "parameters": {"purpose": "test"}, "inputs": inputs()}
        answer = payments_endpoint.client.post(path, json=body).raise_for_status().json()
        labels, probabilities = answer.pop("outputs")
        assert answer == {"model_name": "payments", "model_version": "3", "id": "a-1", "parameters": {"purpose": "test"}}
        assert labels == {"name": "labels", "datatype": "INT64", "shape": [2], "data": list(expected.labels)}
        assert (probabilities["datatype"], probabilities["shape"]) == ("FP64", [2, 2])
        assert np.allclose(np.reshape(probabilities["data"], (2, 2)), expected.probabilities, rtol=1e-9)


def test_the_models_own_words(payments_endpoint):
    client = payments_endpoint.client
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/payments/ready", "/v2/models/payments/versions/3/ready"):
        assert client.get(path).status_code == 200
    said = client.get("/v2/models/payments").json()
    assert said == client.get("/v2/models/payments/versions/3").json()
    assert [(tensor["name"], tensor["datatype"]) for tensor in said["inputs"]] == list(TYPES.items())
    assert [(tensor["name"], tensor["datatype"]) for tensor in said["outputs"]] == [("labels", "INT64"), ("probabilities", "FP64")]
    unknown = client.get("/v2/models/payments/versions/4")
    assert (unknown.status_code, list(unknown.json())) == (404, ["error"])


@pytest.fixture(scope="module")
def stock(payments_endpoint):
    """Triton's own client; neither it nor the endpoint is told about the other."""
    with triton.InferenceServerClient(f"127.0.0.1:{payments_endpoint.port}") as client:
        yield client


def tensors(*, binary):
    arrays = {"amount": np.array([120.0, 20.0]), "hour": np.array([3, 23]), "channel": np.array(["web", "shop"], dtype=object)}
    made = []
    for name, array in arrays.items():
        made.append(triton.InferInput(name, [len(array)], TYPES[name]))
        made[-1].set_data_from_numpy(array, binary_data=binary)
    return made


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("got", [True, False])
def test_tritons_client_works_unchanged(stock, plans, sent, got):
    """Binary and JSON tensors, both ways."""
    expected = native(plans)
    outputs = [triton.InferRequestedOutput(name, binary_data=got) for name in ("probabilities", "labels")]
    result = stock.infer("payments", tensors(binary=sent), outputs=outputs, request_id="r-1")
    assert result.get_response()["id"] == "r-1"
    assert result.as_numpy("labels").tolist() == list(expected.labels)
    assert np.allclose(result.as_numpy("probabilities"), expected.probabilities, rtol=1e-9)
    assert ("binary_data_size" in result.get_output("labels").get("parameters", {})) == got


def test_tritons_client_asks_for_health_and_metadata(stock):
    assert stock.is_server_live()
    assert stock.is_server_ready()
    assert stock.is_model_ready("payments", "3")
    assert not stock.is_model_ready("unheard-of")
    assert stock.get_server_metadata()["name"] == "samovar"
    assert stock.get_model_metadata("payments")["versions"] == ["3"]
    # Asked for nothing by name, the client gets everything, as bytes.
    assert stock.infer("payments", tensors(binary=True), model_version="3").as_numpy("probabilities").shape == (2, 2)


def test_tritons_client_reads_a_refusal(stock):
    with pytest.raises(triton.InferenceServerException, match="amount") as caught:
        stock.infer("payments", tensors(binary=True)[1:])
    assert caught.value.status() == "400"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"inputs": inputs(amount=[SECRET, 1.0])}, "rows[0].amount: Expected a number"),
        ({"inputs": inputs(hour=[1.5, 2])}, "rows[0].hour: Expected an integer"),
        ({"inputs": inputs(amount=[1.0])}, "inputs[1].shape: The inputs differ in length."),
        ({"inputs": inputs()[1:]}, "amount: This column is missing"),
        ({"inputs": [*inputs(), inputs()[0]]}, "columns: A column is given twice."),
        ({"inputs": [inputs()[0] | {"shape": [3]}]}, "inputs[0].data: Expected as many values as the shape says."),
        ({"inputs": [inputs()[0] | {"shape": [-1, -2]}]}, "inputs[0].shape: Expected a shape of at most 8 lengths."),
        ({"inputs": [inputs()[0] | {"shape": [9] * 9000}]}, "inputs[0].shape: Expected a shape of at most 8 lengths."),
        ({"inputs": [inputs()[0] | {"shape": [10**30]}]}, "inputs[0].shape: Expected a shape of at most 8 lengths."),
        ({"inputs": [inputs()[0] | {"shape": [1, 2]}]}, "inputs[0].shape: Expected a column"),
        ({"inputs": [inputs()[0] | {"datatype": SECRET}]}, "inputs[0].datatype: Expected a datatype"),
        ({"inputs": [inputs()[0] | {"data": SECRET}]}, "inputs[0].data: Expected a list of values."),
        ({"inputs": []}, "Expected at least one row."),
        (
            {"inputs": inputs(), "outputs": [{"name": SECRET}]},
            "outputs[0].name: Expected one of",
        ),
        ({"inputs": SECRET}, "inputs: Expected"),
        ({SECRET: 1}, "inputs: Expected"),
        ([SECRET], "inputs: Expected"),
    ],
)
def test_a_wrong_request_is_told_in_the_protocols_shape(payments_endpoint, body, words):
    """One key, ``error``, with the place and what was expected; never what was sent."""
    answer = payments_endpoint.client.post(INFER, json=body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert answer.json()["error"].startswith(words)
    assert SECRET not in answer.text


def binary(*, tail, size, length=None):
    head = json.dumps(
        {"inputs": [*inputs()[1:], {"name": "amount", "shape": [2], "datatype": "FP64", "parameters": {"binary_data_size": size}}]}
    ).encode()
    return head + tail, {"inference-header-content-length": str(len(head) if length is None else length)}


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"tail": np.array([120.0, 20.0]).tobytes(), "size": 16}, 200),
        ({"tail": b"12345678", "size": 16}, 400),
        ({"tail": b"123456789", "size": 9}, 400),
        ({"tail": b"12345678" * 3, "size": 16}, 400),
        ({"tail": b"", "size": -1}, 400),
        ({"tail": b"", "size": "x"}, 400),
        ({"tail": b"1" * 16, "size": 16, "length": 10**9}, 400),
        ({"tail": b"1" * 16, "size": 16, "length": "-1"}, 400),
    ],
)
def test_bytes_behind_the_json_are_measured(payments_endpoint, options, status):
    body, headers = binary(**options)
    assert payments_endpoint.client.post(INFER, content=body, headers=headers).status_code == status


@pytest.mark.parametrize("blob", [b"\x05\x00\x00\x00web", b"\x03\x00\x00", b"\x03\x00\x00\x00\xff\xff\xff"])
def test_text_that_is_cut_or_no_utf8_is_refused(payments_endpoint, blob):
    sized = {"name": "channel", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(blob)}}
    head = json.dumps({"inputs": [sized]}).encode()
    answer = payments_endpoint.client.post(INFER, content=head + blob, headers={"inference-header-content-length": str(len(head))})
    assert (answer.status_code, answer.json()["error"]) == (400, "inputs[0].data: Expected UTF-8 text with its length before it.")
