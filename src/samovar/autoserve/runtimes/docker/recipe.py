"""What an endpoint's container is made of. Pure: the same offer gives the same container."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from samovar.autoserve.runtimes.docker import boxes
from samovar.autoserve.runtimes.docker.boxes import PORT, Offer

if TYPE_CHECKING:
    from collections.abc import Mapping

USER = 10_001
"""User and group of our image."""
SECRETS = "/state/secrets"
_PROCESSES = 512
"""Processes and threads of a container: a model that forks without end ends itself."""


class Placement(msgspec.Struct, frozen=True):
    """Where and how endpoints stand on an engine.

    Attributes:
        instance: whose containers are ours; two Samovars on one engine have different ones.
        network: network of the endpoints; made when there is none.
        image: image of ``engine``.
        engine: ``samovar``, or ``mlflow`` for the stock ``mlflow models serve``: compatible, slow to start, and without keys.
        tracking_uri: address of MLflow as containers reach it.
        environment: more variables; no secret among them, for everybody who may ask the engine reads them.
        secrets: variables whose values come as files that only the endpoint's user may read.
        drain_seconds: longest time a replaced container may take to answer what it has.
        linger_seconds: how long a replaced container goes on accepting, until the last router has heard of the new one.
        start_seconds: longest time a container may take until it answers.
    """

    instance: str
    network: str
    image: str
    tracking_uri: str
    engine: Literal["samovar", "mlflow"] = "samovar"
    environment: dict[str, str] = {}
    secrets: dict[str, str] = {}
    drain_seconds: float = 10.0
    linger_seconds: float = 5.0
    start_seconds: float = 180.0


def container(offer: Offer, placement: Placement, *, generation: int, epoch: int) -> dict[str, Any]:
    """Return the body of the request that makes it."""
    host: dict[str, Any] = {
        "NetworkMode": placement.network,
        # A version that fails is not tried for ever: it is made to come back only once it has answered.
        "RestartPolicy": {"Name": "no"},
        "PidsLimit": _PROCESSES,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "Init": offer.engine == "mlflow",  # ours is a good first process itself
        **_limits(offer),
    }
    if "//host.docker.internal" in placement.tracking_uri:
        host["ExtraHosts"] = ["host.docker.internal:host-gateway"]
    body: dict[str, Any] = {
        "Image": offer.image,
        "Cmd": _command(offer),
        "Env": [f"{name}={value}" for name, value in sorted(_environment(offer, placement).items())],
        "Labels": boxes.labels(offer, placement.instance, generation=generation, epoch=epoch),
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "StopSignal": "SIGTERM",
        "StopTimeout": int(placement.drain_seconds) + 10,
        "HostConfig": host,
        "NetworkingConfig": {"EndpointsConfig": {placement.network: {}}},
    }
    if offer.engine == "mlflow":
        body["Entrypoint"] = ["mlflow"]
    return body


def archive(secrets: Mapping[str, str]) -> bytes:
    """Return a tar archive of the secrets as files below ``SECRETS``, to be unpacked in its parent folder."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        folder = tarfile.TarInfo(SECRETS.rpartition("/")[2])
        folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o700, USER, USER
        tar.addfile(folder)
        for name, value in sorted(secrets.items()):
            file = tarfile.TarInfo(f"{folder.name}/{name}")
            file.size, file.mode, file.uid, file.gid = len(value.encode()), 0o400, USER, USER
            tar.addfile(file, io.BytesIO(value.encode()))
    return packed.getvalue()


def _limits(offer: Offer) -> dict[str, int]:
    limits = {}
    if offer.tuning.memory_mb is not None:
        # The limit of one worker, times the workers; no swap beside it, which would only put the end off.
        limits["Memory"] = limits["MemorySwap"] = int(offer.tuning.memory_mb * 1e6) * (offer.tuning.workers or 1)
    if offer.tuning.cpus is not None:
        limits["NanoCpus"] = int(offer.tuning.cpus * 1e9)
    return limits


def _command(offer: Offer) -> list[str]:
    key = offer.key
    if offer.engine == "mlflow":
        where = f"models:/{key.model}/{offer.version}"
        command = ["models", "serve", "--model-uri", where, "--host", "0.0.0.0", "--port", str(PORT), "--env-manager", "local"]  # noqa: S104 - inside a container
        return [*command, "--workers", str(offer.tuning.workers)] if offer.tuning.workers else command
    command = [f"--model={key.model}", f"--alias={key.alias}", f"--version={offer.version}"]
    if offer.tuning.workers:
        command.append(f"--workers={offer.tuning.workers}")
    return [*command, "--trust"] if offer.trusted else command


def _environment(offer: Offer, placement: Placement) -> dict[str, str]:
    known = {"MLFLOW_TRACKING_URI": placement.tracking_uri}
    if offer.engine == "mlflow":
        # The stock image knows no files of secrets.
        return known | placement.secrets | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    return known | placement.environment | {f"{name}_FILE": f"{SECRETS}/{name}" for name in placement.secrets}
