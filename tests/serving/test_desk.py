"""The desk: what is done at once and what beside the loop, and that nothing leaves before it is logged."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from samovar.errors import RequestError
from samovar.serving import errors
from samovar.serving.config import EndpointConfig
from samovar.serving.desk import Desk
from samovar.serving.jobs import Job, Route
from samovar.serving.metrics import Metrics
from samovar.serving.turn import NoSpool, NotLogged, flush_all


class Answers(list):
    def cut(self, start, stop):
        return Answers(self[start:stop])

    def logged(self, index):
        return self[index], None


class Digits:
    """A protocol of rows of one digit each; remembers in which threads it worked."""

    accepted = ("application/json",)
    together = None

    def __init__(self):
        self.decoded, self.scored = [], []
        self.quick = self.glance

    def glance(self, body):
        if body == b"broken":
            raise ZeroDivisionError("SECRET")
        return (b"one", (1,), None, 1, None) if body == b"1" else None

    def decode(self, body, media, headers):
        self.decoded.append(threading.current_thread().name)
        if not body.strip().isdigit():
            raise RequestError("Expected digits.", path="body")
        values = list(body.strip())
        return Job([values], len(values), self.run, bytes)

    def run(self, engine, columns, params):
        self.scored.append(threading.current_thread().name)
        return Answers(columns[0])

    def error(self, error):
        return errors.answer(error)[0]


class Together(Digits):
    """The same of a model that is asked for the rows of a turn at once; it knows no nines."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.together = (self.read, self.finish)

    def read(self, body):
        if body == b"broken":
            raise ZeroDivisionError("SECRET")
        return body if len(body) == 1 else None

    def finish(self, rows):
        self.calls.append(b"".join(rows))
        if b"9" in rows:
            raise RequestError("Expected less.", path="body")
        return [(row * 2, (row,), None, row, None) for row in rows]


class Log(NoSpool):
    """A prediction log that writes down what happens to it."""

    def __init__(self, events, *, full=False):
        self.events, self.full = events, full

    def row(self, request_id, route, row):
        self.events.append(("row", request_id))

    def job(self, request_id, route, job, answers):
        self.events.append(("job", request_id))

    def large(self, request_id, route, job, answers):
        self.events.append(("large", threading.current_thread().name))
        return request_id

    def put(self, encoded):
        self.events.append(("put", encoded))

    def flush(self):
        self.events.append(("flush",))
        if self.full:
            raise NotLogged("The log is full.")


class Office:
    """A desk on the running loop, and everything that happens there in order."""

    def __init__(self, *, inline=True, full=False, protocol=Digits, **limits):
        self.events, self.protocol = [], protocol()
        self.route = Route("/digits", "/digits", self.protocol)
        engine = type("Engine", (), {"inline": inline})()
        metrics = Metrics({"model": "m", "alias": "a"}, ["/digits"], {}, errors.KINDS)
        self.desk = Desk(engine, [self.route], EndpointConfig("m", "a", **limits), metrics, Log(self.events, full=full))
        self.desk.open(asyncio.get_running_loop())

    def ask(self, body, request_id=b"id"):
        answer = asyncio.get_running_loop().create_future()

        def deliver(response):
            self.events.append(("leaves", request_id))
            answer.set_result(response)

        self.desk.ask(self.route, body, "application/json", {}, request_id, deliver)
        assert not answer.done()
        return asyncio.wait_for(answer, 10)


def on_a_loop(test):
    def run():
        asyncio.run(asyncio.wait_for(test(), 20))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_a_loop
async def test_the_log_is_written_once_a_turn_and_before_any_answer_leaves():
    office = Office()
    await asyncio.gather(office.ask(b"1", b"a"), office.ask(b"123", b"b"), office.ask(b"1", b"c"))
    assert office.events == [
        ("row", b"a"),
        ("job", b"b"),
        ("row", b"c"),
        ("flush",),
        ("leaves", b"a"),
        ("leaves", b"b"),
        ("leaves", b"c"),
    ]


@pytest.mark.parametrize("full", [False, True])
def test_every_log_is_written_though_another_one_refuses(full):
    """Else rows of requests that got 503 would wait there, and be written later as answered."""

    @on_a_loop
    async def ask():
        office = Office(full=full)
        others = [Log(office.events, full=True), Log(office.events)]
        office.desk.turn.also = lambda: flush_all(log.flush for log in others)
        assert (await office.ask(b"1")).status == 503
        assert office.events.count(("flush",)) == 3

    ask()


@on_a_loop
async def test_what_could_not_be_logged_is_not_answered():
    """503 and when to try again; an error that is not logged anyway stays what it is."""
    office = Office(full=True)
    row, job, bad = await asyncio.gather(office.ask(b"1"), office.ask(b"123"), office.ask(b"x"))
    assert (row.status, job.status, bad.status) == (503, 503, 400)
    assert (b"retry-after", b"1") in row.headers
    assert b"TEMPORARILY_UNAVAILABLE" in job.body


@on_a_loop
async def test_few_rows_of_a_compiled_model_are_scored_on_the_loop():
    office = Office(inline_rows=3)
    assert (await office.ask(b"123")).body == b"123"
    assert (await office.ask(b"1234")).body == b"1234"
    assert office.protocol.scored == ["MainThread", "model"]


@on_a_loop
async def test_rows_of_a_turn_are_scored_in_one_call():
    """Each gets its own answer, after all were logged; what is no plain row goes its own way."""
    office = Office(protocol=Together)
    asked = [office.ask(b"%d" % digit, b"%d" % digit) for digit in range(5)]
    answers = await asyncio.gather(*asked, office.ask(b"123", b"many"))
    assert [answer.body for answer in answers] == [b"00", b"11", b"22", b"33", b"44", b"123"]
    assert office.protocol.calls == [b"01234"]
    assert office.events.index(("flush",)) == 6
    assert (await office.ask(b"7")).body == b"77"
    assert office.protocol.calls == [b"01234", b"7"]


@on_a_loop
async def test_a_row_that_the_model_refuses_harms_no_other_of_its_turn():
    office = Office(protocol=Together)
    good, refused, failed, other = await asyncio.gather(*map(office.ask, (b"1", b"9", b"broken", b"2")))
    assert (good.body, other.body) == (b"11", b"22")
    assert (refused.status, failed.status) == (400, 500)
    assert b"Expected less." in refused.body
    assert b"SECRET" not in failed.body


@on_a_loop
async def test_rows_that_were_scored_together_and_not_logged_are_not_answered():
    office = Office(protocol=Together, full=True)
    assert {answer.status for answer in await asyncio.gather(office.ask(b"1"), office.ask(b"2"))} == {503}


@on_a_loop
async def test_other_models_are_never_asked_on_the_loop():
    office = Office(inline=False)
    await office.ask(b"12")
    assert office.protocol.scored == ["model"]


@on_a_loop
async def test_a_large_body_is_decoded_beside_the_loop():
    office = Office()
    assert (await office.ask(b"7".ljust(100_000))).body == b"7"
    assert (await office.ask(b"x" * 100_000)).status == 400
    assert (await office.ask(b"77")).body == b"77"
    assert office.protocol.decoded == ["decoder", "decoder", "MainThread"]


@on_a_loop
async def test_what_is_logged_of_a_large_request_is_encoded_beside_the_loop():
    """And is gathered before its answer leaves, as always."""
    office = Office()
    await office.ask(b"7".ljust(100_000))
    assert [event[0] for event in office.events] == ["large", "put", "flush", "leaves"]
    assert office.events[0][1] == "model"


def jobs():
    return sum(isinstance(one, Job) for one in gc.get_objects())


@on_a_loop
async def test_large_requests_do_not_wait_for_the_collector():
    """It comes seldom in a worker, and each would hold a megabyte until then. A thread may still hold the last one."""
    office = Office()
    gc.collect()
    gc.disable()
    try:
        before = jobs()
        for _ in range(4):
            await office.ask(b"7".ljust(100_000))
        assert jobs() - before <= 1
    finally:
        gc.enable()


@on_a_loop
async def test_requests_of_one_turn_share_a_call():
    office = Office(inline=False)
    answers = await asyncio.gather(*[office.ask(b"%d" % number) for number in range(2, 9)])
    assert [answer.body for answer in answers] == [b"%d" % number for number in range(2, 9)]
    assert office.protocol.scored == ["model"]


@on_a_loop
async def test_a_failure_of_our_own_says_nothing():
    answer = await Office().ask(b"broken")
    assert (answer.status, b"SECRET" in answer.body) == (500, False)


@on_a_loop
async def test_too_many_rows_are_never_scored():
    office = Office(max_rows=4)
    assert (await office.ask(b"12345")).status == 413
    assert office.protocol.scored == []


@pytest.mark.parametrize("protocol", [Digits, Together])
@pytest.mark.parametrize("body", [b"1", b"9", b"123", b"x", b"broken", b"7".ljust(100_000)])
def test_nothing_stays_in_flight(body, protocol):
    """The gauge is at zero again whatever became of a request."""

    async def ask():
        office = Office(protocol=protocol)
        await office.ask(body)
        text = office.desk.metrics.render().decode()
        (line,) = [line for line in text.splitlines() if line.startswith("samovar_requests_in_flight{")]
        assert line.endswith(" 0")

    asyncio.run(ask())


def test_a_flood_of_failures_is_reported_once_a_second(monkeypatch):
    """A client that fails on purpose fills no disk; how many went unreported is told with the next."""
    from structlog.testing import capture_logs

    from samovar.serving import failures

    clock = [100.0]
    monkeypatch.setattr(failures.time, "monotonic", lambda: clock[0])
    reporter = failures.Failures()
    with capture_logs() as lines:
        for _ in range(50):
            reporter.tell(ValueError("x"), b"id", "/digits")
        reporter.tell(KeyError("x"), b"id", "/digits")
        clock[0] += 1.5
        reporter.tell(ValueError("x"), b"id", "/digits")
    assert [(line["error"], line["unreported"]) for line in lines] == [("ValueError", 0), ("KeyError", 0), ("ValueError", 49)]
