"""The API's OpenAPI: its schemas are the structures that are answered with, so that no second description can differ from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from fastapi.openapi.utils import get_openapi

from samovar.autoserve.controller import Health as ControllerHealth
from samovar.autoserve.doorbell.keeper import DoorbellState
from samovar.autoserve.happenings import Happening
from samovar.autoserve.status import EndpointStatus

if TYPE_CHECKING:
    from fastapi import FastAPI

_REF = "#/components/schemas/{name}"


class Error(msgspec.Struct, frozen=True):
    """What is wrong.

    Attributes:
        kind: name of the error.
        message: what is wrong, in one sentence.
        remedy: what to do about it.
    """

    kind: str
    message: str
    remedy: str


class Failure(msgspec.Struct, frozen=True):
    """The answer to a request that failed."""

    error: Error


class Released(msgspec.Struct, frozen=True):
    """Endpoints that may end now, as ``model@alias``."""

    released: tuple[str, ...]


class Woken(msgspec.Struct, frozen=True):
    """The loop looks at the registry now."""

    status: str


class Group(msgspec.Struct, frozen=True):
    """Targets of Prometheus that have the same labels."""

    targets: tuple[str, ...]
    labels: dict[str, str]


_STRUCTURES = (EndpointStatus, ControllerHealth, DoorbellState, Failure, Released, Woken, Happening, Group)
_LISTS = {"Endpoints": "EndpointStatus", "Happenings": "Happening", "Groups": "Group"}


def answers(ok: str | None, *others: tuple[int, str]) -> dict[int | str, dict[str, Any]]:
    """Say which schema each status is answered with."""
    stated = {200: ok, **dict(others)} if ok else dict(others)
    return {status: {"description": name, "content": _content(name)} for status, name in stated.items() if name}


def describe(app: FastAPI) -> None:
    """Have the application's OpenAPI carry the structures."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            app.openapi_schema.setdefault("components", {})["schemas"] = _schemas()
            _say_errors(app.openapi_schema)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=name)}}}


def _schemas() -> dict[str, Any]:
    _, found = msgspec.json.schema_components(_STRUCTURES, ref_template=_REF)
    health = found["Health"]
    health["properties"] |= {
        "status": {"enum": ["ok", "dead"]},
        "doorbell": {"anyOf": [{"$ref": _REF.format(name="DoorbellState")}, {"type": "null"}]},
    }
    found["DoorbellState"]["properties"]["deliveries"] = {"type": "object", "additionalProperties": {"type": "integer"}}
    lists = {name: {"type": "array", "items": {"$ref": _REF.format(name=item)}} for name, item in _LISTS.items()}
    return found | lists


def _say_errors(document: dict[str, Any]) -> None:
    """Replace FastAPI's own description of a wrong request: ours is answered with 400, and looks like every other failure."""
    for path in document["paths"].values():
        for operation in path.values():
            if operation["responses"].pop("422", None) is not None:
                operation["responses"]["400"] = {"description": "Failure", "content": _content("Failure")}
