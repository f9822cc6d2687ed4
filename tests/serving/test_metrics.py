"""The metrics of DESIGN's promises, read as Prometheus reads them."""

import re

import pytest

from samovar.serving import errors
from samovar.serving.exposition import labels
from samovar.serving.metrics import Metrics

ROW = {"transaction_id": "t-1", "amount": 120.0, "hour": 3, "channel": "web"}
_LINE = re.compile(r"^(?P<name>[a-z_]+)(?P<labels>\{.*\})? (?P<value>[-+0-9.einfa]+)$")


def scrape(client):
    """Return {(name, labels without le): value}, checking the text format on the way."""
    response = client.get("/metrics").raise_for_status()
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    typed, series = set(), {}
    for line in response.text.splitlines():
        if line.startswith("# TYPE"):
            typed.add(line.split()[2])
        elif not line.startswith("#"):
            found = _LINE.match(line)
            assert found, line
            assert re.sub(r"_(bucket|sum|count)$", "", found["name"]) in typed or found["name"] in typed
            series[found["name"], found["labels"] or ""] = float(found["value"])
    return series


def total(series, name):
    return {labels: value for (found, labels), value in series.items() if found == name}


def test_the_promised_ratio_has_the_same_labels_on_both_sides(serve, plans):
    """``rate(api_errors_total) / rate(api_request_duration_seconds_count)`` matches one to one, from the first scrape on."""
    series = scrape(serve(plans["payments"]).client)
    errors, requests = total(series, "api_errors_total"), total(series, "api_request_duration_seconds_count")
    assert errors.keys() == requests.keys()
    assert len(errors) == 5  # a series for each route, and one for what asked for none
    assert set(errors.values()) == set(requests.values()) == {0.0}
    for name in errors:
        assert 'model="payments"' in name
        assert 'alias="Production"' in name


def test_only_our_own_failures_are_errors(serve, plans):
    """A client's mistake counts as a kind, not against the error budget; a failing model counts as both."""
    client = serve(plans["failing"]).client
    good = {"amount": 10.0, "hour": 1, "channel": "web"}
    client.post("/predict", json=good)
    client.post("/predict", json={})
    client.post("/predict", json=good | {"hour": 13})
    client.get("/ping")
    series = scrape(client)
    own = '{model="failing",alias="Production",version="3",endpoint="/predict"'
    assert series["api_request_duration_seconds_count", own + "}"] == 3
    assert series["api_errors_total", own + "}"] == 1
    assert series["samovar_errors_total", own + ',kind="bad_request"}'] == 1
    assert series["samovar_errors_total", own + ',kind="model"}'] == 1
    assert sum(total(series, "api_request_duration_seconds_count").values()) == 3


def test_sizes_and_version_are_told(serve, plans):
    client = serve(plans["payments"]).client
    request = client.build_request("POST", "/predict", json=ROW)
    answer = client.send(request)
    series = scrape(client)
    own = '{model="payments",alias="Production",version="3",endpoint="/predict"}'
    assert series["api_request_size_bytes_sum", own] == len(request.content)
    assert series["api_response_size_bytes_sum", own] == len(answer.content)
    (info,) = total(series, "model_info")
    assert 'version="3"' in info
    assert 'label="1.4.0"' in info
    assert set(total(series, "samovar_exactness_ties").values()) == {float(plans["payments"].ties)}


def test_a_histogram_is_cumulative():
    """Buckets count everything up to their bound, the bound included, and end with +Inf = count."""
    metrics = Metrics({"model": "m"}, ["/predict"], {"version": "1"}, errors.KINDS)
    for rows in (1, 2, 2, 3, 70_000):
        metrics.batch(1, rows)
    text = metrics.render().decode()
    found = [line.split("} ")[1] for line in text.splitlines() if line.startswith("samovar_batch_rows")]
    assert found == ["1", "3", *["4"] * 11, "5", "70008", "5"]


def test_one_table_counts_for_both_sizes():
    """Bytes received and sent are counted by one addition, and come out as two histograms."""
    metrics = Metrics({}, ["/predict"], {"version": "1"}, errors.KINDS)
    for received, sent in ((256, 10), (257, 300), (20_000_000, 300)):
        metrics.routes["/predict"].observe(seconds=0.001, received=received, status=200, sent=sent)
    lines = dict(line.rsplit(" ", 1) for line in metrics.render().decode().splitlines() if not line.startswith("#"))

    def bucket(name, bound):
        return lines[f'{name}_bucket{{version="1",endpoint="/predict",le="{bound}"}}']

    assert [bucket("api_request_size_bytes", bound) for bound in ("256", "1024", "16777216", "+Inf")] == ["1", "2", "2", "3"]
    assert [bucket("api_response_size_bytes", bound) for bound in ("256", "1024", "+Inf")] == ["1", "3", "3"]
    assert lines['api_request_size_bytes_sum{version="1",endpoint="/predict"}'] == "20000513"
    assert lines['api_response_size_bytes_sum{version="1",endpoint="/predict"}'] == "610"


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb"])
def test_hostile_model_names_do_not_break_the_format(name):
    """MLflow accepts nearly any model name; a label value is escaped."""
    text = labels([("model", name)])
    assert "\n" not in text
    value = text[len('{model="') : -2]
    assert value.replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\") == name
