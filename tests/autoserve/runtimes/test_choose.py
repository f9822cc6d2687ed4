"""Which runtime the settings choose, and what they must say before anything runs in a container."""

from __future__ import annotations

import pytest

from samovar import settings as settings_module
from samovar.autoserve import keyring
from samovar.autoserve.runtimes import choose
from samovar.autoserve.runtimes.docker.runtime import DockerRuntime
from samovar.errors import SettingsError

SECRET = "a-password-of-mlflow"


@pytest.fixture
def load(tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def load(**given):
        given = {"mlflow_tracking_uri": "http://mlflow:5000", "runtime": "docker", "auth": "off"} | given
        return settings_module.load(home=tmp_path, _env_file=None, **given)

    return load


def test_docker_is_chosen_without_asking_the_engine_yet(load):
    """It may come up later than we do."""
    settings = load(docker_host="unix:///nowhere/docker.sock")
    assert isinstance(choose.container_runtime(settings, lambda: None, lambda *_: False), DockerRuntime)


def test_an_address_that_is_no_engines_is_said(load):
    with pytest.raises(SettingsError, match="DOCKER_HOST"):
        choose.container_runtime(load(docker_host="ssh://elsewhere"), lambda: None, lambda *_: False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_mlflow_at_the_loopback_is_refused_unless_its_other_address_is_said(load, host):
    uri = f"http://{host}:5000"
    with pytest.raises(SettingsError, match="SAMOVAR_ENDPOINT_MLFLOW_URI"):
        choose.placement(load(mlflow_tracking_uri=uri))
    told = choose.placement(load(mlflow_tracking_uri=uri, endpoint_mlflow_uri="http://mlflow:5000"))
    assert told.tracking_uri == "http://mlflow:5000"


def test_keys_are_demanded_unless_everybody_is_let_in(load):
    settings = load(auth="keys")
    with pytest.raises(SettingsError, match="samovar keys add"):
        choose.placement(settings)
    key = keyring.add(settings.keys_file, "somebody")
    told = choose.placement(settings).environment["SAMOVAR_API_KEY_HASHES"]
    assert told.startswith("sha256$")
    assert key not in told


def test_the_stock_server_which_knows_no_keys_must_be_opened_on_purpose(load):
    with pytest.raises(SettingsError, match="SAMOVAR_AUTH=off"):
        choose.placement(load(auth="keys", docker_engine="mlflow"))
    assert choose.placement(load(docker_engine="mlflow")).engine == "mlflow"


def test_credentials_travel_as_secrets_and_never_as_environment(load, monkeypatch):
    """Whether the address holds them or the environment does."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
    told = choose.placement(load(mlflow_tracking_uri=f"http://admin:{SECRET}@mlflow:5000"))
    assert told.secrets == {
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": SECRET,
        "MLFLOW_TRACKING_TOKEN": SECRET,
    }
    assert SECRET not in str(told.environment) + told.tracking_uri


def test_two_controllers_of_one_engine_share_a_lease_wherever_they_run(load):
    assert choose.world(load()) == choose.world(load(docker_network="other")) != choose.world(load(instance="other"))
    assert choose.world(load(runtime="process")) == ""
