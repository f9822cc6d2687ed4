"""Exit codes of an endpoint that runs by itself: whoever watches the container learns from them what to do."""

from __future__ import annotations

from samovar.errors import GiveUp, NotFound, RetryLater, SamovarError, Untrusted

DRAINED = 0
"""Told to leave; everything that came was answered."""
WRONG_SETTINGS = 2
"""Arguments or environment are wrong: mend them."""
MODEL_FAILS = 65
"""The version cannot be served as it is (EX_DATAERR)."""
NOT_FOUND = 66
"""There is no such model, version or alias (EX_NOINPUT)."""
UNAVAILABLE = 69
"""MLflow cannot be reached: try again later (EX_UNAVAILABLE)."""
UNTRUSTED = 77
"""A person must trust the version first (EX_NOPERM)."""


def code_of(error: SamovarError) -> int:
    """Return the code of an error that ends the program."""
    if isinstance(error, RetryLater):
        return UNAVAILABLE
    if isinstance(error, Untrusted):
        return UNTRUSTED
    if isinstance(error, NotFound):
        return NOT_FOUND
    return MODEL_FAILS if isinstance(error, GiveUp) else WRONG_SETTINGS
