"""One address for all models: who is reached by which path, what is refused, and that nothing is lost."""

from __future__ import annotations

import http.client
import stat
import threading
import time
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.autoserve.controller import Round
from samovar.autoserve.gateway import paths, program
from samovar.autoserve.gateway.routes import TRANSPORT, routes
from samovar.autoserve.gateway.writer import RoutesWriter
from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.plan import Key
from samovar.autoserve.status import EndpointStatus
from samovar.serving.config import EndpointConfig

NAMES = [
    "plain",
    "a b",
    "\u00dc\u00f1\u00ed \U0001f600 \u6a21\u578b",
    "x" * 200,
    'q?#%;`"\\z',
    "a&b=c+d",
    "(x)!*'",
    "{name}[0-9]+",
    "%2F",
    "a\u0085b",
    "a{{b",  # Traefik runs its file as a template before it reads it as YAML
    '{{ env "HOME" }}',
    "}}`{{`'\"",
]


def js(name):
    """As encodeURIComponent does."""
    return quote(name, safe="!'()*")


def typed(name):
    """As a person types it; the client encodes what it must."""
    return quote(name, safe=":@!$&'()*+,;=")


def test_every_name_is_reached_however_it_is_encoded(gateway, upstream):
    """The endpoint sees its own path, with its query; `Production` is also the model itself."""
    ports = {name: upstream(name) for name in NAMES}
    gateway.route({(name, alias): port for name, port in ports.items() for alias in ("Production", "b-1_X")})
    for name in NAMES:
        for spelled in {quote(name, safe=""), js(name), typed(name)}:
            for below in (f"{spelled}/Production", f"{spelled}/b-1_X", spelled):
                status, said = gateway.ask(f"/models/{below}/v2/models?x=%20y&z", "POST", "{}")
                assert (status, said["name"], said["path"]) == (200, name, "/v2/models?x=%20y&z"), (name, below)


def test_a_name_with_a_line_break_holds_up_nobody(gateway, upstream):
    """Traefik cannot tell an endpoint of such a prefix in a header, and says so; the others are none the worse."""
    gateway.route({("a\nb\r\tc", "Production"): upstream("broken"), ("m", "Production"): upstream("m")})
    assert gateway.ask("/models/a%0Ab%0D%09c/Production/ping")[0] == 500
    assert gateway.ask("/models/m/Production/ping")[1]["name"] == "m"


def test_an_alias_is_only_what_it_is_called(gateway, upstream):
    """A longer one, another one and one of another case are none of it."""
    gateway.route({("m", "Production"): upstream("champion"), ("m", "Prod"): upstream("prod"), ("m2", "X"): upstream("x")})
    assert gateway.ask("/models/m/Prod/ping")[1]["name"] == "prod"
    assert gateway.ask("/models/m/Production/ping")[1]["name"] == "champion"
    assert gateway.ask("/models/m/production/ping")[1]["path"] == "/production/ping", "a path of the champion, which has none"
    assert gateway.ask("/models/m/Prod")[1]["path"] == "/Prod", "an alias called like an endpoint's own path does not hide it"
    assert gateway.ask("/models/m2/ping")[0] == 404, "a model without Production"


@pytest.mark.parametrize(
    "path", ["/", "/models/nope/Production/ping", "/models/", "/api/rawdata", "/dashboard/", "/ping", "/metrics"]
)
def test_what_is_not_there_is_404_in_json(gateway, upstream, path):
    """Whatever the method; nothing of Traefik's or the controller's own is offered, whatever the environment says."""
    gateway.route({("m", "Production"): upstream("m")})
    for method, body in (("GET", None), ("POST", "{}"), ("DELETE", None)):
        status, said = gateway.ask(path, method, body)
        assert (status, said["error"]["kind"]) == (404, "NotFound")


@pytest.mark.parametrize("path", ["/models/m%2FProduction/x", "/models/m/Production%2f..%2f..%2fother/x", "/models/m/%00"])
def test_encoded_tricks_are_refused(gateway, upstream, path):
    gateway.route({("m", "Production"): upstream("m")})
    assert gateway.ask(path)[0] == 400


def test_dots_lead_nowhere_else(gateway, upstream):
    """They are resolved before a model is looked for, never by the endpoint."""
    gateway.route({("m", "Production"): upstream("m"), ("other", "X"): upstream("other")})
    assert gateway.ask("/models/m/Production/../../other/X/ping")[1]["name"] == "other"
    assert gateway.ask("/models/m/Production/../../../x")[0] == 404
    assert gateway.ask("/models/m/Production/./a/../b")[1]["path"] == "/b"


def test_who_asks_cannot_forge_where_from(gateway, upstream):
    """A key is passed on; what says who asked is Traefik's own."""
    gateway.route({("m", "Production"): upstream("m")})
    sent = {"Authorization": "Bearer k", "X-Forwarded-For": "6.6.6.6", "X-Real-Ip": "6.6.6.6", "X-Forwarded-Prefix": "/evil"}
    headers = {name.lower(): value for name, value in gateway.ask("/models/m/ping", headers=sent)[1]["headers"].items()}
    assert headers["authorization"] == "Bearer k"
    assert (headers["x-forwarded-for"], headers["x-real-ip"]) == ("127.0.0.1", "127.0.0.1")
    assert headers["x-forwarded-prefix"].endswith("/models/m")


def test_it_starts_without_anybody(gateway, upstream, eventually):
    """Controller and MLflow gone: the file is all it needs."""
    gateway.route({("m", "Production"): upstream("m")})
    gateway.stop()
    gateway.start()
    eventually(lambda: gateway.ask("/models/m/ping")[0] == 200, 5, "the routes of before")
    assert stat.S_IMODE((gateway.folder / "routes" / "routes.yml").stat().st_mode) == 0o600


def test_a_swap_behind_it_loses_no_request(gateway, agent, fake_plan):
    """Under clients that keep their connections and others that pause; a second later nobody gets the old version."""
    assert _swap(gateway, agent, fake_plan) == []


def test_the_check_for_lost_requests_can_fail(gateway, new_agent, fake_plan):
    """The same with workers that leave at once."""
    assert _swap(gateway, new_agent(endpoint='{"drain_seconds": 0}').start(), fake_plan)


def _swap(gateway, agent, fake_plan):
    """Swap eight times under load, and return what failed."""
    agent.serve(fake_plan(version=1))
    gateway.route({("m", "Production"): agent.serving(1).port})
    stop, failures = threading.Event(), []
    threads = [threading.Thread(target=_client, args=(gateway.port, pause, stop, failures)) for pause in (0, 0, 0, 0, 0.005, 0.3)]
    for thread in threads:
        thread.start()
    for version in range(2, 10):
        agent.serve(fake_plan(version=version))
        agent.serving(version)
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    time.sleep(1.5)  # what the gateway keeps open idles out
    assert gateway.ask("/models/m/Production/")[1].startswith("v9 ")
    return failures


def _client(port, pause, stop, failures):
    """Send one request after the other, and never try again."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    while not stop.wait(pause):
        try:
            connection.request("POST", "/models/m/Production/predict", body=b"{}")
            answer = connection.getresponse()
            if (answer.status, answer.read()[:1]) != (200, b"v"):
                failures.append(answer.status)
        except (OSError, http.client.HTTPException) as error:
            failures.append(repr(error))
            connection.close()
    connection.close()


def test_the_gateway_closes_idle_connections_before_endpoints_do():
    """Else it would write requests into connections that are being closed."""
    assert float(TRANSPORT["forwardingTimeouts"]["idleConnTimeout"].rstrip("s")) < EndpointConfig("m", "a").keep_alive_seconds / 2


def test_routes_are_written_only_when_they_change(tmp_path):
    """A poll each second must not make Traefik read anything; what could not be seen is not taken for gone."""
    writer = RoutesWriter(tmp_path, "http://127.0.0.1:9")
    known = EndpointStatus(endpoint_name("m", "X"), "m", "X", 1, 1, "v1", "http://127.0.0.1:8100", "Ready", "")
    writer(Round((known,), 0.0, whole=True))
    before = (tmp_path / "routes.yml").stat()
    writer(Round((known,), 0.0, whole=True))
    writer(Round((), 0.0, whole=False))
    RoutesWriter(tmp_path, "http://127.0.0.1:9")(Round((known,), 0.0, whole=True))
    after = (tmp_path / "routes.yml").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    writer(Round((), 0.0, whole=True))
    assert "mlflow-serve" not in (tmp_path / "routes.yml").read_text()


SIGNS = st.sampled_from(sorted("aB %25?#&+;='()*!@:$,[]{}\\\"`\u00fc\U0001f600"))


@given(st.text(SIGNS, min_size=1, max_size=8), st.text(SIGNS, min_size=1, max_size=8))
def test_no_two_names_share_a_spelling(one, other):
    """No model takes another's requests."""
    assert one == other or not set(paths.spellings(one)) & set(paths.spellings(other))


def test_the_file_is_plain_ascii():
    """So that neither YAML nor Traefik's rules have an opinion on it."""
    endpoints = {Key(name, "Production"): "http://127.0.0.1:1" for name in NAMES}
    assert msgspec.json.encode(routes(endpoints, "http://127.0.0.1:9")).isascii()


@given(st.text(SIGNS, min_size=1, max_size=8))
def test_no_name_is_a_template(tmp_path_factory, name):
    """Traefik runs what stands in double braces, and one that it cannot run holds up the routes of all."""
    folder = tmp_path_factory.mktemp("routes")
    known = EndpointStatus(endpoint_name(name, "Production"), name, "Production", 1, 1, "v1", "http://h:1", "Ready", "")
    RoutesWriter(folder, "http://127.0.0.1:9")(Round((known,), 0.0, whole=True))
    assert "{{" not in (folder / "routes.yml").read_text()


def test_the_program_tells_traefik_nothing_else(tmp_path):
    """No dashboard, no calls home, no provider but the file."""
    made = program.static(tmp_path, "127.0.0.1:1", "127.0.0.1:2")
    assert set(made) == {"global", "log", "entryPoints", "ping", "metrics", "providers"}
    assert made["global"] == {"checkNewVersion": False, "sendAnonymousUsage": False}
