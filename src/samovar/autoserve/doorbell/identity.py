"""Whose webhook it is: one for each secret, so that a restart, another port or a controller that takes over finds it again."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from samovar import secret_files
from samovar.errors import SettingsError

if TYPE_CHECKING:
    from samovar.settings import Settings

SECRET_FILE = "webhook.secret"  # noqa: S105 - the name of a file
PREFIX = "samovar-"
_SHORTEST = 32  # characters


def secret(settings: Settings) -> str:
    """Return what deliveries are signed with: as it was set, else made at the first start.

    Raises:
        SettingsError: it is too short to be random, or cannot be kept.
    """
    if settings.webhook_secret is None:
        return secret_files.kept(settings.state / SECRET_FILE, lambda: secrets.token_urlsafe(32))
    given = settings.webhook_secret.get_secret_value()
    if len(given) < _SHORTEST:
        raise SettingsError(
            f"SAMOVAR_WEBHOOK_SECRET has less than {_SHORTEST} characters.", remedy="Make it of 32 random bytes, or leave it out."
        )
    return given


def webhook_name(secret: str) -> str:
    """Return what the webhook is called. Controllers that take turns have one secret, and so one webhook; others have their own."""
    return f"{PREFIX}{hashlib.sha256(f'webhook {secret}'.encode()).hexdigest()[:16]}"
