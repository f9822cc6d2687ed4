"""Whose webhook it is: one for each fleet, so that a restart, another port or another controller finds it again."""

from __future__ import annotations

import hashlib
import secrets
import urllib.parse
from typing import TYPE_CHECKING

from samovar import secret_files

if TYPE_CHECKING:
    from samovar.settings import Settings

SECRET_FILE = "webhook.secret"  # noqa: S105 - the name of a file
IDENTITY_FILE = "webhook.id"


def secret(settings: Settings) -> str:
    """Return what deliveries are signed with: as it was set, else made at the first start; raises ``SettingsError``."""
    if settings.webhook_secret is not None:
        return settings.webhook_secret.get_secret_value()
    return secret_files.kept(settings.state / SECRET_FILE, lambda: secrets.token_urlsafe(32))


def webhook_name(settings: Settings) -> str:
    """Return what this fleet's webhook is called; raises ``SettingsError``.

    A fleet is what shares an app database: its controllers take turns, and each finds the webhook of the one before. With the
    database in the state folder, the fleet is the folder.
    """
    if settings.database_url is not None:
        parts = urllib.parse.urlsplit(settings.database_url)
        shared = "\0".join([parts.scheme.partition("+")[0], parts.netloc.rpartition("@")[2], parts.path])
        return f"samovar-{hashlib.sha256(shared.encode()).hexdigest()[:12]}"
    return f"samovar-{secret_files.kept(settings.state / IDENTITY_FILE, lambda: secrets.token_hex(6))}"
