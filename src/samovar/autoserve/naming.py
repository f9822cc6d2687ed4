"""What an endpoint is called: one function, used by the agent, the gateway, Docker and Kubernetes alike."""

from __future__ import annotations

import functools
import hashlib
import re

PREFIX = "mlflow-serve-"
LIMIT = 63
"""Longest DNS label (RFC 1035)."""

# MLflow's aliases know upper case, DNS does not. These two get the clean name because every project has them; their lower-case
# twins are spelled with the hash, so that no two aliases share a name.
_WELL_KNOWN = {"Production": "production", "Candidate": "candidate"}

_MODEL = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ALIAS = re.compile(r"[a-z0-9]+")  # no dash: the last dash of a plain name then always parts the model from the alias
_HASH = re.compile(r"[0-9a-f]{8}")


@functools.lru_cache(maxsize=1 << 16)  # asked for every endpoint in every round
def endpoint_name(model: str, alias: str) -> str:
    """Name the endpoint of an alias as a DNS label, ``mlflow-serve-<model>-<alias>``.

    Two different pairs never share a name: where lower-casing, replacing or cutting loses something, or where the dash would be
    ambiguous (``a-b`` + ``c`` and ``a`` + ``b-c``), eight hex digits of a hash of the pair are added.
    """
    plain = _plain(model, alias)
    if plain is not None:
        return plain
    digest = hashlib.sha256(f"{model}\0{alias}".encode()).hexdigest()[:8]
    room = LIMIT - len(PREFIX) - len(digest) - 1
    slug = re.sub(r"[^a-z0-9]+", "-", f"{model}-{alias}".lower()).strip("-")[:room].rstrip("-")
    return f"{PREFIX}{slug}-{digest}" if slug else f"{PREFIX}{digest}"


def _plain(model: str, alias: str) -> str | None:
    shown = _WELL_KNOWN.get(alias, alias)
    exact = _MODEL.fullmatch(model) and _ALIAS.fullmatch(shown) and alias not in _WELL_KNOWN.values()
    name = f"{PREFIX}{model}-{shown}"
    # An alias that looks like a hash could be another pair's hashed name.
    return name if exact and not _HASH.fullmatch(shown) and len(name) <= LIMIT else None
