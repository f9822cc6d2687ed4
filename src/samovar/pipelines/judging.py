"""Judging: champion and challengers answer the same held-out rows, and the gate looks at what they said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar import durations
from samovar.errors import NotFound, Refused
from samovar.pipelines import replay, versions
from samovar.pipelines.candidates import positive_index
from samovar.pipelines.infer import text
from samovar.store import query
from samovar.training import bars, gate, slices, table
from samovar.training.split import split

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl

    from samovar.pipelines.context import Context
    from samovar.pipelines.versions import Loaded
    from samovar.project import Gate, Project
    from samovar.registry.client import Version
    from samovar.store.datasets import Dataset
    from samovar.training.split import Split


def judge(
    ctx: Context, project: Project, challengers: Sequence[Version], champion: Version | None, data: Dataset
) -> list[gate.Verdict]:
    """Let all of them answer the held-out rows of a dataset and put the challengers before the project's gate.

    Raises:
        NotFound: a version's files or the dataset are gone.
        Untrusted: a version may run code and nobody trusted it.
        ModelError: a version does not load or fails.
        DataError: the dataset has too few rows.
    """
    parts = split(ctx.lake.read(data.url), project, ctx.settings.seed)
    held_out = parts.held_out.sort(project.time, maintain_order=True) if project.time else parts.held_out
    # The classes of the whole: a rare one may be missing from a part.
    labels = table.classes_of(parts.train[project.target].append(held_out[project.target]))
    positive = positive_index(project, labels)
    digest = {"held_out": {"rows": held_out.height, "how": parts.how, "seed": ctx.settings.seed}}
    entries = []
    for one in challengers:
        rival = versions.load(ctx, one, compile=project.gate.max_latency_ms is not None or project.gate.replay is not None)
        replayed = _replayed(ctx, project, rival) if champion is not None and project.gate.replay is not None else {}
        entries.append(
            gate.Challenger(
                outcome=rival.outcome(held_out, project, labels, positive),
                latency_ms=rival.latency_ms(held_out),
                size_mb=rival.size_mb,
                scorer=rival.scorer,
                bars=_replay_bars(project.gate, replayed),
                facts=digest | {"model_digest": rival.plan.digest} | ({"replay": replayed} if replayed else {}),
            )
        )
    incumbent = versions.load(ctx, champion).outcome(held_out, project, labels, positive) if champion else None
    return gate.decide_all(
        project.gate,
        project.metric,
        entries,
        incumbent,
        seed=ctx.settings.seed,
        ordered=project.time is not None,
        slices=_slices(project, parts, held_out) if incumbent is not None else None,
    )


def _replayed(ctx: Context, project: Project, rival: Loaded) -> dict[str, Any]:
    """Let a challenger answer the champion's logged requests; what stands in the way is told instead."""
    since = query.now() - durations.parse(str(project.gate.replay))
    positive = None if project.positive is None else text(project.positive)
    try:
        return replay.replay(
            ctx, project.model, rival.version.version, since=since, alias=project.alias, positive=positive, loaded=rival
        )
    except (NotFound, Refused) as error:
        return {"rows": 0, "reason": error.message}


def _replay_bars(limits: Gate, replayed: dict[str, Any]) -> list[bars.Bar]:
    if not replayed.get("rows"):
        return []
    share = replayed["disagreement"]
    return [bars.disagreement(share["value"], share["low"], share["high"], replayed["rows"], limits.max_disagreement)]


def _slices(project: Project, parts: Split, held_out: pl.DataFrame) -> dict[str, np.ndarray]:
    """Every level of every slice of the project, by ``slice=level``."""
    if project.gate.slice_margin is None:
        return {}
    found = slices.masks(project, parts.train, held_out)
    return {f"{name}={level}": mask for name, levels in found.items() for level, mask in levels.items()}


__all__ = ["judge"]
