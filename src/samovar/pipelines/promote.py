"""Promote: the gate between a challenger and the champion's alias. Nothing moves without a recorded decision."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from samovar.errors import NotFound
from samovar.logs import get_logger
from samovar.pipelines import aliases, judging, steps
from samovar.pipelines.train import find_dataset
from samovar.store import decisions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.pipelines.context import Context
    from samovar.project import Project
    from samovar.registry.client import Version
    from samovar.store.datasets import Dataset
    from samovar.store.decisions import Decision, Verdict
    from samovar.training import gate

_log = get_logger(__name__)


def promote(ctx: Context, project: Project, version: int | Sequence[int] | None = None) -> dict[str, Any]:
    """Judge a version against the champion on the challenger's held-out rows, and move the champion's alias if it passes.

    The same versions on the same rows under the same gate are one decision: asked again, nothing is measured again and nothing
    moves, so that a promotion which was rolled back is not repeated by itself.

    Several versions are judged together on the rows of the newest one: their gains are corrected for each other, each gets its
    own decision, and of those that pass the one with the best metric takes the alias.

    Args:
        ctx: the world.
        project: whose gate.
        version: the challenger, or several; None is where the project's challenger alias stands.

    Returns:
        ``status`` (``done`` or ``unchanged``), ``verdict`` (``approved``, ``rejected``, or ``advised`` where a person moves the
        alias), ``reason``, ``evidence``, ``model``, ``alias``, ``version``, ``from_version``, ``applied``; and ``judged``, the
        same of each version where there were several (the rest is then of the one that won, or came nearest).

    Raises:
        NotFound: no challenger, or its dataset is gone.
        Untrusted: one of them may run code and nobody trusted it.
        ModelError: one of them does not load.
        Conflict: somebody else moved the alias at the same moment; theirs stands.
        RegistryUnavailable: MLflow cannot be reached.
    """
    challengers = _challengers(ctx, project, version)
    with ctx.db.lock(f"promote {project.model} {project.alias}"):
        champion = ctx.registry.by_alias(project.model, project.alias)
        data = find_dataset(ctx, project, challengers[-1].tags.get("samovar.dataset"))
        asked = _Asked(project, challengers, champion, data, ctx.settings.seed)
        half_done = _half_done(ctx, asked)
        if half_done is not None:
            aliases.apply(ctx, half_done)
            return _answer(asked, _known(ctx, asked.of(half_done.from_version)), status="done")
        if champion is not None and champion.version in asked.versions:
            return _standing(ctx, asked)
        known = _known(ctx, asked.keys())
        if len(known) == len(challengers):
            return _answer(asked, known, status="unchanged")
        made = _decide(ctx, asked)
    for decision in made:
        told = {"version": decision.to_version, "verdict": decision.verdict, "reason": decision.reason}
        _log.info("decision", model=project.model, **told)
    return _answer(asked, made, status="done")


@dataclasses.dataclass(frozen=True, slots=True)
class _Asked:
    """What the gate was asked: who against whom on which rows."""

    project: Project
    challengers: Sequence[Version]
    champion: Version | None
    data: Dataset
    seed: int

    @property
    def versions(self) -> list[int]:
        return [one.version for one in self.challengers]

    def keys(self) -> list[str]:
        """Identities of the decisions, in the order of the challengers."""
        return self.of(self.champion.version if self.champion else None)

    def of(self, against: int | None) -> list[str]:
        """Identities against another champion: the alias may have moved on since."""
        # What decides a verdict beside the two versions: the rows, the yardstick, the bars, and who was judged at the same time.
        gate_, project = dataclasses.asdict(self.project.gate), self.project
        rules = [
            self.data.digest,
            project.metric,
            gate_,
            project.slices,
            project.holdout,
            project.time,
            project.groups,
            project.label_delay,
            project.positive,
            project.promotion,
            self.seed,
        ]
        together = [self.versions] if len(self.challengers) > 1 else []
        names = ["promote", project.model, project.alias]
        return [steps.digest_of([*names, one, against, rules, *together]) for one in self.versions]


def _challengers(ctx: Context, project: Project, version: int | Sequence[int] | None) -> list[Version]:
    """The versions that were named, the newest last."""
    if isinstance(version, int):
        version = [version]
    if version:
        return [ctx.registry.version(project.model, one) for one in sorted(set(version))]
    found = ctx.registry.by_alias(project.model, project.challenger)
    if found is None:
        raise NotFound(
            f"Project {project.name} has no challenger: alias {project.challenger} of {project.model} does not exist.",
            remedy=f"Run `samovar train {project.name}`, or name a version.",
        )
    return [found]


def _known(ctx: Context, keys: Sequence[str]) -> list[Decision]:
    with ctx.db.read() as connection:
        found = [decisions.get(connection, key) for key in keys]
    return [one for one in found if one is not None]


def _half_done(ctx: Context, asked: _Asked) -> Decision | None:
    """The approval that a killed attempt recorded and did not see applied.

    Found by its own ``from_version``, since the alias may stand on either side of the move.
    """
    with ctx.db.read() as connection:
        history = decisions.history(connection, asked.project.model, asked.project.alias)
    last = aliases.unfinished(history, asked.champion.version if asked.champion else None, ("promote",))
    return last if last is not None and last.key in asked.of(last.from_version) else None


def _decide(ctx: Context, asked: _Asked) -> list[Decision]:
    """Judge, record every decision, the one that moves the alias last, and move it."""
    verdicts = judging.judge(ctx, asked.project, asked.challengers, asked.champion, asked.data)
    winner = _best([verdict.evidence["challenger"]["value"] if verdict.passed else None for verdict in verdicts])
    order = [index for index in range(len(verdicts)) if index != winner] + ([] if winner is None else [winner])
    made: dict[int, Decision] = {}
    for index in order:
        verdict = verdicts[index]
        if verdict.passed and index != winner:
            other = asked.versions[winner or 0]
            reason = f"It passed, but version {other} did too and is the better one: {verdicts[winner or 0].reason}"
            verdict = dataclasses.replace(verdict, passed=False, reason=reason)
        made[index] = aliases.record(ctx, _wanted(asked, index, verdict))
    if winner is not None and made[winner].verdict == "approved":
        made[winner] = aliases.apply(ctx, made[winner])
    return [made[index] for index in range(len(verdicts))]


def _best(scores: Sequence[float | None]) -> int | None:
    """Position of the highest score, the first among equals; None where there is none at all."""
    return max((index for index, score in enumerate(scores) if score is not None), key=lambda one: scores[one] or 0.0, default=None)


def _wanted(asked: _Asked, index: int, verdict: gate.Verdict) -> aliases.Move:
    project, against = asked.project, asked.champion.version if asked.champion else None
    approved: Verdict = "advised" if project.promotion == "manual" else "approved"
    return aliases.Move(
        key=asked.keys()[index],
        kind="promote",
        model=project.model,
        alias=project.alias,
        to_version=asked.versions[index],
        reason=verdict.reason,
        actor="samovar promote",
        project=project.name,
        # A move made elsewhere while the gate was at work stands: nothing here was measured against that version.
        judged_against=against,
        verdict=approved if verdict.passed else "rejected",
        evidence=verdict.evidence | {"dataset": asked.data.digest, "champion_version": against, "judged_together": asked.versions},
    )


def _standing(ctx: Context, asked: _Asked) -> dict[str, Any]:
    """Answer for challengers of which one is the champion: what put it there, if that is known."""
    project, champion = asked.project, asked.champion
    assert champion is not None
    with ctx.db.read() as connection:
        last = decisions.last_applied(connection, project.model, project.alias)
    if last is not None and last.to_version == champion.version:
        together = _known(ctx, asked.of(last.from_version))
        return _answer(asked, together if last in together else [last], status="unchanged")
    return {
        "status": "unchanged",
        "verdict": "approved",
        "reason": f"Version {champion.version} is the champion already.",
        "evidence": {},
        "model": project.model,
        "alias": project.alias,
        "version": champion.version,
        "from_version": champion.version,
        "applied": True,
    }


def _answer(asked: _Asked, found: Sequence[Decision], *, status: str) -> dict[str, Any]:
    results = [_result(asked.project, one, status=status) for one in found]
    passed = [one for one in results if one["verdict"] != "rejected"]
    first = passed[0] if passed else max(results, key=lambda one: one["evidence"].get("gain", {}).get("value", 0.0))
    return first if len(results) == 1 else first | {"judged": results}


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
