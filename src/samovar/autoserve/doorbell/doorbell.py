"""The doorbell as one thing: where MLflow rings, who looks after the webhook, and how often to poll meanwhile."""

from __future__ import annotations

import contextvars
import dataclasses
import ipaddress
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from samovar import addresses
from samovar.autoserve.doorbell import identity
from samovar.autoserve.doorbell.bell import PATH, Bell
from samovar.autoserve.doorbell.keeper import DoorbellState, Keeper
from samovar.errors import GiveUp, SettingsError
from samovar.registry.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.registry.client import Registry
    from samovar.settings import Settings

_OFF = DoorbellState("silent", "It is switched off: aliases are found by polling.")


class Doorbell:
    """Takes deliveries in, and keeps them coming.

    Args:
        settings: whether, from where, and how it is signed.
        registry: gives the registry; raises ``RetryLater`` when its address is not known yet.
        ring: wakes the loop.
        host: address that we listen at.
        port: our port.
        active: whether this controller is the one that acts.

    Raises:
        SettingsError: the secret cannot be kept, or the advertised address is none.
    """

    def __init__(  # noqa: PLR0913 - both sides, and where we are
        self,
        settings: Settings,
        registry: Callable[[], Registry],
        ring: Callable[[], None],
        *,
        host: str,
        port: int,
        active: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._keeper: Keeper | None = None
        self.bell: Bell | None = None
        if settings.doorbell == "off":
            return
        secret = identity.secret(settings)
        self.bell = Bell(secret, ring)
        self._reachable = _Reachable(settings, host, port)
        self._keeper = Keeper(
            lambda: self._reachable.checked(Webhooks(registry().rest)),
            self.bell,
            name=identity.webhook_name(secret),
            url=self._reachable.url,
            secret=secret,
            active=active,
        )

    def start(self, stop: threading.Event) -> None:
        """Look after the webhook until stopped, in a thread of its own: MLflow may take its time."""
        if self._keeper is not None:
            target = contextvars.copy_context().run
            threading.Thread(target=target, args=(self._keeper.run, stop), name="doorbell", daemon=True).start()

    @property
    def state(self) -> DoorbellState:
        """How it is now."""
        return self._keeper.state if self._keeper is not None else _OFF

    def poll_seconds(self) -> float:
        """How long the loop may wait for somebody to ring."""
        quick = self._settings.poll_seconds
        return max(quick, self._settings.doorbell_poll_seconds) if self.state.settled else quick

    def report(self) -> dict[str, Any]:
        """Say how it is, for people and machines."""
        deliveries = dict(self.bell.counts) if self.bell is not None else {}
        return {**dataclasses.asdict(self.state), "deliveries": deliveries}


class _Reachable:
    """Where MLflow reaches us, if it can."""

    def __init__(self, settings: Settings, host: str, port: int) -> None:
        self._settings = settings
        self._local_only = settings.advertised_url is None and ipaddress.ip_address(host).is_loopback
        self._unknown = settings.advertised_url is None and ipaddress.ip_address(host).is_unspecified
        if self._unknown:
            host = "127.0.0.1" if ":" not in host else "::1"
        self.url = (_base(settings.advertised_url) if settings.advertised_url else f"http://{_bracketed(host)}:{port}") + PATH

    def checked(self, webhooks: Webhooks) -> Webhooks:
        """Return what it was given; raises ``GiveUp`` where MLflow runs on another host and was told no way to ours."""
        if (self._local_only or self._unknown) and not _is_here(addresses.tracking_uri(self._settings)):
            raise GiveUp(
                "MLflow runs on another host and knows no address of autoserve.",
                remedy="Set SAMOVAR_ADVERTISED_URL (and SAMOVAR_AUTOSERVE_HOST).",
            )
        return webhooks


def _base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise SettingsError(
            "SAMOVAR_ADVERTISED_URL is no address of a server.", remedy="Set it to http://HOST:PORT or https://HOST[:PORT]."
        )
    return url.rstrip("/")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
