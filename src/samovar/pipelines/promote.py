"""Promote: the gate between a challenger and the champion's alias. Nothing moves without a recorded decision."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from samovar.errors import NotFound
from samovar.logs import get_logger
from samovar.pipelines import aliases, steps, versions
from samovar.pipelines.candidates import positive_index
from samovar.pipelines.train import find_dataset
from samovar.store import decisions
from samovar.training import gate, table
from samovar.training.split import split

if TYPE_CHECKING:
    from samovar.pipelines.context import Context
    from samovar.project import Project
    from samovar.registry.client import Version
    from samovar.store.datasets import Dataset
    from samovar.store.decisions import Decision

_log = get_logger(__name__)


def promote(ctx: Context, project: Project, version: int | None = None) -> dict[str, Any]:
    """Judge a version against the champion on the challenger's held-out rows, and move the champion's alias if it passes.

    The same versions on the same rows under the same gate are one decision: asked again, nothing is measured again and nothing
    moves, so that a promotion which was rolled back is not repeated by itself.

    Args:
        ctx: the world.
        project: whose gate.
        version: the challenger; None is where the project's challenger alias stands.

    Returns:
        ``status`` (``done`` or ``unchanged``), ``verdict`` (``approved``, ``rejected``, or ``advised`` where a person moves the
        alias), ``reason``, ``evidence``, ``model``, ``alias``, ``version``, ``from_version``, ``applied``.

    Raises:
        NotFound: no challenger, or its dataset is gone.
        Untrusted: one of the two may run code and nobody trusted it.
        ModelError: one of the two does not load.
        Conflict: somebody else moved the alias at the same moment; theirs stands.
        RegistryUnavailable: MLflow cannot be reached.
    """
    challenger = _challenger(ctx, project, version)
    with ctx.db.lock(f"promote {project.model} {project.alias}"):
        champion = ctx.registry.by_alias(project.model, project.alias)
        data = find_dataset(ctx, project, challenger.tags.get("samovar.dataset"))
        half_done = _half_done(ctx, project, challenger, champion, data)
        if half_done is not None:
            return _result(project, aliases.apply(ctx, half_done), status="done")
        if champion is not None and champion.version == challenger.version:
            return _standing(ctx, project, challenger)
        key = _key(ctx, project, challenger, champion, data)
        with ctx.db.read() as connection:
            known = decisions.get(connection, key)
        if known is not None:
            return _result(project, known, status="unchanged")
        decision = _decide(ctx, project, challenger, champion, data, key)
    _log.info("decision", model=project.model, version=challenger.version, verdict=decision.verdict, reason=decision.reason)
    return _result(project, decision, status="done")


def _challenger(ctx: Context, project: Project, version: int | None) -> Version:
    if version is not None:
        return ctx.registry.version(project.model, version)
    found = ctx.registry.by_alias(project.model, project.challenger)
    if found is None:
        raise NotFound(
            f"Project {project.name} has no challenger: alias {project.challenger} of {project.model} does not exist.",
            remedy=f"Run `samovar train {project.name}`, or name a version.",
        )
    return found


def _rules(ctx: Context, project: Project, data: Dataset) -> list[Any]:
    """What, beside the two versions, decides the verdict: the rows, the yardstick and the bars."""
    gate_ = dataclasses.asdict(project.gate)
    return [data.digest, project.metric, gate_, project.holdout, project.time, project.promotion, ctx.settings.seed]


def _key(ctx: Context, project: Project, challenger: Version, champion: Version | None, data: Dataset) -> str:
    against = champion.version if champion else None
    return steps.digest_of(["promote", project.model, project.alias, challenger.version, against, _rules(ctx, project, data)])


def _half_done(ctx: Context, project: Project, challenger: Version, champion: Version | None, data: Dataset) -> Decision | None:
    """The approval that a killed attempt recorded and did not see applied.

    Found by its own ``from_version``, since the alias may stand on either side of the move.
    """
    with ctx.db.read() as connection:
        history = decisions.history(connection, project.model, project.alias)
    last = aliases.unfinished(history, champion.version if champion else None, ("promote",))
    if last is None:
        return None
    rules = _rules(ctx, project, data)
    key = steps.digest_of(["promote", project.model, project.alias, challenger.version, last.from_version, rules])
    return last if last.key == key else None


def _decide(  # noqa: PLR0913, PLR0917 - both sides, the rows, and the decision's identity
    ctx: Context, project: Project, challenger: Version, champion: Version | None, data: Dataset, key: str
) -> Decision:
    verdict = _judge(ctx, project, challenger, champion, data)
    manual = project.promotion == "manual"
    wanted = aliases.Move(
        key=key,
        kind="promote",
        model=project.model,
        alias=project.alias,
        to_version=challenger.version,
        reason=verdict.reason,
        actor="samovar promote",
        project=project.name,
        # A move made elsewhere while the gate was at work stands: nothing here was measured against that version.
        judged_against=champion.version if champion else None,
        verdict="rejected" if not verdict.passed else "advised" if manual else "approved",
        evidence=verdict.evidence | {"dataset": data.digest, "champion_version": champion.version if champion else None},
    )
    decision = aliases.record(ctx, wanted)
    return aliases.apply(ctx, decision) if decision.verdict == "approved" else decision


def _judge(ctx: Context, project: Project, challenger: Version, champion: Version | None, data: Dataset) -> gate.Verdict:
    frame = ctx.lake.read(data.url)
    held_out = split(frame, project, ctx.settings.seed).held_out
    classes = table.classes_of(frame[project.target])
    positive = positive_index(project, classes)
    rival = versions.load(ctx, challenger)
    entry = gate.Challenger(
        outcome=rival.outcome(held_out, project, classes, positive),
        latency_ms=rival.latency_ms(held_out),
        size_mb=rival.size_mb,
    )
    incumbent = versions.load(ctx, champion).outcome(held_out, project, classes, positive) if champion else None
    return gate.decide(project.gate, project.metric, entry, incumbent, seed=ctx.settings.seed)


def _standing(ctx: Context, project: Project, challenger: Version) -> dict[str, Any]:
    """Answer for a challenger that is the champion: what put it there, if that is known."""
    with ctx.db.read() as connection:
        last = decisions.last_applied(connection, project.model, project.alias)
    if last is not None and last.to_version == challenger.version:
        return _result(project, last, status="unchanged")
    return {
        "status": "unchanged",
        "verdict": "approved",
        "reason": f"Version {challenger.version} is the champion already.",
        "evidence": {},
        "model": project.model,
        "alias": project.alias,
        "version": challenger.version,
        "from_version": challenger.version,
        "applied": True,
    }


def _result(project: Project, decision: Decision, *, status: str) -> dict[str, Any]:
    reason = decision.reason
    if decision.verdict == "advised":
        reason = f"{reason} Promotion is manual: run `samovar alias set {project.model} {project.alias} {decision.to_version}`."
    return {
        "status": status,
        "verdict": decision.verdict,
        "reason": reason,
        "evidence": decision.evidence,
        "model": project.model,
        "alias": project.alias,
        "version": decision.to_version,
        "from_version": decision.from_version,
        "applied": decision.applied_at is not None,
    }
