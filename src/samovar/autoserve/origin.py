"""Which model version this is, whatever it is called."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samovar.registry.client import Version


def origin(version: Version) -> str:
    """Return a short digest of what a version is made of.

    It tells a version from a later one of the same number, for a model may be deleted and registered again. The model's name is no
    part of it: a model that was renamed has the same versions.
    """
    parts = (str(version.version), version.run_id, version.source, str(version.created_ms))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
