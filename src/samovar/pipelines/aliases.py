"""Alias moves: recorded, made, seen, then marked as applied. One killed half-way is finished when it is asked for again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from samovar.errors import Conflict
from samovar.store import decisions, events
from samovar.store.decisions import Decision

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from samovar.pipelines.context import Context
    from samovar.store.decisions import Kind, Verdict


STANDING = -1
"""No registry numbers a version so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One move to make; see `samovar.store.decisions.Decision` for the fields."""

    key: str
    kind: Kind
    model: str
    alias: str
    to_version: int | None
    reason: str
    actor: str
    project: str = ""
    verdict: Verdict = "approved"
    evidence: dict[str, Any] = field(default_factory=dict)
    judged_against: int | None = STANDING
    """Version that the decision was measured against, None for no version; `STANDING` is whatever the alias points to now."""


def move(ctx: Context, wanted: Move) -> Decision:
    """Record the decision, move the alias, verify, mark it applied.

    A decision that was applied before stays as it was: the alias may have moved on since, and is not touched.

    Raises:
        NotFound: the model or version does not exist.
        Conflict: somebody else moved the alias at the same moment; theirs stands.
    """
    decision = record(ctx, wanted)
    if decision.applied_at is not None:
        return decision
    return apply(ctx, decision)


def record(ctx: Context, wanted: Move) -> Decision:
    """Record a decision and move nothing: what the gate refused, or what waits for a person."""
    known = wanted.judged_against
    if known == STANDING:
        standing = ctx.registry.by_alias(wanted.model, wanted.alias)
        known = standing.version if standing else None
    decision = Decision(
        key=wanted.key,
        kind=wanted.kind,
        model=wanted.model,
        alias=wanted.alias,
        from_version=known,
        to_version=wanted.to_version,
        verdict=wanted.verdict,
        reason=wanted.reason,
        actor=wanted.actor,
        evidence=wanted.evidence,
        project=wanted.project,
    )
    with ctx.db.begin() as connection:
        if decisions.get(connection, decision.key) is None:
            detail = {"what": decision.kind, "version": decision.to_version, "verdict": decision.verdict, "reason": decision.reason}
            events.add(connection, "decision", decision.model, decision.alias, detail)
        return decisions.record(connection, decision)


def apply(ctx: Context, decision: Decision) -> Decision:
    """Bring the alias to where a recorded decision puts it, and mark the decision applied when it was seen there."""
    standing = _standing(ctx, decision)
    if standing not in (decision.from_version, decision.to_version):
        raise Conflict(
            f"Alias {decision.alias} of {decision.model} was moved by somebody else meanwhile; that move stands.",
            remedy="Look at `samovar alias list`, then decide again.",
        )
    if standing != decision.to_version:
        _point(ctx, decision)
        if _standing(ctx, decision) != decision.to_version:
            raise Conflict(f"Alias {decision.alias} of {decision.model} was moved by somebody else meanwhile; that move stands.")
    with ctx.db.begin() as connection:
        decisions.mark_applied(connection, decision.key)
        return decisions.get(connection, decision.key) or decision


def unfinished(history: Sequence[Decision], standing: int | None, kinds: Collection[str]) -> Decision | None:
    """Return the newest decision if it is of these kinds and was recorded but never seen applied: its maker was killed.

    One from whose ends the alias has moved away since is over: a newer move stands.
    """
    last = history[-1] if history else None
    if last is None or last.kind not in kinds or last.verdict != "approved" or last.applied_at is not None:
        return None
    return last if standing in (last.from_version, last.to_version) else None


def _point(ctx: Context, decision: Decision) -> None:
    if decision.to_version is None:
        ctx.registry.delete_alias(decision.model, decision.alias)
    else:
        ctx.registry.set_alias(decision.model, decision.alias, decision.to_version)


def _standing(ctx: Context, decision: Decision) -> int | None:
    found = ctx.registry.by_alias(decision.model, decision.alias)
    return found.version if found else None
