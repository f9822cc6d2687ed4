"""Where a model is found behind the gateway: ``/models/NAME/ALIAS/...``, and ``/models/NAME/...`` for ``Production``."""

from __future__ import annotations

from urllib.parse import quote

PREFIX = "/models/"
CHAMPION = "Production"

_RESERVED = ":/?#[]@!$&'()*+,;="
"""RFC 3986: these mean something else when they are not encoded, so that Traefik leaves both spellings as they came."""

_PLAIN = (
    "",  # everything encoded, as Python does
    "!'()*",  # as JavaScript's encodeURIComponent does
    ":@!$&'()*+,;=",  # only what must be, as curl and browsers do with an address that was typed
)


def address(base: str, model: str, alias: str) -> str:
    """Return the base URL of an alias behind the gateway at ``base``."""
    return f"{base}{PREFIX}{quote(model, safe='')}/{quote(alias, safe='')}"


def spellings(name: str) -> list[str]:
    """Return how one segment of a path may look once Traefik has decoded what it decodes, for all usual ways to encode it."""
    found = ("".join(_spelled(sign, plain) for sign in name) for plain in _PLAIN)
    return list(dict.fromkeys(found))


def _spelled(sign: str, plain: str) -> str:
    encoded = sign == "%" or (sign in _RESERVED and sign not in plain)
    return f"%{ord(sign):02X}" if encoded else sign
