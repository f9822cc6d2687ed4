"""The plan says all that children need, and nothing that a file should not hold."""

from __future__ import annotations

import msgspec
import pytest

from samovar import settings as settings_module
from samovar.autoserve import keyring
from samovar.errors import SettingsError
from samovar.serving.config import EndpointConfig
from samovar.stack import ports
from samovar.stack.services import make_plan

PORTS = {"mlflow": 5011, "autoserve": 8091}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads settings of an empty home, with these fields given."""
    for name in ("MLFLOW_PORT", "SAMOVAR_AUTOSERVE_PORT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return lambda **fields: settings_module.load(home=tmp_path, _env_file=None, **fields)


def _service(plan, name):
    return next(service for service in plan.services if service.name == name)


def test_children_learn_the_addresses_and_what_was_set_in_python(load):
    """A child reads its environment only."""
    env = _service(make_plan(load(poll_seconds=0.25, orchestrator="airflow"), PORTS), "autoserve").env
    assert env["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5011"
    assert env["SAMOVAR_AUTOSERVE_PORT"] == "8091"
    assert env["SAMOVAR_POLL_SECONDS"] == "0.25"
    assert env["SAMOVAR_ORCHESTRATOR"] == "airflow"


def test_the_plan_holds_no_secret(load):
    """Passwords come as fields and inside URLs; children inherit them instead."""
    settings = load(
        postgres_password="hush-1",
        database_url="postgresql://me:hush-2@db/app",
        optuna_storage="postgresql://me:hush-3@db/optuna",
        mlflow_tracking_uri="http://me:hush-4@mlflow:5000",
    )
    assert b"hush" not in msgspec.json.encode(make_plan(settings, PORTS))


def test_another_mlflow_that_was_named_is_used(load):
    """No server of our own is started then; everybody learns the address."""
    plan = make_plan(load(mlflow_tracking_uri="http://mlflow:5000"), PORTS)
    assert "mlflow" not in {service.name for service in plan.services}
    assert plan.addresses["mlflow"] == "http://mlflow:5000"
    assert _service(plan, "autoserve").env["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_our_own_address_exported_in_the_shell_names_no_other_server(load, host):
    """As people do who also use the plain MLflow client."""
    ports.keep(load(), PORTS)
    plan = make_plan(load(mlflow_tracking_uri=f"http://{host}:5011"), PORTS)
    assert "mlflow" in {service.name for service in plan.services}


def test_stacks_are_told_apart(load):
    """Two of them on one machine must not end each other's processes."""
    assert make_plan(load(), PORTS).stack != make_plan(load(), PORTS).stack


def _endpoint(plan):
    option = next(word for word in _service(plan, "agent").argv if word.startswith("--endpoint="))
    return msgspec.json.decode(option.removeprefix("--endpoint="), type=EndpointConfig)


def test_endpoints_are_told_their_defaults_where_nothing_is_set(load, tmp_path):
    """A default stands in the settings and in the endpoint's own configuration: they must be the same."""
    told = _endpoint(make_plan(load(), PORTS))
    folders = {"spool_dir": str(tmp_path / "spool"), "metrics_dir": str(tmp_path / "run" / "metrics")}
    assert told == EndpointConfig("", "", **folders)


def test_endpoints_are_told_what_is_set(load):
    """Also where the setting speaks in megabytes and days."""
    told = _endpoint(
        make_plan(
            load(
                body_limit_mb=1,
                max_rows=7,
                deadline_seconds=2,
                keyless_paths="/ping, /metrics",
                prediction_log=False,
                spool_limit_days=1,
            ),
            PORTS,
        )
    )
    assert (told.body_limit, told.max_rows, told.deadline_seconds, told.exempt) == (2**20, 7, 2.0, ("/ping", "/metrics"))
    assert (told.spool_dir, told.spool_limit_seconds) == ("", 86400.0)


def test_an_address_that_strangers_reach_demands_keys_before_anything_starts(load):
    """A key, or the word that none is wanted."""
    with pytest.raises(SettingsError, match="samovar keys add"):
        make_plan(load(endpoint_host="0.0.0.0"), PORTS)
    assert _endpoint(make_plan(load(endpoint_host="0.0.0.0", auth="off"), PORTS)).open_to_all
    settings = load(endpoint_host="0.0.0.0")
    keyring.add(settings.keys_file, "shop")
    plan = make_plan(settings, PORTS)
    assert f"--keys-file={settings.keys_file}" in _service(plan, "agent").argv
    assert not _endpoint(plan).open_to_all
