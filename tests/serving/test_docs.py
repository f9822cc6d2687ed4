import re

import msgspec
import pytest

from samovar.serving import docs, openapi
from samovar.serving.config import EndpointConfig


def test_the_specification_says_the_contract(payments_endpoint):
    """Paths, the row's JSON Schema and an example that the endpoint itself takes."""
    document = payments_endpoint.client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert {"/predict", "/batch_predict", "/invocations", "/ping", "/health", "/version", "/metrics"} <= document["paths"].keys()
    row = document["components"]["schemas"]["Row"]
    assert row["properties"]["hour"] == {"type": "integer", "minimum": 0, "maximum": 23}
    assert row["required"] == ["transaction_id", "amount", "hour", "channel"]
    assert list(document["components"]["schemas"]["Answer"]["properties"])[1] == "is_fraud"


@pytest.mark.parametrize("route", ["/predict", "/batch_predict", "/invocations"])
def test_the_documented_example_works(payments_endpoint, route):
    """What the documentation shows can be sent as it stands."""
    document = payments_endpoint.client.get("/openapi.json").json()
    example = document["paths"][route]["post"]["requestBody"]["content"]["application/json"]["example"]
    payments_endpoint.client.post(route, json=example).raise_for_status()


def test_every_reference_resolves(payments_endpoint):
    text = payments_endpoint.client.get("/openapi.json").text
    names = msgspec.json.decode(text)["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(names)


def test_the_page_needs_nothing_from_elsewhere(payments_endpoint):
    """One HTML file, no external asset, and a policy that forbids any."""
    answer = payments_endpoint.client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"""(src|href)=["'](https?:)?//""", answer.text)
    assert "transaction_id" in answer.text
    assert "an integer from 0 to 23" in answer.text


def test_hostile_names_are_escaped(plans):
    config = EndpointConfig(model="<script>alert(1)</script>", alias="A")
    assert b"<script>alert" not in docs.page(plans["payments"], config)


def test_a_model_without_signature_is_documented_without_typed_routes(plans):
    document = openapi.document(plans["bare"], EndpointConfig(model="bare", alias="A"))
    assert "/predict" not in document["paths"]
    assert "/invocations" in document["paths"]
    assert b"no signature" in docs.page(plans["bare"], EndpointConfig(model="bare", alias="A"))
