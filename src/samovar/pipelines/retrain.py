"""Retrain: what drift asked for. Fresh rows, candidates trained on them, the best before the gate.

A request has one claimant. One that is killed half-way is claimed again, and its steps go on where they were, for each of them is
done once. A request ends when its work is done or cannot be done; an outage gives it back.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from samovar.errors import Conflict, FixInput, GiveUp
from samovar.logs import get_logger
from samovar.pipelines.ingest import ingest
from samovar.pipelines.promote import promote
from samovar.pipelines.train import train
from samovar.store import claimants, retrains
from samovar.training import fanout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from samovar.pipelines.context import Context
    from samovar.project import Project
    from samovar.store.retrains import RetrainRequest
    from samovar.training.fanout import Report

_RENEW_SECONDS = 60.0  # a tenth of the lease

_log = get_logger(__name__)


def retrain(ctx: Context, project: Project, *, force: bool = False, progress: Report | None = None) -> dict[str, Any]:
    """Work on the project's open retrain request.

    The source is read again; then the latest dataset is trained on, which is the one that drifted or a newer one.

    Args:
        ctx: the world.
        project: what to retrain.
        force: retrain although nobody asked for it.
        progress: told ``(candidate, done, total, best score so far)``.

    Returns:
        ``status`` (``done``, or ``nothing to do``), ``project``, ``cause``, ``dataset``, ``model``, ``version``, ``kind``,
        ``verdict`` and ``reason`` of the gate.

    Raises:
        SamovarError: whatever the steps raise.
    """
    with ctx.db.begin() as connection:
        request = retrains.claim(connection, claimants.myself(), project.name)
    if request is None and not force:
        return {"status": "nothing to do", "project": project.name}
    with _claimed(ctx, request), fanout.ready():
        ingest(ctx, project)
        trained = train(ctx, project, progress=_renewing(ctx, request, progress))
        decided = promote(ctx, project, trained["version"])
    _log.info("retrained", model=trained["model"], version=trained["version"], verdict=decided["verdict"])
    return {
        "status": "done",
        "project": project.name,
        "cause": request.cause if request else "a person asked for it",
        **{name: trained[name] for name in ("dataset", "model", "version", "kind", "metric", "value")},
        "verdict": decided["verdict"],
        "reason": decided["reason"],
    }


@contextmanager
def _claimed(ctx: Context, request: RetrainRequest | None) -> Iterator[None]:
    """End a request as its work ends; give it back when trying again may help."""
    try:
        yield
    except Conflict:  # somebody else was at work or moved the alias: a later try meets another world
        _settle(ctx, request, retrains.release)
        raise
    except (FixInput, GiveUp):
        _settle(ctx, request, lambda connection, number, claimant: retrains.finish(connection, number, False, claimant))
        raise
    except BaseException:
        _settle(ctx, request, retrains.release)
        raise
    _settle(ctx, request, lambda connection, number, claimant: retrains.finish(connection, number, True, claimant))


def _settle(ctx: Context, request: RetrainRequest | None, how: Callable[[Any, int, str], None]) -> None:
    """End or give back the request, unless another claimant took it over meanwhile."""
    if request is not None:
        with ctx.db.begin() as connection:
            how(connection, request.id, request.claimed_by)


def _renewing(ctx: Context, request: RetrainRequest | None, progress: Report | None) -> Report | None:
    """Renew the claim as training goes on, for hosts that cannot see this process."""
    if request is None:
        return progress
    renewed = time.monotonic()

    def report(candidate: str, done: int, total: int, best: float | None) -> None:
        nonlocal renewed
        if time.monotonic() - renewed > _RENEW_SECONDS:
            renewed = time.monotonic()
            with ctx.db.begin() as connection:
                kept = retrains.renew(connection, request.id, request.claimed_by)
            if not kept:
                raise Conflict("Another host has taken this retrain over, or ended it.", remedy="It goes on there.")
        if progress is not None:
            progress(candidate, done, total, best)

    return report
