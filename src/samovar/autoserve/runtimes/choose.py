"""Which runtime runs the endpoints, as the settings say. Each brings its own libraries, so only the chosen one is imported."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from samovar import addresses
from samovar.autoserve.lease import DatabasePlace
from samovar.errors import SettingsError
from samovar.settings import variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.autoserve.lease import Place
    from samovar.autoserve.runtimes.base import Runtime
    from samovar.autoserve.runtimes.docker.recipe import Placement
    from samovar.registry.client import Registry, Version
    from samovar.settings import Settings
    from samovar.store.database import Database

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_TOLD = (
    "auth",
    "batch_rows",
    "body_limit_mb",
    "build_seconds",
    "compile",
    "deadline_seconds",
    "drain_seconds",
    "hang_seconds",
    "keyless_paths",
    "log_level",
    "max_connections",
    "max_rows",
    "mlflow_timeout",
    "queue_jobs",
    "workers",
)
"""Settings that an endpoint in a container is told."""
_START_MARGIN = 60.0  # seconds beside the build: start of the container, fetching, loading


def container_runtime(settings: Settings, registry: Callable[[], Registry], trusted: Callable[[str, int], bool]) -> Runtime:
    """Return the runtime for endpoints in containers.

    Args:
        settings: the settings; ``runtime`` is ``docker`` or ``kubernetes``.
        registry: gives the registry.
        trusted: whether a person trusted a version.

    Raises:
        SettingsError: something that it needs is not set, or wrong.
    """

    def version(model: str, number: int) -> Version:
        return registry().version(model, number)

    return _kubernetes(settings, version, trusted) if settings.runtime == "kubernetes" else _docker(settings, registry, trusted)


def world(settings: Settings) -> str:
    """Name what two controllers must not both change; empty for this host's own processes."""
    if settings.runtime == "docker":
        return f"docker {settings.docker_host} {settings.instance}"
    if settings.runtime == "kubernetes":
        return f"kubernetes {settings.kubeconfig} {settings.kubernetes_namespace} {settings.instance}"
    return ""


def lease_place(settings: Settings, database: Callable[[], Database]) -> Place:
    """Return where controllers that must not both act write their lease: a cluster keeps it itself.

    Raises:
        SettingsError: no cluster is configured.
    """
    if settings.runtime != "kubernetes":
        return DatabasePlace(database)
    from samovar.autoserve.runtimes.kubernetes.cluster import connect  # noqa: PLC0415 - only where pods run
    from samovar.autoserve.runtimes.kubernetes.lease import ClusterPlace  # noqa: PLC0415

    return ClusterPlace(connect(settings.kubeconfig, settings.kubernetes_namespace))


def tracking_uri(settings: Settings) -> str:
    """Return the address of MLflow as containers reach it, without credentials.

    Raises:
        SettingsError: it is this host's loopback, which inside a container is the container itself.
    """
    uri = settings.endpoint_mlflow_uri or addresses.tracking_uri(settings)
    parts = urlsplit(uri)
    if settings.endpoint_mlflow_uri is None and parts.hostname in _LOOPBACK:
        raise SettingsError(
            "Containers cannot reach MLflow at this host's loopback.",
            remedy="Set SAMOVAR_ENDPOINT_MLFLOW_URI to its address in their network.",
        )
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def placement(settings: Settings) -> Placement:
    """Return where and how endpoints stand on a Docker Engine, with the API keys of now.

    Raises:
        SettingsError: nobody would be asked for a key and ``auth`` is not off; or the stock engine, which asks nobody, is not open.
    """
    from samovar.autoserve.runtimes.docker.recipe import Placement  # noqa: PLC0415 - only where containers run

    environment = {variable(name): str(getattr(settings, name)) for name in _TOLD} | {"LOG_FORMAT": "json"}
    if settings.auth == "keys":
        if settings.docker_engine == "mlflow":
            raise SettingsError("The stock `mlflow models serve` asks nobody for a key.", remedy="Set SAMOVAR_AUTH=off to open it.")
        environment["SAMOVAR_API_KEY_HASHES"] = ",".join(_hashes(settings))
    uri = urlsplit(settings.endpoint_mlflow_uri or addresses.tracking_uri(settings))
    inside = {"MLFLOW_TRACKING_USERNAME": uri.username, "MLFLOW_TRACKING_PASSWORD": uri.password}
    known = {name: os.environ[name] for name in _CREDENTIALS if os.environ.get(name)} | {
        name: value for name, value in inside.items() if value
    }
    return Placement(
        instance=settings.instance,
        network=settings.docker_network,
        image=settings.endpoint_image,
        tracking_uri=tracking_uri(settings),
        engine=settings.docker_engine,
        environment=environment,
        secrets=known,
        drain_seconds=settings.drain_seconds,
        linger_seconds=settings.docker_linger_seconds,
        start_seconds=settings.build_seconds + _START_MARGIN,
    )


def _hashes(settings: Settings) -> tuple[str, ...]:
    from samovar.autoserve import keyring  # noqa: PLC0415 - only where containers run

    given = tuple(part for part in settings.api_key_hashes.split(",") if part)
    if not given:
        keyring.demand(settings.keys_file, "all addresses of their network")
    return (*given, *keyring.hashes(settings.keys_file))


def _docker(settings: Settings, registry: Callable[[], Registry], trusted: Callable[[str, int], bool]) -> Runtime:
    from samovar.autoserve.runtimes.docker.engine import Engine  # noqa: PLC0415 - only where containers run
    from samovar.autoserve.runtimes.docker.proving import Prover  # noqa: PLC0415
    from samovar.autoserve.runtimes.docker.runtime import DockerRuntime  # noqa: PLC0415

    placement(settings)  # what is wrong is said at the start, not at the first endpoint
    return DockerRuntime(
        Engine(settings.docker_host),
        lambda: placement(settings),
        lambda model, number: registry().version(model, number),
        trusted,
        Prover(lambda model, number: _example(registry(), model, number)),
    )


def _example(registry: Registry, model: str, number: int) -> bytes:
    """Return a version's input example as MLflow stored it for its own server; empty when it has none."""
    from samovar.errors import NotFound  # noqa: PLC0415
    from samovar.registry.files import read_one  # noqa: PLC0415

    try:
        return read_one(registry, registry.download_uri(registry.version(model, number)), "serving_input_example.json")
    except NotFound:
        return b""


def _kubernetes(settings: Settings, version: Callable[[str, int], Version], trusted: Callable[[str, int], bool]) -> Runtime:
    from samovar.autoserve.runtimes.kubernetes.cluster import connect  # noqa: PLC0415 - only where pods run
    from samovar.autoserve.runtimes.kubernetes.placement import Placement  # noqa: PLC0415
    from samovar.autoserve.runtimes.kubernetes.runtime import KubernetesRuntime  # noqa: PLC0415

    where = Placement(
        namespace=settings.kubernetes_namespace,
        image=settings.endpoint_image,
        tracking_uri=tracking_uri(settings),
        instance=settings.instance,
        secret=settings.kubernetes_secret,
        open_to_all=settings.auth == "off",
        replicas=settings.workers,
        max_replicas=settings.kubernetes_max_replicas,
        gateway=settings.kubernetes_gateway,
        drain_seconds=int(settings.drain_seconds),
    )
    return KubernetesRuntime(connect(settings.kubeconfig, settings.kubernetes_namespace), where, version, trusted)
