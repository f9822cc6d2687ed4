"""How MLflow signs a delivery: HMAC-SHA256 over its id, its time and its body."""

from __future__ import annotations

import base64
import hashlib
import hmac

VERSION = "v1"


def sign(secret: str, delivery_id: str, timestamp: str, body: bytes) -> str:
    """Return the signature as MLflow sends it: ``v1,`` and base64."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    return f"{VERSION},{base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()}"


def is_signed(secret: str, delivery_id: str, timestamp: str, body: bytes, signature: str) -> bool:
    """Whether whoever sent this knows the secret; takes as long for a near guess as for a far one."""
    return hmac.compare_digest(sign(secret, delivery_id, timestamp, body).encode(), signature.encode())
