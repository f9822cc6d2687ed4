"""API keys: what is stored is a salted SHA-256 of each.

A fast hash is right here because keys are random, never chosen by people: 256 random bits cannot be guessed however fast one tries,
and a slow hash would let strangers burn the endpoint's CPU with wrong keys.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from samovar.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SHORTEST = 32  # characters of a key
_SALT = 16  # bytes


def generated() -> str:
    """Return a new key: 256 random bits."""
    return f"sk-{secrets.token_urlsafe(32)}"


def hashed(key: str) -> str:
    """Return what a configuration holds of a key: ``sha256$<salt>$<digest>``.

    Raises:
        UsageError: the key is too short to be random, or cannot be sent in a header.
    """
    if len(key) < _SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"An API key has at least {_SHORTEST} printable ASCII characters.", remedy="Let Samovar generate it.")
    salt = secrets.token_bytes(_SALT)
    return f"sha256${salt.hex()}${_digest(salt, key.encode()).hex()}"


class Keys:
    """The keys that one endpoint takes.

    Args:
        hashes: of the keys; none at all lets everybody in.
        exempt: paths that need no key.

    Raises:
        UsageError: a hash is none of ours.
    """

    def __init__(self, hashes: Iterable[str], exempt: Iterable[str] = ()) -> None:
        self._known = [_parsed(text) for text in hashes]
        self._exempt = frozenset(exempt)

    def admits(self, path: str, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether a request to ``path`` may be answered; headers have lower-case names."""
        if not self._known or path in self._exempt:
            return True
        key = _sent(headers)
        # Every hash is compared, so that the time tells nothing of which one was near.
        return sum(hmac.compare_digest(_digest(salt, key), digest) for salt, digest in self._known) > 0


def _sent(headers: Mapping[bytes, bytes]) -> bytes:
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")


def _digest(salt: bytes, key: bytes) -> bytes:
    return hashlib.sha256(salt + key).digest()


def _parsed(text: str) -> tuple[bytes, bytes]:
    try:
        kind, salt, digest = text.split("$")
        known = bytes.fromhex(salt), bytes.fromhex(digest)
    except ValueError:
        kind, known = "", (b"", b"")
    if kind != "sha256" or len(known[0]) < _SALT or len(known[1]) != hashlib.sha256().digest_size:
        raise UsageError("An API key's hash is not as Samovar writes it.", remedy="Hash the key again.")
    return known
