"""The controller's API as programs see it: typed, versioned, errors as JSON, and closed to strangers."""

from __future__ import annotations

import datetime as dt
import json

import httpx
import jsonschema
import msgspec
import pytest

from samovar import settings as settings_module
from samovar.autoserve import happenings, keyring, main
from samovar.autoserve.access import Access
from samovar.autoserve.api import make_app
from samovar.autoserve.controller import Health
from samovar.autoserve.metrics.controller import ControllerMetrics
from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.status import EndpointStatus
from samovar.errors import SettingsError, StoreUnavailable
from samovar.store import decisions, events
from samovar.store.database import open_database

STATUS = EndpointStatus(endpoint_name("a b", "X"), "a b", "X", 2, 1, "v1", "http://127.0.0.1:8100", "Degraded", "v2 is broken.")


class Controller:
    def __init__(self):
        self.health = Health()
        self.found = [STATUS]
        self.confirmed = 0

    def statuses(self):
        return self.found

    def confirm(self):
        self.confirmed += 1
        return ("m@A",)


class Api:
    """Asks an application without a network."""

    def __init__(self, app):
        self.app = app

    async def _ask(self, method, path, **options):
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **options)

    def __call__(self, path, method="GET", **options):
        import asyncio

        return asyncio.run(self._ask(method, path, **options))


@pytest.fixture
def controller():
    return Controller()


@pytest.fixture
def database(tmp_path):
    database = open_database(settings_module.load(home=tmp_path / "state", _env_file=None))
    yield database
    database.close()


@pytest.fixture
def app(controller, database):
    return make_app(
        controller,
        lambda: True,
        None,
        ControllerMetrics(lambda: controller.health),
        services=lambda: {"gateway": "http://127.0.0.1:8080"},
        history=lambda *chosen: happenings.read(database, *chosen),
    )


@pytest.fixture
def ask(app):
    return Api(app)


def test_answers_are_as_the_document_says(ask, database):
    """Every GET of the OpenAPI document is asked, and its answer held against the schema."""
    with database.begin() as connection:
        events.add(connection, "served", "a b", "X", {"version": 1})
    document = ask("/openapi.json").json()
    asked = 0
    for path, operations in document["paths"].items():
        assert path.startswith(("/api/v1/", "/discovery/"))
        if "get" not in operations:
            continue
        answer = ask(path.format(model="a b", alias="X"))
        schema = operations["get"]["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json(), schema | {"components": document["components"]})
        asked += 1
    assert asked == 6


def test_old_paths_answer_as_before(ask):
    for path in ("/healthz", "/endpoints", "/endpoints/a%20b/X", "/events"):
        assert ask(path).json() == ask(f"/api/v1{path}").json()


def test_one_endpoint_shows_its_place_behind_the_gateway(ask):
    found = ask("/api/v1/endpoints/a%20b/X").json()
    assert msgspec.convert(found, EndpointStatus) == msgspec.structs.replace(STATUS, gateway="http://127.0.0.1:8080/models/a%20b/X")


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/api/v1/endpoints/a%20b/Y", "GET", 404),
        ("/nothing", "GET", 404),
        ("/api/v1/endpoints", "DELETE", 405),
        ("/api/v1/events?limit=hush", "GET", 400),
        ("/api/v1/events?since=hush", "GET", 400),
        ("/discovery/prometheus?host=a/hush", "GET", 400),
    ],
)
def test_errors_are_json_and_echo_nothing(ask, path, method, status):
    answer = ask(path, method)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"kind", "message", "remedy"}
    assert "hush" not in answer.text


def test_a_fault_of_ours_shows_no_trace(ask, controller):
    controller.statuses = lambda: {}["index"]
    answer = ask("/api/v1/endpoints")
    assert (answer.status_code, answer.json()["error"]["kind"]) == (500, "InternalError")
    assert "Traceback" not in answer.text
    assert "index" not in answer.text


def test_a_database_that_is_away_is_said(controller):
    def away(*_):
        raise StoreUnavailable("The database cannot be reached.", remedy="Start it.")

    answer = Api(make_app(controller, lambda: True, history=away))("/api/v1/events")
    assert (answer.status_code, answer.json()["error"]["remedy"]) == (503, "Start it.")


def test_happenings_tell_who_moved_what_and_what_came_of_it(ask, database):
    """Decisions and events in one list, the newest first; a move made elsewhere once; chosen by model, alias, time and number."""
    start = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)

    def at(minutes):
        return start + dt.timedelta(minutes=minutes)

    with database.begin() as connection:
        for minute, kind, model in ((1, "promote", "m"), (3, "external", "m"), (4, "set", "other")):
            decisions.record(
                connection,
                decisions.Decision(
                    key=str(minute), kind=kind, model=model, alias="A", from_version=None, to_version=minute, verdict="approved",
                    reason="better", actor="gate", created_at=at(minute), applied_at=at(minute),
                ),
            )  # fmt: skip
        for minute, kind in ((2, "served"), (3, "external_move"), (5, "degraded")):
            events.put(connection, events.Event(kind=kind, model="m", alias="A", alarm=kind == "degraded", at=at(minute)))
        events.put(connection, events.Event(kind="stopped", model="m", alias="B", at=at(6)))

    def kinds(**params):
        return [row["kind"] for row in ask("/api/v1/events", params=params).json()]

    assert kinds(model="m") == ["stopped", "degraded", "external", "served", "promote"]
    assert kinds(model="m", alias="A", limit=2) == ["degraded", "external"]
    assert kinds(since=at(4).isoformat()) == ["stopped", "degraded"]
    assert kinds(since="2026-11-21T12:05:00") == ["stopped"]
    promoted = ask("/api/v1/events", params={"model": "m"}).json()[-1]
    assert (promoted["actor"], promoted["detail"]) == ("gate", {"to": 1, "reason": "better"})


class TestBeyondTheLoopback:
    """Who is no part of this host needs a key."""

    @pytest.fixture
    def settings(self, tmp_path):
        return settings_module.load(home=tmp_path / "state", autoserve_host="0.0.0.0", _env_file=None)

    def test_it_is_refused_without_keys(self, settings):
        with pytest.raises(SettingsError, match="samovar keys add"):
            Access(settings)

    def test_a_key_is_asked_for_and_may_come_and_go(self, settings, app, controller):
        key = keyring.add(settings.keys_file, "ci")
        access = Access(settings)
        ask = Api(access.guard(app))
        refused = ask("/api/v1/endpoints")
        assert (refused.status_code, refused.json()["error"]["kind"]) == (401, "Unauthorized")
        assert ask("/api/v1/confirm", "POST", headers={"Authorization": "Bearer sk-guess"}).status_code == 401
        assert ask("/metrics").status_code == 401
        assert ask("/openapi.json").status_code == 401
        assert controller.confirmed == 0
        assert ask("/api/v1/healthz").status_code == 200, "a probe has no key"
        assert ask("/webhooks/mlflow", "POST").status_code == 404, "signed instead; there is no doorbell here"
        for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}, {"Authorization": f"Bearer {access.token}"}):
            assert ask("/api/v1/endpoints", headers=headers).status_code == 200
        second = keyring.add(settings.keys_file, "second")
        keyring.remove(settings.keys_file, "ci")
        assert ask("/api/v1/endpoints", headers={"X-API-Key": second}).status_code == 200
        assert ask("/api/v1/endpoints", headers={"X-API-Key": key}).status_code == 401

    def test_the_loopback_asks_nobody_but_lets_no_page_of_a_browser_change_anything(self, tmp_path, app, controller):
        ask = Api(Access(settings_module.load(home=tmp_path / "state", _env_file=None)).guard(app))
        assert ask("/api/v1/confirm", "POST").json() == {"released": ["m@A"]}
        answer = ask("/api/v1/confirm", "POST", headers={"Origin": "https://evil.example"})
        assert (answer.status_code, json.loads(answer.text)["error"]["kind"]) == (403, "Forbidden")
        assert controller.confirmed == 1


@pytest.mark.parametrize("dead", ["lease", "controller"])
def test_a_probe_hears_of_a_loop_that_is_dead(monkeypatch, tmp_path, dead):
    """A controller whose lease nobody keeps stands by for ever: it must be started again."""
    known = settings_module.load(home=tmp_path / "state", doorbell="off", gateway="off", _env_file=None)
    answers, start = [], main._thread

    class Server:
        def __init__(self, config):
            self.app = config.app

        def run(self, sockets):
            answers.append(Api(self.app)("/healthz"))

    def thread(name, work, *given):
        made = start(name, work if name != dead else lambda *_: None, *given)
        if name == dead:
            made.join()
        return made

    monkeypatch.setattr(main.uvicorn, "Server", Server)
    monkeypatch.setattr(main, "_thread", thread)
    main.run(known)
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(503, "dead")]
