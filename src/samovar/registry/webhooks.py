"""Webhooks of the registry: MLflow POSTs to an address when an alias moves. Known to MLflow 3.3 and later, on SQL stores only."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from samovar.errors import NotFound, SamovarError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samovar.registry.rest import Rest

_PAGE = 1000
_PATH = "webhooks"
ALIAS_EVENTS = (("MODEL_VERSION_ALIAS", "CREATED"), ("MODEL_VERSION_ALIAS", "DELETED"))
"""Entity and action of an alias that is set (moved too) and of one that is deleted. MLflow tells nothing of tags of registered
models, nor of models renamed or deleted: those are found by polling."""

CACHE_SECONDS = 60.0
"""How long MLflow's server may go by an earlier list of its webhooks, unless it was set otherwise."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook. Its secret cannot be read back.

    Attributes:
        id: MLflow's identifier.
        name: what its maker called it; not unique.
        url: where MLflow sends to.
        events: entity and action of each event that it tells of.
        active: whether it is switched on.
        created_ms: Unix milliseconds.
    """

    id: str
    name: str
    url: str
    events: frozenset[tuple[str, str]]
    active: bool
    created_ms: int


class Webhooks:
    """The webhooks of one MLflow server.

    Args:
        rest: the connection.

    Every method raises RegistryUnavailable when MLflow cannot be reached or cannot read its own webhooks, NotFound when the
    server has no such webhook, or has never heard of webhooks, and UsageError when it refuses the address.
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def list(self) -> list[Webhook]:
        """All webhooks."""
        return list(self._walk())

    def create(self, name: str, url: str, secret: str, description: str) -> Webhook:
        """Make a webhook for moves of aliases."""
        body = {"name": name, "url": url, "secret": secret, "description": description, "events": _events(), "status": "ACTIVE"}
        return _webhook(self._rest.post(_PATH, **body)["webhook"])

    def mend(self, webhook_id: str, url: str, secret: str, description: str) -> Webhook:
        """Make a webhook what it should be, and switch it on."""
        body = {"url": url, "secret": secret, "description": description, "events": _events(), "status": "ACTIVE"}
        return _webhook(self._rest.patch(_path(webhook_id), **body)["webhook"])

    def delete(self, webhook_id: str) -> None:
        """Delete a webhook; no error when it is gone already."""
        try:
            self._rest.delete(_path(webhook_id))
        except NotFound:
            return

    def test(self, webhook_id: str) -> str:
        """Have MLflow send an example now; returns why that failed, empty when the receiver took it."""
        result = self._rest.post(f"{_path(webhook_id)}/test").get("result", {})
        if result.get("success"):
            return ""
        status = result.get("response_status")
        return f"it was answered with status {status}" if status else "MLflow could not send to it"

    def _walk(self) -> Iterator[Webhook]:
        token: str | None = None
        while True:
            answer = self._rest.get(_PATH, max_results=_PAGE, page_token=token)
            yield from (_webhook(found) for found in answer.get("webhooks", []))
            token = answer.get("next_page_token") or None
            if token is None:
                return


def _path(webhook_id: str) -> str:
    return f"{_PATH}/{urllib.parse.quote(webhook_id, safe='')}"


def _events() -> list[dict[str, str]]:
    return [{"entity": entity, "action": action} for entity, action in ALIAS_EVENTS]


def _webhook(found: dict[str, Any]) -> Webhook:
    try:
        return Webhook(
            id=found["webhook_id"],
            name=found["name"],
            url=found["url"],
            events=frozenset((event["entity"], event["action"]) for event in found.get("events", [])),
            active=found.get("status", "ACTIVE") == "ACTIVE",
            created_ms=int(found.get("creation_timestamp", 0)),
        )
    except (KeyError, TypeError, ValueError):
        raise SamovarError("MLflow describes its webhooks in a way that is not understood.") from None
