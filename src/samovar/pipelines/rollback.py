"""Rollback: an alias back to where it stood before, or to a named version, by a recorded decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.errors import NotFound, Refused
from samovar.pipelines import aliases, people, steps
from samovar.store import decisions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.pipelines.context import Context
    from samovar.store.decisions import Decision


def rollback(ctx: Context, model: str, alias: str = "Production", to: int | None = None) -> dict[str, Any]:
    """Move an alias back.

    Without ``to`` the history of applied decisions is a stack: each move forward put a version on it, each rollback took one off,
    so that two rollbacks in a row go two versions back.

    Args:
        ctx: the world.
        model: registered model.
        alias: the alias to move.
        to: the version to go to; None is the one before.

    Returns:
        ``model``, ``alias``, ``version``, ``from_version``, ``reason``.

    Raises:
        NotFound: the alias or the version does not exist.
        Refused: there is nothing to go back to.
        Conflict: somebody else moved the alias at the same moment; theirs stands.
    """
    with ctx.db.lock(f"promote {model} {alias}"):
        standing = ctx.registry.by_alias(model, alias)
        if standing is None:
            raise NotFound(f"Model {model} has no alias {alias}.", remedy="See `samovar alias list`.")
        with ctx.db.read() as connection:
            history = decisions.history(connection, model, alias)
        half_done = aliases.unfinished(history, standing.version, ("rollback",))
        if half_done is not None and to in (None, half_done.to_version):
            return _result(aliases.apply(ctx, half_done))
        target = _before(history, standing.version, model, alias) if to is None else ctx.registry.version(model, to).version
        if target == standing.version:
            raise Refused(f"Alias {alias} of {model} stands at version {target} already.", remedy="Name another version.")
        last = history[-1].key if history else ""
        wanted = aliases.Move(
            key=steps.digest_of(["rollback", model, alias, standing.version, target, last]),
            kind="rollback",
            model=model,
            alias=alias,
            to_version=target,
            reason=f"Rolled back from version {standing.version} to version {target}.",
            actor=people.actor(),
            evidence={"undoes": last, "standing": standing.version, "stood_at": stack(history), "asked_for": to},
        )
        return _result(aliases.move(ctx, wanted))


def stack(history: Sequence[Decision]) -> list[int]:
    """Versions that an alias stood at, the present one last, as moves forward and rollbacks left them."""
    versions: list[int] = []
    applied = [one for one in history if one.applied_at is not None]
    for one in sorted(applied, key=_when):
        if not versions and one.from_version is not None:
            versions.append(one.from_version)
        if one.to_version is None:  # the alias was deleted: what comes next begins anew
            versions.clear()
        elif one.kind == "rollback" and one.to_version in versions:
            del versions[_last(versions, one.to_version) + 1 :]
        elif not versions or versions[-1] != one.to_version:
            versions.append(one.to_version)
    return versions


def _when(decision: Decision) -> Any:
    return decision.applied_at


def _last(versions: list[int], version: int) -> int:
    return len(versions) - 1 - versions[::-1].index(version)


def _before(history: Sequence[Decision], standing: int, model: str, alias: str) -> int:
    versions = stack(history)
    # A move made elsewhere and not noticed yet is on top of what is known.
    if versions and versions[-1] != standing:
        return versions[-1]
    if len(versions) < 2:
        raise Refused(f"Alias {alias} of {model} has no earlier version to go back to.", remedy="Name one with --to.")
    return versions[-2]


def _result(decision: Decision) -> dict[str, Any]:
    return {
        "model": decision.model,
        "alias": decision.alias,
        "version": decision.to_version,
        "from_version": decision.from_version,
        "reason": decision.reason,
    }
