"""What `samovar up` runs: the services as data, out of the settings."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from pydantic import AliasChoices, SecretStr

from samovar import addresses
from samovar.autoserve import keyring
from samovar.autoserve.gateway import program as gateway
from samovar.autoserve.told import endpoint_config
from samovar.errors import SettingsError
from samovar.settings import LOOPBACK
from samovar.stack import ports
from samovar.stack.state import Plan, Probe, Service

if TYPE_CHECKING:
    from samovar.settings import Settings

_SMALL = {
    "MALLOC_ARENA_MAX": "2",  # glibc's default of eight arenas a core costs tens of megabytes in threaded servers
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PYTHONUNBUFFERED": "1",  # the log of a process that was killed ends with its last line
}
_SECRET = {"home", "database_url", "lake_url", "optuna_storage", "mlflow_tracking_uri", "endpoint_mlflow_uri"}
"""Fields not passed on in the plan: ``home`` is passed as an absolute path, a URL may hold a password."""
SCHEDULER_BEAT = "scheduler.beat"


def make_plan(settings: Settings, chosen: dict[str, int]) -> Plan:
    """Say what shall run for these settings on these ports."""
    urls = {name: f"http://{LOOPBACK}:{port}" for name, port in chosen.items()}
    urls[addresses.AUTOSERVE] = addresses.from_here(settings.autoserve_host, chosen[addresses.AUTOSERVE])
    if settings.auth == "keys" and not settings.autoserve_host.is_loopback:
        keyring.demand(settings.keys_file, str(settings.autoserve_host), what="The controller")
    env = {
        **_SMALL,
        **_explicit(settings),
        "SAMOVAR_HOME": str(settings.state),
        "SAMOVAR_AUTOSERVE_PORT": str(chosen[addresses.AUTOSERVE]),
    }
    services = []
    if local_mlflow(settings):
        if settings.runtime != "process" and settings.endpoint_mlflow_uri is None:
            raise SettingsError(
                "Containers cannot reach the MLflow server that this stack runs at the loopback.",
                remedy="Set MLFLOW_TRACKING_URI to a server in their network.",
            )
        env["MLFLOW_TRACKING_URI"] = urls[addresses.MLFLOW]
        services.append(_mlflow(settings, urls[addresses.MLFLOW], chosen[addresses.MLFLOW]))
    else:
        urls[addresses.MLFLOW] = _without_secrets(settings.mlflow_tracking_uri or "")
        if settings.mlflow_tracking_uri == urls[addresses.MLFLOW]:  # else it holds a password, and stays in the environment
            env["MLFLOW_TRACKING_URI"] = urls[addresses.MLFLOW]
    if settings.runtime == "process":
        services.append(_agent(settings, env))
    services += [_controller(urls[addresses.AUTOSERVE], env), _scheduler(settings, env)]
    if addresses.GATEWAY in chosen:
        urls[addresses.GATEWAY] = addresses.from_here(settings.gateway_host, chosen[addresses.GATEWAY])
        services.append(_gateway(settings, urls, chosen))
    return Plan(
        stack=secrets.token_hex(8),
        logs=str(settings.state / "logs"),
        services=tuple(services),
        addresses=urls,
        ports=tuple(chosen.values()),
    )


def local_mlflow(settings: Settings) -> bool:
    """Whether the stack runs an MLflow server of its own.

    It does unless another one is named. A tracking URI that is the stack's own address (exported in the shell for the plain
    MLflow client) names no other.
    """
    if settings.mlflow_tracking_uri is None:
        return True
    named = urlsplit(settings.mlflow_tracking_uri)
    own = ports.kept(settings).get(addresses.MLFLOW)
    return own is not None and named.hostname in (LOOPBACK, "localhost") and named.port == own


def _explicit(settings: Settings) -> dict[str, str]:
    """Settings that were given, as the variables that children read: also those that came as arguments in Python.

    What is or may hold a secret is left out, since the plan is a file; children inherit it from the caller's environment.
    """
    found = {}
    for name in settings.model_fields_set - _SECRET:
        value, alias = getattr(settings, name), type(settings).model_fields[name].validation_alias
        if isinstance(alias, AliasChoices) and not isinstance(value, SecretStr | None):
            found[str(alias.choices[0])] = str(value)
    return found


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *arguments)


def _mlflow(settings: Settings, url: str, port: int) -> Service:
    """MLflow on SQLite; whatever the caller's shell exports, it is no client of another server."""
    return Service(
        name="mlflow",
        argv=_module("samovar.registry.server", "--folder", str(settings.state / "mlflow"), "--port", str(port)),
        env=_SMALL,
        drop=("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"),
        # Not /health: that answers before MLflow has imported what its first real answer needs, which takes seconds.
        probe=Probe("http", f"{url}/api/2.0/mlflow/registered-models/search?max_results=1"),
        address=url,
    )


def _agent(settings: Settings, env: dict[str, str]) -> Service:
    options = [f"--run-dir={settings.run_dir}", f"--port-base={settings.endpoint_port_base}", f"--host={settings.endpoint_host}"]
    options += [f"--endpoint={endpoint_options(settings)}", f"--hang-seconds={settings.hang_seconds}"]
    if settings.auth == "keys" and not settings.endpoint_host.is_loopback:
        keyring.demand(settings.keys_file, str(settings.endpoint_host))
    if settings.auth == "keys":
        options.append(f"--keys-file={settings.keys_file}")
    options += [f"--workers={settings.workers}", f"--idle-seconds={settings.builder_idle_seconds}"]
    options += [f"--memory-mb={settings.memory_mb or 0}", f"--build-memory-mb={settings.build_memory_mb or 0}"]
    options += [f"--memory-share={settings.memory_share}", f"--cpus={settings.cpus or 0}"]
    options += [f"--environments={settings.environment_folder}"]
    options += [f"--log-level={settings.log_level}", f"--log-format={settings.log_format}"]
    return Service(
        name="agent",
        argv=_module("samovar.autoserve.agent", *options),
        env=env,
        probe=Probe("agent", str(settings.run_dir)),
    )


def endpoint_options(settings: Settings) -> str:
    """Return as JSON what every endpoint is told."""
    told = msgspec.structs.replace(endpoint_config(settings), metrics_dir=str(settings.run_dir / "metrics"))
    return msgspec.json.encode(told).decode()


def _controller(url: str, env: dict[str, str]) -> Service:
    return Service(
        name="autoserve", argv=_module("samovar.autoserve"), env=env, probe=Probe("http", f"{url}/healthz"), address=url, grace=5
    )


def _gateway(settings: Settings, urls: dict[str, str], chosen: dict[str, int]) -> Service:
    """Traefik; in front of endpoints that nobody else reaches, so it demands what they would."""
    if settings.auth == "keys" and not settings.gateway_host.is_loopback:
        keyring.demand(settings.keys_file, str(settings.gateway_host), what="The gateway")
    host, metrics = settings.gateway_host, chosen[addresses.GATEWAY_METRICS]
    options = [f"--program={gateway.find(settings.gateway)}", f"--folder={settings.gateway_folder}"]
    options += [f"--listen={f'[{host}]' if host.version == 6 else host}:{chosen[addresses.GATEWAY]}"]
    options += [f"--metrics={LOOPBACK}:{metrics}"]
    return Service(
        name=addresses.GATEWAY,
        argv=_module("samovar.autoserve.gateway", *options),
        probe=Probe("http", f"http://{LOOPBACK}:{metrics}/ping"),
        address=urls[addresses.GATEWAY],
        grace=12,  # seconds: two more than it gives requests to end
    )


def _scheduler(settings: Settings, env: dict[str, str]) -> Service:
    return Service(
        name="scheduler",
        argv=_module("samovar.stack.scheduler"),
        env=env,
        probe=Probe("beat", str(settings.run_dir / SCHEDULER_BEAT)),
        grace=5,
    )
