"""Jobs scored together: each caller gets exactly its rows, and nobody is hurt by a neighbour."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.errors import ModelError, RequestError
from samovar.scoring.engine import Call
from samovar.serving.jobs import Job
from samovar.serving.joining import Joiner, key

POISON = -1


@dataclass
class Doubled:
    """Answers: every row's value, doubled."""

    values: list

    def __len__(self):
        return len(self.values)

    def cut(self, start, stop):
        return Doubled(self.values[start:stop])

    def logged(self, index):
        return self.values[index], None


class Model:
    """Doubles; fails where it sees poison; remembers how it was asked."""

    def __init__(self, *, aligned=True):
        self.calls = []
        self.aligned = aligned


def run(model, columns, params):
    (values,) = columns
    model.calls.append(len(values))
    if POISON in values:
        raise RequestError("Poison.")
    doubled = [value * 2 for value in values]
    return Doubled(doubled if model.aligned else [sum(doubled)])


def write(answers):
    return repr(answers.values).encode()


def job(values, **options):
    return Job([values], len(values), run, write, **options)


def outcome(values, *, aligned=True):
    if POISON in values:
        return None
    doubled = [value * 2 for value in values]
    return repr(doubled if aligned else [sum(doubled)]).encode()


def told(outcomes):
    return [None if isinstance(each, Exception) else each[0] for each in outcomes]


requests = st.lists(st.lists(st.integers(POISON, 9), min_size=1, max_size=5), min_size=1, max_size=12)


@given(requests)
def test_each_job_gets_what_it_would_get_alone(values):
    """The promise itself: a request's answer, or failure, does not depend on its neighbours."""
    assert told(Joiner(Model()).score([job(rows) for rows in values])) == [outcome(rows) for rows in values]


@given(requests)
def test_the_property_sees_a_joiner_that_mixes_rows_up(values):
    """The sabotage: rows cut one place off are noticed, where there is anything to notice."""
    model = Model()
    shifted = Joiner(model)
    jobs = [job(rows) for rows in values]
    original = Doubled.cut
    try:
        Doubled.cut = lambda self, start, stop: Doubled((self.values[1:] + self.values[:1])[start:stop])
        answers = told(shifted.score(jobs))
    finally:
        Doubled.cut = original
    flat = [value for rows in values for value in rows]
    if len(jobs) > 1 and POISON not in flat and flat[1:] + flat[:1] != flat:
        assert answers != [outcome(rows) for rows in values]


@given(requests)
def test_answers_that_are_not_one_a_row_are_given_whole(values):
    """A model that answers once for all its rows is asked job by job."""
    model = Model(aligned=False)
    joiner = Joiner(model)
    jobs = [job([abs(value) for value in rows]) for rows in values]
    assert told(joiner.score(jobs)) == [outcome([abs(value) for value in rows], aligned=False) for rows in values]


def test_a_model_that_is_not_aligned_is_asked_in_vain_only_once():
    model = Model(aligned=False)
    joiner = Joiner(model)
    joiner.score([job([1, 2]), job([3])])
    model.calls.clear()
    joiner.score([job([1, 2]), job([3])])
    assert model.calls == [2, 1]


def test_a_model_that_fails_only_together_is_soon_asked_apart():
    """A limit of its own on rows, say: nobody fails, and it is not tried in vain for ever."""

    def single(model, columns, params):
        model.calls.append(len(columns[0]))
        if len(columns[0]) > 1:
            raise RuntimeError
        return Doubled(list(columns[0]))

    model = Model()
    joiner = Joiner(model)
    jobs = [Job([[value]], 1, single, write) for value in range(8)]
    for _ in range(3):
        model.calls.clear()
        assert told(joiner.score(jobs)) == [b"[%d]" % value for value in range(8)]
    assert model.calls == [1] * 8


def test_jobs_share_one_call():
    model = Model()
    Joiner(model).score([job([1]) for _ in range(64)])
    assert model.calls == [64]


def test_one_poisoned_job_costs_a_few_calls_not_one_a_neighbour():
    """Halves: the culprit is alone after six more rounds."""
    model = Model()
    outcomes = Joiner(model).score([job([POISON if index == 20 else index]) for index in range(64)])
    assert [index for index, each in enumerate(outcomes) if isinstance(each, Exception)] == [20]
    assert len(model.calls) == 13


def test_an_error_does_not_drag_its_neighbours_along():
    """What is reported of a failed job is its own failure, not the failures of the calls it was part of."""
    (error,) = [each for each in Joiner(Model()).score([job([1]), job([2]), job([POISON])]) if isinstance(each, Exception)]
    assert error.__context__ is None


def test_an_answer_that_cannot_be_written_harms_nobody_else():
    def broken(_answers):
        raise ModelError("Cannot be written.")

    bad = Job([[5]], 1, run, broken)
    assert told(Joiner(Model()).score([job([1]), bad, job([2])])) == [b"[2]", None, b"[4]"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (job([1], params={"k": 1}), job([1], params={"k": True})),
        (job([1], params={"k": 1}), job([1], params={"k": 1.0})),
        (job([1], params={"k": 1}), job([1])),
        (job([1]), Job([[1]], 1, lambda *_: None, write)),
        (job([1]), Job([[1], [2]], 1, run, write)),
    ],
)
def test_jobs_that_ask_differently_have_different_keys(one, other):
    """1, 1.0 and true are equal in Python and may not be to a model."""
    assert key(one) != key(other)


def test_jobs_that_ask_alike_have_one_key():
    assert key(job([1], params={"k": 1})) == key(job([2, 3], params={"k": 1}))


def test_a_call_is_never_joined():
    assert key(job([1], call=Call("inputs", 5))) is None
