"""The registry client against a real MLflow server, and against servers that misbehave."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from samovar.errors import NotFound, RegistryUnavailable, RetryLater, SettingsError, UsageError
from samovar.registry.client import AliasState, Registry


@pytest.fixture
def registry(mlflow_server):
    registry = Registry(mlflow_server, timeout=10)
    yield registry
    registry.close()


@pytest.fixture
def model(registry, request):
    """A registered model of this test alone, with two versions of one run."""
    name = f"model of {request.node.name}"
    experiment = registry.rest.post("experiments/create", name=f"experiment of {request.node.name}")["experiment_id"]
    run = registry.rest.post("runs/create", experiment_id=experiment, start_time=1)["run"]["info"]
    registry.ensure_model(name)
    registry.ensure_model(name)
    for step in ("one", "two"):
        registry.create_version(name, source=f"{run['artifact_uri']}/model", run_id=run["run_id"], tags={"samovar.step": step})
    return name


class TestAliases:
    def test_a_set_alias_is_listed_and_resolves(self, registry, model):
        registry.set_alias(model, "Production", 1)
        registry.set_alias(model, "Production", 2)
        assert AliasState(model, "Production", 2) in registry.aliases()
        found = registry.by_alias(model, "Production")
        assert found is not None
        assert (found.version, found.tags["samovar.step"], found.label) == (2, "two", "v2")

    def test_a_deleted_alias_is_gone_and_deleting_it_again_is_no_error(self, registry, model):
        registry.set_alias(model, "Production", 1)
        registry.delete_alias(model, "Production")
        registry.delete_alias(model, "Production")
        assert registry.by_alias(model, "Production") is None
        assert [state for state in registry.aliases() if state.model == model] == []

    def test_an_unknown_model_has_no_alias(self, registry):
        assert registry.by_alias("no such model", "Production") is None

    def test_an_alias_to_a_version_that_does_not_exist_is_not_found(self, registry, model):
        with pytest.raises(NotFound):
            registry.set_alias(model, "Production", 99)

    def test_an_alias_name_that_mlflow_reserves_is_a_usage_error(self, registry, model):
        with pytest.raises(UsageError, match="MLflow does not accept"):
            registry.set_alias(model, "v1", 1)


class TestVersions:
    def test_versions_come_oldest_first_with_their_tags(self, registry, model):
        registry.set_version_tag(model, 2, "semver", "1.4.0")
        versions = registry.versions(model)
        assert [version.version for version in versions] == [1, 2]
        assert versions[1].label == "1.4.0"
        assert registry.model(model).latest == 2

    def test_a_model_name_with_a_quote_is_found(self, registry, model):
        registry.ensure_model("it's a model")
        assert registry.versions("it's a model") == []

    def test_an_unknown_version_is_not_found(self, registry, model):
        with pytest.raises(NotFound):
            registry.version(model, 99)
        assert registry.versions("no such model") == []

    def test_a_listing_of_several_pages_is_complete(self, registry, model, monkeypatch):
        monkeypatch.setattr("samovar.registry.client._PAGE", 1)
        for name in ("page a", "page b", "page c"):
            registry.ensure_model(name)
        assert {"page a", "page b", "page c", model} <= {found.name for found in registry.models()}


class _Odd(BaseHTTPRequestHandler):
    """A server that answers, but not as MLflow does: first trouble, then what the test wants."""

    answers: ClassVar[list[tuple[int, bytes]]] = []
    asked = 0

    def do_GET(self):
        type(self).asked += 1
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the base class's names

    def log_message(self, *_):
        """Keep the test output clean."""


@pytest.fixture
def odd_server():
    """Start a server with the given answers; the last one repeats."""
    servers = []

    def start(*answers):
        handler = type("Odd", (_Odd,), {"answers": list(answers), "asked": 0})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}", handler

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class TestTrouble:
    def test_a_dead_server_is_one_clear_line_at_once(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(RegistryUnavailable) as failure:
            Registry(f"http://127.0.0.1:{port}", timeout=5).ping()
        assert time.monotonic() - began < 3
        assert str(port) in str(failure.value)
        assert "\n" not in str(failure.value)
        assert "MLFLOW_TRACKING_URI" in failure.value.remedy

    def test_a_server_that_accepts_and_says_nothing_is_given_up_after_the_timeout(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            began = time.monotonic()
            with pytest.raises(RegistryUnavailable, match="in time"):
                Registry(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.3).ping()
            assert time.monotonic() - began < 3

    @pytest.mark.parametrize("body", [b"<html>hello</html>", b"[1, 2]", b'{"registered_models": 7}'])
    def test_another_server_is_not_taken_for_mlflow(self, odd_server, body):
        url, _ = odd_server((200, body))
        with pytest.raises(RegistryUnavailable, match="does not answer as MLflow does"):
            Registry(url).models()

    def test_a_passing_trouble_is_tried_again_when_reading(self, odd_server):
        url, _ = odd_server((503, b"busy"), (200, b"{}"))
        assert Registry(url).models() == []

    def test_a_write_that_reached_the_server_is_not_sent_twice(self, odd_server):
        url, handler = odd_server((503, b"busy"))
        with pytest.raises(RegistryUnavailable):
            Registry(url).set_alias("model", "Production", 1)
        assert handler.asked == 1

    def test_refused_credentials_say_what_to_set_and_never_the_password(self, odd_server):
        url, _ = odd_server((401, b"no"))
        with pytest.raises(RegistryUnavailable) as failure:
            Registry(url.replace("http://", "http://ann:open-sesame@")).ping()
        assert "MLFLOW_TRACKING_PASSWORD" in str(failure.value)
        assert "open-sesame" not in str(failure.value)

    def test_an_address_that_is_no_server_is_a_settings_error(self):
        with pytest.raises(SettingsError, match="sqlite"):
            Registry("sqlite:///mlflow.db").ping()

    def test_no_address_at_all_says_how_to_get_one(self):
        with pytest.raises(RetryLater, match="samovar up"):
            Registry(None).ping()
