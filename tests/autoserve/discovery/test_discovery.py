"""What Prometheus discovers; by a real Prometheus where this machine has one."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import uvicorn

from samovar.autoserve.api import make_app
from samovar.autoserve.controller import Health, Round
from samovar.autoserve.discovery.targets import probed, scraped
from samovar.autoserve.metrics.controller import ControllerMetrics
from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.status import EndpointStatus

SERVICES = {
    "mlflow": "https://me:hush@mlflow.example/sub/",
    "autoserve": "http://127.0.0.1:8090",
    "gateway": "http://127.0.0.1:8080",
    "gateway-metrics": "http://127.0.0.1:8082",
}


def status(model="a b", alias="Production", port=8100, serving=3):
    return EndpointStatus(
        endpoint_name(model, alias), model, alias, 3, serving, "v3", f"http://127.0.0.1:{port}" if port else "", "Ready", ""
    )


def test_endpoints_and_services_are_found_by_their_labels():
    """Strings only, as Prometheus demands; what has no address yet is left out."""
    groups = scraped([status(), status("new", port=0), status("starts", port=8101, serving=None)], SERVICES)
    assert groups[0] == {
        "targets": ["127.0.0.1:8100"],
        "labels": {
            "model": "a b",
            "alias": "Production",
            "version": "3",
            "service": endpoint_name("a b", "Production"),
            "instance": "127.0.0.1:8100",
            "project": "mlops",
            "__metrics_path__": "/metrics",
        },
    }
    assert [(group["targets"], group["labels"]["service"]) for group in groups[2:]] == [
        (["127.0.0.1:8090"], "mlflow-autoserve"),
        (["127.0.0.1:8082"], "mlflow-gateway"),
    ]
    assert all(isinstance(value, str) for group in groups for value in group["labels"].values())


def test_health_addresses_are_whole_and_hold_no_password():
    groups = probed([status()], SERVICES)
    assert [group["targets"] for group in groups] == [
        ["http://127.0.0.1:8100/health"],
        ["http://127.0.0.1:8090/healthz"],
        ["http://127.0.0.1:8082/ping"],
        ["https://mlflow.example:443/sub/health"],
    ]
    assert "hush" not in json.dumps(groups)


def test_a_prometheus_elsewhere_is_told_the_name_of_this_host():
    """Other hosts' addresses stay as they are."""
    groups = scraped([status()], SERVICES, "samovar.example") + probed([], SERVICES, "samovar.example")
    assert groups[0]["targets"] == ["samovar.example:8100"]
    assert groups[-1]["targets"] == ["https://mlflow.example:443/sub/health"]


class Controller:
    def __init__(self):
        self.found = []
        self.health = Health()

    def statuses(self):
        return self.found


@pytest.fixture
def controller():
    return Controller()


@pytest.fixture
def address(controller):
    """``host:port`` of a controller's API."""
    listener = socket.create_server(("127.0.0.1", 0))
    where = f"127.0.0.1:{listener.getsockname()[1]}"
    metrics = ControllerMetrics(lambda: controller.health)
    metrics(Round((status(),), 0.01, whole=True))
    app = make_app(controller, lambda: True, None, metrics, services=lambda: {"autoserve": f"http://{where}"})
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield where
    server.should_exit = True
    thread.join(5)


@pytest.fixture
def endpoint():
    """Port of an endpoint whose metrics carry their own model, alias and version."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            own = 'model="a b",alias="Production"'
            body = "".join(f'api_requests_total{{{own},version="{version}"}} {version}\n' for version in (2, 3)).encode()
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def _config(address, *, honest):
    """As the documentation says; not so with ``honest`` off."""
    return f"""
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
scrape_configs:
  - job_name: samovar
    honor_labels: {str(honest).lower()}
    http_sd_configs: [{{url: "http://{address}/discovery/prometheus", refresh_interval: 1s}}]
"""


@pytest.fixture
def prometheus(tmp_path, address, free_port, eventually):
    """Starts Prometheus, and asks it."""
    started = []

    def start(*, honest=True):
        port = free_port()
        (tmp_path / "prometheus.yml").write_text(_config(address, honest=honest))
        command = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
        with (tmp_path / "log").open("wb") as log:
            command.append(f"--web.listen-address=127.0.0.1:{port}")
            started.append(subprocess.Popen(command, stdout=log, stderr=log))

        def ask(query):
            url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    return json.load(answer)["data"]["result"]
            except urllib.error.URLError:
                return []

        return lambda query: eventually(lambda: ask(query), 20, f"an answer to {query}")

    yield start
    for process in started:
        process.kill()
        process.wait()


needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="no Prometheus on this machine")


@needs_prometheus
def test_prometheus_scrapes_what_it_discovers(prometheus, controller, endpoint):
    """Endpoint and controller are up under the promised labels, and the series keep the version that they speak of."""
    controller.found = [status(port=endpoint)]
    ask = prometheus()
    (up,) = ask('up{model="a b",alias="Production",version="3",project="mlops"} == 1')
    assert up["metric"]["service"] == endpoint_name("a b", "Production")
    assert up["metric"]["instance"] == f"127.0.0.1:{endpoint}"
    versions = {row["metric"]["version"] for row in ask('api_requests_total{model="a b"}')}
    assert versions == {"2", "3"}
    assert ask('samovar_endpoints{service="mlflow-autoserve",condition="Ready"} == 1')
    assert ask("samovar_swap_seconds_count")


@needs_prometheus
def test_without_honor_labels_the_version_of_before_is_lost(prometheus, controller, endpoint):
    """Why the documentation asks for it."""
    controller.found = [status(port=endpoint)]
    rows = prometheus(honest=False)('api_requests_total{model="a b"}')
    assert {row["metric"]["version"] for row in rows} == {"3"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on this machine")
def test_promtool_accepts_the_metrics_and_the_configuration(address, tmp_path):
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        text = answer.read()
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "p.yml").write_text(_config(address, honest=True))
    assert subprocess.run(["promtool", "check", "config", tmp_path / "p.yml"], capture_output=True, check=False).returncode == 0
