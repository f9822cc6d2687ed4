"""A request whose rows several versions answer: each its own share, joined in the order of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar import logs
from samovar.serving import errors
from samovar.serving.jobs import Job
from samovar.serving.protocols.answers import Predictions, Scored
from samovar.serving.traffic import frames

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.serving.batcher import Ticket
    from samovar.serving.jobs import Answers
    from samovar.serving.joining import Outcome
    from samovar.serving.traffic.sharing import Member, Sharing
    from samovar.serving.traffic.voice import Voice


log = logs.get_logger(__name__)


class Part:
    """Some rows of a request, and who answers them in the end.

    Attributes:
        job: the rows; its ``places`` say where they stand in the request.
        member: who answers; None is the champion.
        answers: theirs.
        voice: how they are written; None is the champion's way.
        welcome: whose they are, if not the champion's.
    """

    __slots__ = ("answers", "job", "member", "voice", "welcome")

    def __init__(self, job: Job, member: Member | None) -> None:
        self.job = job
        self.member = member
        self.answers: Answers | None = None
        self.voice: Voice | None = None
        self.welcome: frames.Welcome | None = None


class Parted:
    """A request under way in parts.

    Args:
        sharing: who asks the others.
        job: the whole request.
        how: what is asked of the engines.
        parts: who gets which rows.
        tell: told the body of the answer and the parts, or what went wrong.
    """

    def __init__(  # noqa: PLR0913 - one request
        self, sharing: Sharing, job: Job, how: frames.How, parts: Sequence[Part], tell: Callable[[Any], None], *, large: bool
    ) -> None:
        self._sharing = sharing
        self._job = job
        self._how = how
        self._parts = parts
        self._tell = tell
        self._large = large
        self._open = len(parts)
        self._done = False
        self._tickets: list[Ticket] = []

    def begin(self) -> None:
        """Ask everybody, the others first: they work while the champion does."""
        for part in self._parts:
            if part.member is not None:
                self._ask(part, part.member)
        for part in self._parts:
            if part.member is None:
                self._score(part)

    def leave(self) -> None:
        """The client is gone."""
        self._done = True
        for ticket in self._tickets:
            ticket.leave()

    def _ask(self, part: Part, member: Member) -> None:
        job = part.job
        columns = [_listed(column) for column in job.columns]
        member.line.ask(self._how, columns, dict(job.params), lambda *reply: self._told(part, member, *reply))

    def _told(self, part: Part, member: Member, reply: frames.Told | str, welcome: frames.Welcome | None) -> None:
        if self._done:
            return
        if isinstance(reply, frames.Told) and self._took(part, member, reply, welcome):
            self._close()
            return
        member.fell_back(reply if isinstance(reply, str) else "failed", part.job.rows)
        part.member = None
        self._score(part)

    def _took(self, part: Part, member: Member, told: frames.Told, welcome: frames.Welcome | None) -> bool:
        """Take another version's answers; tells whether they can be used."""
        try:
            voice = member.voice(welcome)
            if voice is None or len(told.labels) != part.job.rows:
                return False
            part.answers = self._answers(told, voice)
        except Exception:
            log.exception("another version's answers could not be read")
            return False
        part.voice, part.welcome = voice, welcome
        return True

    def _answers(self, told: frames.Told, voice: Voice) -> Answers:
        if self._how == "predict":
            return Predictions(told.labels)
        decide = (lambda label, shares: voice.decide(label, shares)[0]) if self._how == "decided" else None
        return Scored(told.labels, told.shares, decide)

    def _score(self, part: Part) -> None:
        """Have the champion answer."""
        desk = self._sharing.desk
        if desk.inline and part.job.rows <= desk.config.inline_rows and not self._large:
            self._settled(part, desk.joiner.alone(part.job))
            return
        try:
            self._tickets.append(desk.batcher.submit(part.job, lambda outcome: self._settled(part, outcome)))
        except errors.QueueFull as error:
            self._settled(part, error)

    def _settled(self, part: Part, outcome: Outcome) -> None:
        if self._done:
            return
        if isinstance(outcome, Exception):
            self._done = True
            for ticket in self._tickets:
                ticket.leave()
            self._tell(outcome)
            return
        part.answers = outcome[1]
        self._close()

    def _close(self) -> None:
        self._open -= 1
        if self._open:
            return
        self._done = True
        try:
            body = self._job.write(joined(self._parts, self._job.rows))
        except Exception as error:  # noqa: BLE001 - it becomes the answer
            self._tell(error)
            return
        self._tell((body, self._parts))


def joined(parts: Sequence[Part], rows: int) -> Any:
    """Return the answers of all parts, in the order of the request's rows."""
    if all(isinstance(part.answers, Predictions) for part in parts):
        return Predictions(_placed([(part.job.places, part.answers.values) for part in parts], rows))  # type: ignore[union-attr]
    scored: list[Any] = [part.answers for part in parts]
    labels = _placed([(part.job.places, answers.labels) for part, answers in zip(parts, scored, strict=True)], rows)
    shares = None
    if all(answers.shares is not None for answers in scored):
        shares = _placed([(part.job.places, answers.shares) for part, answers in zip(parts, scored, strict=True)], rows)
    voices = _placed([(part.job.places, [part.voice] * part.job.rows) for part in parts], rows)
    return Scored(labels, shares, voices=voices)


def _placed(parts: Sequence[tuple[Sequence[int] | None, Sequence[Any]]], rows: int) -> list[Any]:
    found: list[Any] = [None] * rows
    for places, values in parts:
        for place, value in zip(range(rows) if places is None else places, values, strict=True):
            found[place] = value
    return found


def part_of(job: Job, places: Sequence[int], member: Member | None) -> Part:
    """Return some rows of a request as a job of their own."""
    if len(places) == job.rows:
        return Part(Job(job.columns, job.rows, job.run, _nothing, params=job.params, keys=job.keys), member)
    columns = [[column[place] for place in places] for column in map(_listed, job.columns)]
    keys = None if job.keys is None else [job.keys[place] for place in places]
    return Part(Job(columns, len(places), job.run, _nothing, params=job.params, keys=keys, places=list(places)), member)


def _listed(column: Any) -> list[Any]:
    """Return a column as builtin values: large ones may be arrays."""
    if isinstance(column, list):
        return column
    return column.tolist() if hasattr(column, "tolist") else list(column)


def _nothing(_answers: Any) -> bytes:
    return b""
