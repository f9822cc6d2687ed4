"""Who may ask the controller: this host; and with a key, whoever reaches an address beyond the loopback."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.autoserve import keyring
from samovar.autoserve.doorbell import bell
from samovar.autoserve.gateway.routes import UNKNOWN
from samovar.errors import SamovarError
from samovar.logs import get_logger
from samovar.serving.keys import Keys, hashed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping
    from pathlib import Path

    from samovar.settings import Settings

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = get_logger(__name__)

OPEN = frozenset({"/healthz", "/api/v1/healthz", bell.PATH, UNKNOWN})
"""Paths that need no key: a probe, what is signed instead, and what tells nothing."""


class Access:
    """What the API asks of who comes.

    Args:
        settings: where it listens, and where keys are.

    Raises:
        SettingsError: strangers could reach it and would be asked for no key.
    """

    def __init__(self, settings: Settings) -> None:
        host = settings.autoserve_host
        self.token = secrets.token_urlsafe(32)
        """Lets in who can read our address file, so that the command line needs no key on this host."""
        self.asks = not host.is_loopback and settings.auth == "keys"
        self._own = hashed(self.token)
        self._exempt = OPEN | {path.strip() for path in settings.keyless_paths.split(",") if path.strip()}
        self._file = settings.keys_file
        if self.asks:
            keyring.demand(self._file, str(host), what="The controller")
        elif not host.is_loopback:
            log.warning("the controller answers everybody who can reach it")
        self._known = _Reread(self._file)

    def admits(self, path: str, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether a request may be answered; headers have lower-case names."""
        return not self.asks or Keys((self._own, *self._known.hashes()), self._exempt).admits(path, headers)

    def guard(self, app: App) -> App:
        """Put the question before an application."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            headers = dict(scope["headers"])
            if not self.admits(scope["path"], headers):
                await _refuse(send, 401, "It needs an API key.", "Send it as `Authorization: Bearer KEY`.")
            elif scope["method"] not in ("GET", "HEAD") and b"origin" in headers and scope["path"] not in OPEN:
                # No page has business here: without this any page in a browser of this host could confirm a deletion.
                await _refuse(send, 403, "Browsers may only read here.", "Use the command line.")
            else:
                await app(scope, receive, send)

        return guarded


class _Reread:
    """The keys of a file, read again whenever it changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._hashes: tuple[str, ...] = ()

    def hashes(self) -> tuple[str, ...]:
        """Return them; those of before where the file cannot be read now."""
        try:
            found = self._path.stat()
        except OSError:
            return self._hashes
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            try:
                self._hashes, self._stamp = keyring.hashes(self._path), stamp
            except SamovarError as error:
                log.warning("the keys stay as they were", reason=str(error))
        return self._hashes


async def _refuse(send: Send, status: int, message: str, remedy: str) -> None:
    kind = {401: "Unauthorized", 403: "Forbidden"}[status]
    body = msgspec.json.encode({"error": {"kind": kind, "message": message, "remedy": remedy}})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
