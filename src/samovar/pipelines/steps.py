"""Steps that are done once: running one again returns what it returned, and one that was killed is done again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from samovar.errors import SamovarError
from samovar.pipelines.identity import code_digest, digest_of, settings_digest, step_key
from samovar.store import runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.pipelines.context import Context

_log = logging.getLogger(__name__)  # silent in a notebook, and in Samovar's own format wherever `samovar.logs` was set up


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step returned.

    Attributes:
        status: ``done`` now, or ``unchanged`` when it had been done before.
        result: what its work returned then.
    """

    status: Literal["done", "unchanged"]
    result: dict[str, Any]


def run_once(  # noqa: PLR0913 - the identity, the work, and whether it still counts
    ctx: Context,
    step: str,
    project_name: str,
    key: str,
    work: Callable[[], dict[str, Any]],
    *,
    still_there: Callable[[], bool] = lambda: True,
) -> StepResult:
    """Do a step unless it has been done.

    Only one process at a time works on a key; others wait, then see that it has been done. ``work`` may be killed at any point and
    called again, so everything it writes must be known by the key or by its own content.

    Args:
        ctx: the world.
        step: ``ingest``, ``train``, ...
        project_name: the project.
        key: the step's identity, from `step_key`.
        work: does it, and returns what can be stored as JSON.
        still_there: whether what an earlier run made exists yet; what was deleted elsewhere is made again.

    Raises:
        SamovarError: whatever ``work`` raises, after it was noted; the step may be run again.
    """
    with ctx.db.lock(f"{step} {project_name} {key[:12]}"):
        with ctx.db.begin() as connection:
            run = runs.begin(connection, key, step, project_name)
        if run.status == "done" and still_there():
            return StepResult("unchanged", run.result or {})
        if run.status == "done":
            _log.warning("%s of %s is done again: what it made is gone", step, project_name)
            with ctx.db.begin() as connection:
                runs.forget(connection, key)
                run = runs.begin(connection, key, step, project_name)
        if run.attempts > 1:
            _log.info("%s of %s is begun again, for the %d. time", step, project_name, run.attempts)
        result = _noting_failure(ctx, key, work)
        with ctx.db.begin() as connection:
            runs.finish(connection, key, result)
    return StepResult("done", result)


def _noting_failure(ctx: Context, key: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except Exception as error:
        # Of an error that is not ours only the type is stored: its text may hold anything.
        reason = str(error) if isinstance(error, SamovarError) else type(error).__name__
        with ctx.db.begin() as connection:
            runs.fail(connection, key, reason)
        raise


__all__ = ["StepResult", "code_digest", "digest_of", "run_once", "settings_digest", "step_key"]
