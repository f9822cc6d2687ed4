"""How an endpoint serves, beside which version: traffic that it shares, and what it may take of its host."""

from __future__ import annotations

import msgspec


class Tuning(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything about an endpoint that changes without a new version.

    Attributes:
        split: percent of the requests that the endpoint of another alias of the same model answers, by alias.
        shadow: other aliases of the model that get a copy of every request.
        workers: worker processes; None is what the host's settings say.
        memory_mb: megabytes (10^6 bytes) that one worker may take before it is ended; None is no limit.
        cpus: cores that the endpoint's workers may use together; None is no limit.
    """

    split: tuple[tuple[str, int], ...] = ()
    shadow: tuple[str, ...] = ()
    workers: int | None = None
    memory_mb: float | None = None
    cpus: float | None = None


PLAIN = Tuning()
"""What holds for an endpoint of which nobody said anything."""


def unshared(tuning: Tuning) -> tuple[str, ...]:
    """Return what is wrong with a tuning where endpoints pass each other no rows: in containers and pods they cannot yet."""
    if not (tuning.split or tuning.shadow):
        return ()
    return ("Its split and its shadow are not applied: containers and pods pass each other no rows yet.",)
