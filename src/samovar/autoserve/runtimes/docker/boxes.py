"""An endpoint's containers, read from what the engine lists: labels say what each serves, names say which part it plays."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.plan import Key
from samovar.autoserve.tuning import PLAIN, Tuning

PROJECT = "mlops"
PORT = 8080
RETIRED = ".retired"

Role = Literal["current", "candidate", "retired"]
"""``current``: has the endpoint's name, so clients come to it. ``candidate``: must prove itself. ``retired``: answers what came."""


class Offer(msgspec.Struct, frozen=True):
    """A version to be served by an endpoint; all of it is written on the container.

    Attributes:
        key: model and alias.
        version: number in the registry.
        label: what answers call it.
        origin: tells it from a later version of the same number.
        image: image of its container.
        engine: ``samovar``, or ``mlflow`` for the stock ``mlflow models serve``.
        format: format of plans that its image was asked to make; 0 for the stock engine.
        tuning: how it is served.
        trusted: whether a person trusted its files, which may then run code.
    """

    key: Key
    version: int
    label: str
    origin: str
    image: str
    engine: Literal["samovar", "mlflow"] = "samovar"
    format: int = 0
    tuning: Tuning = PLAIN
    trusted: bool = False


class Box(msgspec.Struct, frozen=True):
    """One container.

    Attributes:
        id: its id.
        name: its name.
        role: see ``Role``.
        state: ``created``, ``running``, ``restarting``, ``exited``, ``dead``, ... as the engine says.
        healthy: what its own health check says; None when it does not say yet.
        address: where it answers on the endpoints' network; empty while it does not run.
        created: seconds since the epoch.
        generation: grows with each container of an endpoint.
        epoch: lease of the controller that made it.
        offer: what it serves.
    """

    id: str
    name: str
    role: Role
    state: str
    healthy: bool | None
    address: str
    created: float
    generation: int
    epoch: int
    offer: Offer


def owned(instance: str) -> dict[str, str]:
    """Return the labels of all that is this Samovar's."""
    return {"project": PROJECT, "samovar.instance": instance}


def labels(offer: Offer, instance: str, *, generation: int, epoch: int) -> dict[str, str]:
    """Write an offer as labels: the promised ones for people and dashboards, and our own."""
    key = offer.key
    return {
        **owned(instance),
        "model": key.model,
        "alias": key.alias,
        "service": endpoint_name(*key),
        "samovar.version": str(offer.version),
        "samovar.label": offer.label,
        "samovar.origin": offer.origin,
        "samovar.image": offer.image,
        "samovar.engine": offer.engine,
        "samovar.format": str(offer.format),
        "samovar.tuning": msgspec.json.encode(offer.tuning).decode(),
        "samovar.trusted": str(int(offer.trusted)),
        "samovar.generation": str(generation),
        "samovar.epoch": str(epoch),
    }


def read(found: dict[str, Any], network: str) -> Box | None:
    """Read one entry of the engine's list; None when its labels are not as Samovar writes them."""
    try:
        said = found["Labels"] or {}
        key = Key(said["model"], said["alias"])
        offer = Offer(
            key,
            int(said["samovar.version"]),
            said["samovar.label"],
            said["samovar.origin"],
            said["samovar.image"],
            msgspec.convert(said["samovar.engine"], Literal["samovar", "mlflow"]),
            int(said["samovar.format"]),
            msgspec.json.decode(said["samovar.tuning"], type=Tuning),
            said["samovar.trusted"] == "1",
        )
        generation, epoch = int(said["samovar.generation"]), int(said["samovar.epoch"])
        name = found["Names"][0].lstrip("/")
    except (KeyError, IndexError, ValueError, msgspec.MsgspecError):
        return None
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    return Box(
        id=found["Id"],
        name=name,
        role=_role(name, key),
        state=found["State"],
        healthy=_health(found.get("Status", "")),
        address=(networks.get(network) or {}).get("IPAddress", ""),
        created=float(found.get("Created", 0)),
        generation=generation,
        epoch=epoch,
        offer=offer,
    )


def candidate_name(key: Key, generation: int) -> str:
    """Name a container that must prove itself first."""
    return f"{endpoint_name(*key)}.{generation}"


def retired_name(key: Key, generation: int) -> str:
    """Name a container that only answers what it has."""
    return candidate_name(key, generation) + RETIRED


def _role(name: str, key: Key) -> Role:
    if name == endpoint_name(*key):
        return "current"
    return "retired" if name.endswith(RETIRED) else "candidate"


def _health(status: str) -> bool | None:
    return True if "(healthy)" in status else False if "(unhealthy)" in status else None
