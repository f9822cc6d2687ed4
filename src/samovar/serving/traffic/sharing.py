"""What a champion's worker does with its policy: who answers each row, copies for shadows, what is counted and logged of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar import logs
from samovar.scoring.forms.kinds import inputs_of
from samovar.serving.traffic import frames
from samovar.serving.traffic.assignment import Assignment
from samovar.serving.traffic.copying import Copying
from samovar.serving.traffic.counts import Counts
from samovar.serving.traffic.line import Line
from samovar.serving.traffic.lost import Lost
from samovar.serving.traffic.parted import Part, Parted, part_of
from samovar.serving.traffic.policy import NOTHING
from samovar.serving.traffic.recent import Recent
from samovar.serving.traffic.voice import Voice
from samovar.serving.turn import NotLogged, flush_all

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.desk import Desk
    from samovar.serving.jobs import Answers, Handler, Job, Row
    from samovar.serving.metrics import Metrics
    from samovar.serving.traffic.policy import Policy, Target
    from samovar.serving.turn import Spool

log = logs.get_logger(__name__)

_ROWS, _VALUES = 5_000, 100_000  # of one request: parting a larger one would hold up the loop, and everybody else, for too long

ENTITY = b"x-entity-id"
"""Header that names the entity of a request whose rows do not."""


class Member:
    """Another alias that answers a share."""

    def __init__(self, line: Line, sharing: Sharing) -> None:
        self.line = line
        self._sharing = sharing
        self._welcome: frames.Welcome | None = None
        self._voice: Voice | None = None

    def voice(self, welcome: frames.Welcome | None) -> Voice | None:
        """Return how whoever welcomed us speaks."""
        if welcome is not self._welcome:
            self._welcome = welcome
            self._voice = None if welcome is None else Voice.of(welcome, self._sharing.classes)
        return self._voice

    def fell_back(self, reason: str, rows: int) -> None:
        """Count rows that the champion answers in its place."""
        self._sharing.counts.fallbacks(self.line.target.alias).count(reason, rows)


class Sharing:
    """Shares the traffic of one endpoint.

    Args:
        plan: the version.
        engine: its model.
        desk: scores the champion's part.
        metrics: of the endpoint.
        open_log: opens the prediction log of answers that another version gave.
    """

    def __init__(
        self, plan: ScorerPlan, engine: Engine, desk: Desk, metrics: Metrics, open_log: Callable[[frames.Welcome], Spool]
    ) -> None:
        self.desk = desk
        self.classes = tuple(engine.classes)
        self.counts = Counts(metrics, desk.config.alias, plan.version)
        self.split = False
        self.policy = NOTHING
        self._plan = plan
        self._alias = desk.config.alias
        self._open_log = open_log
        self._logs: Recent[Spool] = Recent(_completed)
        columns = [(column.name, column.type) for column in inputs_of(plan)]
        self._opening = frames.Opening(frames.FORMAT, plan.model, self._alias, plan.version, columns, self.classes)
        self._signed = ((b"x-model-version", plan.label.encode("ascii", "replace")),)
        self._members: list[Member] = []
        self._copying: list[Copying] = []
        self._assign = Assignment(plan.model, ())
        key = plan.contract.contract.key
        self.sticky = key is not None and key.entity
        self._text = ""

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, on the loop that serves."""
        self._loop = loop

    def close(self) -> None:
        """Hang up."""
        self.follow(NOTHING)
        for spool in self._logs:
            spool.close()

    def tick(self) -> None:
        """Called about once a second."""
        for spool in self._logs:
            spool.tick()
        self._logs.forget(lambda spool: isinstance(spool, Lost) and spool.empty)  # and try again

    def flush(self) -> None:
        """Write what was gathered for the log; raises as the endpoint's own."""
        flush_all(spool.flush for spool in self._logs)

    def follow(self, policy: Policy) -> None:
        """Share like this from now on; lines that stay are kept open."""
        known = {member.line.target: member.line for member in self._members}
        members = []
        for target in policy.split:
            line = next((line for old, line in known.items() if (old.alias, old.path) == (target.alias, target.path)), None)
            if line is not None:
                known.pop(line.target)
                line.target = target
            members.append(Member(line or self._line(target), self))
        for line in known.values():
            line.close()
        self._assign = Assignment(self._plan.model, [(target.alias, target.percent) for target in policy.split])
        self._members = members
        self._text = ",".join(f"{target.alias}={target.percent}" for target in policy.split)
        self.split = bool(members)
        kept = {copying.line.target: copying for copying in self._copying if copying.line.target in policy.shadow}
        for copying in self._copying:
            if copying.line.target not in kept:
                copying.close()
        self._copying = [
            kept.get(target) or Copying(self._line(target), self._loop, self.counts.drops(target.alias)) for target in policy.shadow
        ]
        self.policy = policy
        log.info("traffic is shared", split=self._text, shadow=[target.alias for target in policy.shadow])

    def _line(self, target: Target) -> Line:
        return Line(self._loop, target, self._opening, self.desk.config.share_seconds)

    def shown(self) -> dict[str, Any]:
        """Return what people are told of it."""
        split = {target.alias: target.percent for target in self.policy.split}
        return {"split": split, "shadow": [target.alias for target in self.policy.shadow], "sticky": self.sticky}

    # --- the split --------------------------------------------------------------------------------------------------------------

    def quick(self, handler: Handler, request_id: bytes, headers: Mapping[bytes, bytes]) -> Callable[[bytes], Row | None] | None:
        """Return what answers a request of one row if it is the champion's, in place of the handler's own; None when it is not."""
        whole = headers.get(ENTITY) or request_id
        if not self.sticky or handler.stages is None:
            return handler.quick if self._assign(whole)[0] == 0 else None
        read, key, finish = handler.stages

        def quick(body: bytes) -> Row | None:
            row = read(body)
            return None if self._assign(_entity(row[key], whole))[0] else finish(row)

        return quick

    def keeps(self, job: Job, request_id: bytes, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether a request is so large that the champion answers all of it; then it is counted."""
        if job.rows <= _ROWS and job.rows * len(job.columns) <= _VALUES:
            return False
        self._count_kept(job, request_id, headers)
        return True

    def part(  # noqa: PLR0913 - one request
        self,
        job: Job,
        how: frames.How,
        request_id: bytes,
        headers: Mapping[bytes, bytes],
        tell: Callable[[Any], None],
        *,
        large: bool,
    ) -> Parted | None:
        """Have a request answered by whoever its rows belong to; None when that is the champion alone."""
        arms, groups = self._arms(job, request_id, headers)
        chosen = set(arms)
        if chosen == {0}:
            self._count(None, groups)
            return None
        parts = []
        for arm in sorted(chosen):
            places = range(job.rows) if len(chosen) == 1 else [place for place, own in enumerate(arms) if own == arm]
            parts.append(part_of(job, places, self._members[arm - 1] if arm else None))

        def told(found: Any) -> None:
            if not isinstance(found, Exception):
                try:
                    self._count_parts(found[1], groups)
                except Exception as error:  # noqa: BLE001 - it becomes the answer: somebody waits for one
                    found = error
            tell(found)

        return Parted(self, job, how, parts, told, large=large)

    def count_quick(self, key: Any, request_id: bytes, headers: Mapping[bytes, bytes]) -> None:
        """Count a request of one row that the champion answered by itself."""
        whole = headers.get(ENTITY) or request_id
        self._count(None, [self._assign(_entity(key, whole) if self.sticky else whole)[1]])

    def _count_kept(self, job: Job, request_id: bytes, headers: Mapping[bytes, bytes]) -> None:
        """Count a request that is not parted; where rows have entities as the shares say, for each would have to be hashed."""
        champion = self.counts.arm(self._alias, self._plan.version, self._text, sticky=self.sticky)
        if self.sticky and job.keys is not None:
            champion.count(job.rows)
            for member in self._members:
                member.fell_back("busy", job.rows * member.line.target.percent // 100)
            return
        arm, group = self._assign(headers.get(ENTITY) or request_id)
        champion.count(job.rows, group)
        if arm:
            self._members[arm - 1].fell_back("busy", job.rows)

    def _count_parts(self, parts: Sequence[Part], groups: Sequence[int]) -> None:
        for part in parts:
            places = part.job.places
            self._count(part, groups if places is None else [groups[place] for place in places])

    def _arms(self, job: Job, request_id: bytes, headers: Mapping[bytes, bytes]) -> tuple[Sequence[int], Sequence[int]]:
        whole = headers.get(ENTITY) or request_id
        if self.sticky and job.keys is not None:
            found = [self._assign(_entity(key, whole)) for key in job.keys]
            return [arm for arm, _ in found], [group for _, group in found]
        arm, group = self._assign(whole)
        return [arm] * job.rows, [group] * job.rows

    def _count(self, part: Part | None, groups: Sequence[int]) -> None:
        voice = part.voice if part is not None else None
        alias, version = self._alias, self._plan.version
        if part is not None and voice is not None and part.member is not None:
            alias, version = part.member.line.target.alias, voice.version
        arm = self.counts.arm(alias, version, self._text, sticky=self.sticky)
        for group in groups:
            arm.count(1, group)

    # --- what was answered --------------------------------------------------------------------------------------------------------

    def signed(self, parts: Sequence[Part] = ()) -> tuple[tuple[bytes, bytes], ...]:
        """Return the header that says which version answered, or which ones did."""
        voices = [part.voice for part in parts]
        if not any(voices):
            return self._signed
        labels = sorted({self._plan.label if voice is None else voice.label for voice in voices})
        return ((b"x-model-version", ",".join(labels).encode("ascii", "replace")),)

    def log(self, request_id: bytes, route: str, parts: Sequence[Part]) -> None:
        """Log a request that was answered in parts, each with its role."""
        for part in parts:
            spool = self.desk.spool if part.voice is None else self._log_of(part)
            assert part.answers is not None
            spool.job(request_id, route, part.job, part.answers)

    def _log_of(self, part: Part) -> Spool:
        assert part.member is not None
        assert part.voice is not None
        assert part.welcome is not None
        welcome = part.welcome
        return self._logs.of(part.member.line.target.alias, part.voice.version, lambda: self._opened(welcome))

    def _opened(self, welcome: frames.Welcome) -> Spool:
        """Open a log, or what counts as one until that can be done."""
        try:
            return self._open_log(welcome)
        except Exception as error:  # noqa: BLE001 - whatever it is, answers wait for it
            log.error("answers of another version cannot be logged", version=welcome.version, error=type(error).__name__)  # noqa: TRY400 - once a second
            return Lost(self.desk.metrics.spool, refuse=self.desk.config.spool_on_full == "refuse")

    # --- copies -------------------------------------------------------------------------------------------------------------------

    def copy_row(self, request_id: bytes, route: str, how: frames.How, row: Row) -> None:
        """Pass on a request of one row that the champion answered."""
        _, values, key, label, shares = row
        for copying in self._copying:
            copying.single((request_id, route, how, key, values, label, shares))

    def copy_job(self, request_id: bytes, route: str, how: frames.How, job: Job, answers: Answers | None) -> None:
        """Pass on rows; without answers when another version gave them, since there is nothing to compare then."""
        if job.call is not None:
            return
        for copying in self._copying:
            copying.many(request_id, route, how, job, answers)


def _completed(spool: Spool) -> None:
    """Write what a log gathered, and close it."""
    try:
        spool.flush()
    except NotLogged:
        log.warning("a log took no more when it was closed")
    spool.close()


def _entity(key: Any, otherwise: bytes) -> bytes:
    """Return what stands for a row's entity; ``otherwise`` when it has none."""
    return otherwise if key is None else str(key).encode("utf-8", "surrogatepass")
