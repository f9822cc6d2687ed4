"""Batching by turns of the loop: who is called with whom, when, and what becomes of those who wait too long."""

from __future__ import annotations

import asyncio
import threading

import pytest

from samovar.errors import ModelError
from samovar.serving.batcher import Batcher
from samovar.serving.config import EndpointConfig
from samovar.serving.errors import Late, QueueFull
from samovar.serving.jobs import Job


class Answers(list):
    def cut(self, start, stop):
        return Answers(self[start:stop])

    def logged(self, index):
        return self[index], None


class Model:
    """Echoes; waits at the value "wait" until it may go on."""

    def __init__(self):
        self.calls = []
        self.entered, self.go = threading.Event(), threading.Event()

    def run(self, columns):
        self.calls.append(list(columns[0]))
        if "wait" in columns[0]:
            self.entered.set()
            assert self.go.wait(10)
        if "exit" in columns[0]:
            raise SystemExit(3)
        return Answers(columns[0])


def echo(model, columns, params):
    return model.run(columns)


def job(*values, **options):
    return Job([values], len(values), echo, lambda answers: repr(list(answers)).encode(), **options)


class Bench:
    """A batcher and its outcomes, on a loop."""

    def __init__(self, **limits):
        self.model = Model()
        self.sizes = []
        self.batcher = Batcher(
            self.model,
            EndpointConfig("m", "a", **limits),
            asyncio.get_running_loop(),
            lambda jobs, rows: self.sizes.append((jobs, rows)),
        )

    def ask(self, *values, **options):
        answer = asyncio.get_running_loop().create_future()
        ticket = self.batcher.submit(job(*values, **options), answer.set_result)
        return answer, ticket

    async def entered(self):
        assert await asyncio.to_thread(self.model.entered.wait, 10)

    async def both(self, *answers):
        return [each if isinstance(each, Exception) else each[0] for each in await asyncio.wait_for(asyncio.gather(*answers), 10)]


def on_a_loop(test):
    """Run an async test; a model left waiting is let go."""

    def run():
        asyncio.run(asyncio.wait_for(test(), 20))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_a_loop
async def test_what_is_ready_in_one_turn_is_one_call():
    bench = Bench()
    answers = [bench.ask(index)[0] for index in range(10)]
    assert await bench.both(*answers) == [b"[%d]" % index for index in range(10)]
    assert bench.model.calls == [list(range(10))]
    assert bench.sizes == [(10, 10)]


@on_a_loop
async def test_what_comes_while_the_model_thinks_is_the_next_call():
    bench = Bench()
    first, _ = bench.ask("wait")
    await bench.entered()
    others = [bench.ask(index)[0] for index in range(5)]
    bench.model.go.set()
    await bench.both(first, *others)
    assert bench.model.calls == [["wait"], [0, 1, 2, 3, 4]]


@on_a_loop
async def test_a_call_has_a_bounded_number_of_rows():
    """Rows beyond the cap go into the next call; a job larger than it goes alone."""
    bench = Bench(batch_rows=4)
    answers = [bench.ask(*range(rows))[0] for rows in (2, 2, 2, 9)]
    await bench.both(*answers)
    assert bench.sizes == [(2, 4), (1, 2), (1, 9)]


@on_a_loop
async def test_one_row_a_call_keeps_requests_apart():
    bench = Bench(batch_rows=1)
    await bench.both(*[bench.ask(index)[0] for index in range(3)])
    assert bench.sizes == [(1, 1)] * 3


@on_a_loop
async def test_other_params_are_another_call():
    bench = Bench()
    await bench.both(bench.ask(1, params={"k": 1})[0], bench.ask(2)[0], bench.ask(3, params={"k": 1})[0])
    assert bench.model.calls == [[1, 3], [2]]


@on_a_loop
async def test_a_full_queue_takes_no_more():
    bench = Bench(queue_jobs=2)
    first, _ = bench.ask("wait")
    await bench.entered()
    waiting = [bench.ask(index)[0] for index in range(2)]
    with pytest.raises(QueueFull):
        bench.ask(3)
    bench.model.go.set()
    await bench.both(first, *waiting)
    assert (await bench.both(bench.ask(4)[0])) == [b"[4]"]


@on_a_loop
async def test_who_has_left_holds_no_place_and_is_not_scored():
    bench = Bench(queue_jobs=2)
    first, _ = bench.ask("wait")
    await bench.entered()
    gone = [bench.ask("gone")[1] for _ in range(2)]
    for ticket in gone:
        ticket.leave()
    stays, _ = bench.ask("stays")
    bench.model.go.set()
    await bench.both(first, stays)
    assert bench.model.calls == [["wait"], ["stays"]]


@on_a_loop
async def test_the_deadline_is_kept_while_the_model_thinks():
    """Both the job that is being scored and the one behind it hear of it in time; the latter is never scored."""
    bench = Bench(deadline_seconds=0.05)
    first, _ = bench.ask("wait")
    second, _ = bench.ask("late")
    await bench.entered()
    third, _ = bench.ask("later")
    outcomes = await asyncio.wait_for(asyncio.gather(first, second, third), 5)
    assert [type(each) for each in outcomes] == [Late] * 3
    bench.model.go.set()
    answer, _ = bench.ask("next")
    await bench.both(answer)
    assert [value for call in bench.model.calls for value in call] == ["wait", "late", "next"]


@on_a_loop
async def test_a_model_that_exits_fails_its_own_request_only():
    """SystemExit in a model's code ends neither the thread nor the wait."""
    bench = Bench()
    (outcome,) = await asyncio.wait_for(asyncio.gather(bench.ask("exit")[0]), 10)
    assert isinstance(outcome, ModelError)
    assert await bench.both(bench.ask(1)[0]) == [b"[1]"]


@on_a_loop
async def test_jobs_keep_their_order_of_arrival():
    """No job is overtaken for ever by others that fit together better."""
    bench = Bench(batch_rows=2)
    answers = [bench.ask(index, params={"k": index % 2})[0] for index in range(6)]
    await bench.both(*answers)
    assert bench.model.calls == [[0, 2], [1, 3], [4], [5]]
