"""Replay: a version answers again what production was asked, before it answers anybody.

Every file of the prediction log is scored once, by what an endpoint would serve (compiled where the version compiles), and its
answers go to a file of their own below the state folder. A replay that was killed goes on where it was, and labels that come later
are joined at the next look without scoring again.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.errors import NotFound, Refused, RequestError
from samovar.pipelines import steps, versions
from samovar.pipelines.infer import answers, text
from samovar.pipelines.replayed import Pairs, compare, names
from samovar.store import logged, query
from samovar.store.replays import Replays

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.pipelines.context import Context
    from samovar.pipelines.versions import Loaded
    from samovar.registry.client import Version
    from samovar.store.logged import Answered, Segment

_NOT_LOGGED = "nothing is logged of what was asked"
_REFUSED = "the version does not take these values"


def replay(  # noqa: PLR0913 - the words of the command
    ctx: Context,
    model: str,
    version: int,
    *,
    since: dt.datetime | None = None,
    alias: str = "Production",
    positive: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    loaded: Loaded | None = None,
) -> dict[str, Any]:
    """Let a version answer the logged requests of an alias and compare it with who answered then.

    Args:
        ctx: the world.
        model: registered model.
        version: who answers again.
        since: only rows from then on; None is the last seven days.
        alias: whose requests.
        positive: positive class; None is the second of two.
        progress: told (rows so far, rows in all).
        loaded: the version, where it is open already.

    Returns:
        ``rows`` that were compared, ``disagreement`` (share of other labels, with its interval ``low`` and ``high``),
        ``score_difference`` (mean change of a class's probability), ``labelled`` rows and on them the ``metrics`` by name, each
        ``version``, ``then`` and ``gain`` (value, low, high; paired), ``skipped`` rows by reason, ``scored`` rows now and
        ``known`` ones from before, ``scorer``, ``since`` and ``until``.

    Raises:
        NotFound: no such version, or nothing was logged.
        Refused: no logged row has all fields that the version needs: they were dropped or hashed.
        Untrusted: the version may run code and nobody trusted it.
        ModelError: it does not load or fails.
    """
    until = query.now()
    since = since or until - dt.timedelta(days=7)
    found = ctx.registry.version(model, version)
    with ctx.db.read() as connection:
        files = logged.segments(connection, model, alias, since=since, until=until)
    if not files:
        raise NotFound(
            f"Nothing that {model}@{alias} answered since {since:%Y-%m-%d %H:%M} is in the prediction log.",
            remedy="Ask its endpoint something, or go further back with --since.",
        )
    opened = loaded or versions.load(ctx, found, compile=True)
    job = _Job(ctx, opened, Replays(ctx.settings.state / "replays", _name(found, opened)))
    pairs = Pairs()
    whole, done = sum(file.rows for file in files), 0
    with ctx.db.lock(f"replay {model} {version}"):
        for file in files:
            job.file(file, pairs, since)
            done += file.rows
            if progress is not None:
                progress(done, whole)
    if not pairs.rows:
        raise Refused(_why(job.skipped), remedy='Log what the version needs (`Log("keep")`), or judge it on held-out rows.')
    return {
        "model": model,
        "version": version,
        "alias": alias,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "scorer": opened.scorer,
        "scored": job.scored,
        "known": job.known,
        "skipped": job.skipped,
        **compare(pairs, positive or _positive(opened), seed=ctx.settings.seed),
    }


def _name(version: Version, opened: Loaded) -> str:
    return steps.digest_of([version.model, version.version, opened.plan.digest])[:32]


def _positive(opened: Loaded) -> str | None:
    positive = opened.plan.contract.positive
    return None if positive is None else text(positive)


def _why(skipped: dict[str, int]) -> str:
    reasons = "; ".join(f"{count:,} rows: {reason}" for reason, count in skipped.items())
    return f"No logged row can be replayed. {reasons or 'None is in this span of time'}."


@dataclasses.dataclass
class _Job:
    """What a replay does with each file, and what it counts."""

    ctx: Context
    opened: Loaded
    store: Replays
    scored: int = 0
    known: int = 0
    skipped: dict[str, int] = dataclasses.field(default_factory=dict)

    def file(self, file: Segment, pairs: Pairs, since: dt.datetime) -> None:
        """Score a file, unless that was done, and add its rows with both answers."""
        lacking = self._lacking(file)
        if lacking:
            self._skip(lacking, file.rows)
            return
        before = self.store.read(file.segment)
        made: list[tuple[int, list[str], np.ndarray | None]] = []
        classes = names(self.opened.served.classes), names(file.classes)
        with self.ctx.db.read() as connection:
            for rows in logged.answered(connection, file, file.project or self.opened.version.model):
                ours = self._score(rows) if before is None else before.get(rows.first)
                if ours is None:
                    self._skip(_REFUSED if rows.columns else _NOT_LOGGED, len(rows.labels))
                    continue
                made.append((rows.first, *ours))
                pairs.add(rows, since, ours, classes)
        if before is None:
            self.store.write(file.segment, made)
        count = sum(len(labels) for _, labels, _ in made)
        self.scored, self.known = (self.scored + count, self.known) if before is None else (self.scored, self.known + count)

    def _skip(self, reason: str, rows: int) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + rows

    def _lacking(self, file: Segment) -> str:
        """Say which field that the version needs is not in a file as it was asked; empty when all are."""
        policy = {name: log for name, log, *_ in file.fields}
        for column in self.opened.plan.signature:
            if policy.get(column.name) == "keep":
                continue
            if column.name in policy:
                done = {"hash": "is hashed", "drop": "is not logged"}.get(policy[column.name], "is not logged")
                return f"field {column.name} {done}"
            if column.required:
                return f"field {column.name} was not asked for then"
        return ""

    def _score(self, rows: Answered) -> tuple[list[str], np.ndarray | None] | None:
        if not rows.columns:
            return None
        wanted = {column.name: rows.columns[column.name] for column in self.opened.plan.signature if column.name in rows.columns}
        try:
            scores = self.opened.served.score(_typed(self.opened, wanted))
        except RequestError:
            return None
        labels, _ = answers(self.opened.plan.contract, self.opened.served.classes, scores)
        return labels, None if scores.probabilities is None else np.asarray(scores.probabilities, dtype=np.float64)


def _typed(opened: Loaded, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Give times back their type: the log's JSON has them as text."""
    times = {field.name for field in opened.plan.contract.contract.fields if field.dtype == "datetime"}
    return {name: [_moment(value) for value in values] if name in times else values for name, values in columns.items()}


def _moment(value: Any) -> Any:
    return dt.datetime.fromisoformat(value) if isinstance(value, str) else value


__all__ = ["replay"]
