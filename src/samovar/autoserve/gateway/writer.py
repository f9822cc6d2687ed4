"""Writes the gateway's routes: only when they changed, and never half."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from samovar.autoserve.agent.ledger import write_atomically
from samovar.autoserve.gateway.routes import routes
from samovar.autoserve.plan import Key

if TYPE_CHECKING:
    from pathlib import Path

    from samovar.autoserve.controller import Round

FILE = "routes.yml"


class RoutesWriter:
    """Listens to the controller's rounds.

    Args:
        folder: where Traefik looks.
        controller: base URL of the controller, as the gateway reaches it.
    """

    def __init__(self, folder: Path, controller: str) -> None:
        self._path = folder / FILE
        self._controller = controller
        self._known: dict[Key, str] | None = None

    def __call__(self, done: Round) -> None:
        """Write the routes after a round, if it saw everything and something changed; raises OSError."""
        if not done.whole:
            return  # what could not be read is not gone
        endpoints = {Key(status.model, status.alias): status.address for status in done.statuses if status.address}
        if endpoints == self._known and self._path.exists():
            return
        data = msgspec.json.format(msgspec.json.encode(routes(endpoints, self._controller))) + b"\n"
        if not self._says(data):
            # Traefik reads all routes anew at whatever happens in their folder.
            write_atomically(self._path, data, drafts=self._path.parent.parent)
        self._known = endpoints

    def _says(self, data: bytes) -> bool:
        try:
            return self._path.read_bytes() == data
        except OSError:
            return False
